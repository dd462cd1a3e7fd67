# %% [markdown]
# # Chapter 8, further on: the Transformer
#
# In the book, attention helps an LSTM. Here it replaces the LSTM: in the encoder, in the decoder
# and between them. This notebook goes from one attention to a whole Transformer, trains it on
# dates, and looks at what each part is good for. (Book 8.5.2; Vaswani et al. 2017.)
#
# In a cell, `?` shows what something does (`SelfAttention?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## What becomes of attention when a sequence looks at itself?
#
# `TimeAttention` compares states of a decoder with states of an encoder. Both arguments may be the
# same sequence: then each step is a weighted sum of all steps.

# %%
from common.attention import ScaledDotScore, TimeAttention
from common.rng import generator

rng = generator(0)
x = rng.standard_normal((1, 5, 8))
layer = TimeAttention(score=ScaledDotScore())
y = layer.forward(x, x)
print("x", x.shape, "-> y", y.shape)
first = layer.attention_weights[0][0]
print("the first step looks at", first.round(2), "which is", first.sum(), "in all")

# %% [markdown]
# A step mostly finds itself, since nothing is closer to it. So the Transformer first makes three
# things of each step: a query (what it looks for), a key (what it is found by) and a value (what
# it gives). Each is a product with a matrix.
#
# ## Why are scores divided by the square root of d?
#
# The inner product of two random vectors grows with their length, and large scores make the
# softmax pick a single step, where its gradient is nearly zero.

# %%
import matplotlib.pyplot as plt

from common.functions import softmax

for d in (4, 64, 1024):
    q, k = rng.standard_normal((1000, 1, d)), rng.standard_normal((1000, 10, d))
    scores = (q @ k.swapaxes(1, 2))[:, 0]
    plain, scaled = (softmax(s).max(axis=1).mean() for s in (scores, scores / d**0.5))
    print(f"d = {d:4}: largest of ten weights {plain:.2f} on average, scaled {scaled:.2f}")

# %% [markdown]
# ## Does it know in which order the steps came?
#
# No. Exchange two steps of the input, and the same two outputs are exchanged; nothing else
# changes.

# %%
from ch08.transformer import attention_weights
from common.multi_head import SelfAttention

attention = SelfAttention(*attention_weights(8, rng), num_heads=2)
order = [1, 0, 2, 3, 4]
difference = attention.forward(x)[:, order] - attention.forward(x[:, order])
print("largest difference", abs(difference).max())

# %% [markdown]
# So the position is added to each input, as a code: sines and cosines of growing wavelength. Codes
# of neighbours are similar, and the similarity depends on the distance only.

# %%
from common.positions import waves

P = waves(60, 64)
_, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
axes[0].imshow(P.T, aspect="auto", cmap="RdBu")
axes[0].set(xlabel="position", ylabel="number in the code", title="codes")
for position in (10, 30, 50):
    axes[1].plot(P @ P[position], label=f"with position {position}")
axes[1].set(xlabel="position", title="inner product of two codes")
axes[1].legend()
plt.show()

# %% [markdown]
# ## How can it be trained on all steps at once without cheating?
#
# The decoder learns to predict each character from those before it. During training it gets the
# whole answer, so a mask hides what comes later. Does it hold? Change the last three characters of
# an answer: all scores before them stay the same, bit for bit.

# %%
from ch08.transformer import Transformer

model = Transformer(vocab_size=59, rng=0)
question, answer = rng.integers(0, 59, (1, 29)), rng.integers(0, 59, (1, 10))
scores = model.decoder.forward(answer, model.encoder.forward(question))
changed = answer.copy()
changed[:, 7:] = 0
others = model.decoder.forward(changed, model.encoder.forward(question))
print("equal before the change:", (scores[:, :7] == others[:, :7]).all())
print("equal behind it:", (scores[:, 7:] == others[:, 7:]).all())

# %% [markdown]
# Seeing the answer up to a character is no cheating: it is what the decoder has written, when it
# writes. Then the keys and values of earlier characters are kept (a cache), and each step computes
# only its own. The scores are those of one pass.

# %%
import numpy

model.decoder.start(model.encoder.forward(question))
steps = [model.decoder.scores(answer[:, t : t + 1]) for t in range(10)]
print("largest difference", abs(numpy.concatenate(steps, axis=1) - scores).max())

# %% [markdown]
# ## What is it made of?
#
# Each block: self-attention, for the decoder attention to the question as well, and a feed-forward
# layer. Around each there is a residual connection, and a norm.

# %%
print(model)

# %% [markdown]
# ## How quickly does it learn dates?
#
# One pass over the training questions, which are not reversed, with a learning rate that rises for
# a hundred updates and then falls.

# %%
from common.evaluate import seq2seq_accuracy
from common.optimizer import Adam
from common.schedules import linear
from common.trainer import Trainer
from dataset import sequence

dates = sequence.load("date.txt")
rate = linear(0.003, updates=351, warmup=100)
trainer = Trainer(model, Adam(rate, beta2=0.98))
trainer.fit(
    dates.x_train, dates.t_train, max_epoch=1, batch_size=128, max_grad=5.0, rng=0, verbose=False
)
right = seq2seq_accuracy(model, dates.x_test[:1000], dates.t_test[:1000]).exact
print(f"{100 * right:.1f} % of 1,000 test questions, with {sum(p.size for p in model.params):,}")

# %% [markdown]
# The book's attention model has six times as many weights and is at 0 % after its first epoch.
#
# ## What do its heads look at?
#
# The weights that come with the library, trained for six epochs: each of the four heads of the
# decoder, while it writes a date.

# %%
from ch08.attention_score import head_maps
from ch08.visualize_attention import load

trained = load("transformer", None, "date.txt")
question = sequence.encode(["FRIDAY, AUGUST 26, 1983"], dates.char_to_id, 29)[0]
answer = sequence.encode(["_1983-08-26"], dates.char_to_id, 11)[0]
(maps,) = head_maps(trained, question, answer, reverse=False)
_, axes = plt.subplots(1, 4, figsize=(14, 2.6), layout="constrained")
for head, (cells, weights) in enumerate(zip(axes, maps, strict=True), start=1):
    cells.imshow(weights, cmap="gray", vmin=0, vmax=1, aspect="auto")
    cells.set_xticks(range(29), list("FRIDAY, AUGUST 26, 1983".ljust(29)), fontsize=6)
    cells.set_yticks(range(10), list("1983-08-26"), fontsize=7)
    cells.set_title(f"head {head}")
plt.show()

# %% [markdown]
# Heads share the work: some find the digits of the day and the year, others the letters of the
# month.
#
# ## What is each part good for? Leave it out, and see
#
# 100 updates each, on the same questions: the model as it is, with one head, with the norm behind
# the residual sum, and with a learning rate that neither rises nor falls.

# %%
variants = {
    "as it is": ({}, linear(0.003, updates=351, warmup=100)),
    "one head": ({"num_heads": 1}, linear(0.003, updates=351, warmup=100)),
    "norm behind": ({"norm_first": False}, linear(0.003, updates=351, warmup=100)),
    "no warm-up": ({}, 0.003),
}
part = slice(0, 100 * 128)
for label, (options, lr) in variants.items():
    variant = Trainer(Transformer(59, rng=0, **options), Adam(lr, beta2=0.98))
    variant.fit(
        *(dates.x_train[part], dates.t_train[part]),
        **{"max_epoch": 1, "batch_size": 128, "max_grad": 5.0, "eval_interval": 10},
        rng=0,
        verbose=False,
    )
    plt.plot(range(10, 101, 10), variant.reports, label=label)
plt.xlabel("updates")
plt.ylabel("training loss")
plt.legend()
plt.show()

# %% [markdown]
# One seed and few updates: differences this small can go the other way with another seed. What is
# certain is above: without positions there is no order, and without the mask no test of
# prediction. `python -m ch08.train --model transformer` trains all six epochs, and
# `ch08/README.md` has the results of three seeds.
