# %% [markdown]
# # Chapter 5: recurrent layers, and a first language model
#
# A sentence is a sequence, and what comes next can depend on a word that stands far back. This
# notebook asks how a layer can remember, how it can be trained when its past is endless, and what a
# small model learns from a thousand words.
#
# In a cell, `?` shows what something does (`TimeRNN?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## How likely is a sentence?
#
# A language model answers that, word by word: the probability of the first, times that of the
# second after the first, and so on. For made-up English (`dataset/grammar.py`) the true answer is
# known. (Book 5.1.2.)

# %%
import math

from dataset import grammar

for sentence in (
    "the dog sleeps",
    "the dog sleep",
    "the dog near the houses sleeps",
    "the dog that the cats near the houses see sleeps",
    "the dog that the cats near the houses see sleep",
):
    print(f"{math.exp(grammar.sentence_log_probability(sentence)):.2e}  {sentence}")

# %% [markdown]
# *sleeps* is right, *sleep* impossible, and what decides is *dog*, at the other end of the
# sentence. A model that sees only the last two or three words cannot know. (Book 5.1.1, 5.1.3.)
#
# ## What can a layer carry along?
#
# A recurrent layer gets, at every step, a new input and its own last output, the state. Two
# sequences with the same inputs but for the first: does the state know the difference later on?
# (Book 5.2.1, 5.3.1.)

# %%
import matplotlib.pyplot as plt
import numpy

from common.rng import generator, randn
from common.time_layers import RNN

rng = generator(0)
N, T, D, H = 2, 30, 10, 50
xs = numpy.repeat(randn(rng, 1, T, D), N, axis=0)
xs[1, 0] = randn(rng, D)
Wx, Wh = randn(rng, D, H) / math.sqrt(D), randn(rng, H, H) / math.sqrt(H)
b = numpy.zeros(H, "float32")

for scale in (0.5, 1.0, 2.0):
    cell = RNN(Wx, scale * Wh, b)
    h = numpy.zeros((N, H), "float32")
    apart = []
    for t in range(T):
        h = cell.forward(xs[:, t], h)
        apart.append(numpy.linalg.norm(h[0] - h[1]))
    plt.plot(range(1, T + 1), apart, "o-", label=f"{scale:g} Wh")
plt.xlabel("step")
plt.ylabel("distance between the two states")
plt.yscale("log")
plt.legend()
plt.show()

# %% [markdown]
# With weights half as large the difference is soon lost in rounding, with these as they are it
# takes longer to fade, with twice as large ones it never does. What is kept and lost is up to `Wh`.
#
# ## Is a sequence just many steps?
#
# `TimeRNN` does the loop. With `stateful=True` it goes on, at the next call, from where it stopped.
# (Book 5.3.2.)

# %%
from common.time_layers import TimeRNN

whole = TimeRNN(Wx, Wh, b).forward(xs)
h = numpy.zeros((N, H), "float32")
cell = RNN(Wx, Wh, b)
steps = [h := cell.forward(xs[:, t], h) for t in range(T)]
print("step by step    ", abs(whole - numpy.stack(steps, axis=1)).max())

layer = TimeRNN(Wx, Wh, b, stateful=True)
halves = [layer.forward(xs[:, :15]), layer.forward(xs[:, 15:])]
print("in two halves   ", abs(whole - numpy.concatenate(halves, axis=1)).max())

layer = TimeRNN(Wx, Wh, b)
halves = [layer.forward(xs[:, :15]), layer.forward(xs[:, 15:])]
print("without a memory", abs(whole - numpy.concatenate(halves, axis=1)).max())

# %% [markdown]
# The first two agree but for rounding; the last forgot the first half.
#
# ## How far back does a gradient reach?
#
# A loss at the last step only, and what it says about the input of each step: once with all steps
# in one block, once in blocks of ten. (Book 5.2.2, 5.2.3.)

# %%
for time_size in (30, 10):
    layer = TimeRNN(Wx, Wh, b, stateful=True)
    reach = []
    for start in range(0, T, time_size):
        hs = layer.forward(xs[:, start : start + time_size])
        dhs = numpy.zeros_like(hs)
        dhs[:, -1] = start + time_size == T
        reach += numpy.linalg.norm(layer.backward(dhs)[0], axis=1).tolist()
    plt.plot(range(1, T + 1), reach, "o-", label=f"blocks of {time_size}")
plt.xlabel("step of the input")
plt.ylabel("length of its gradient")
plt.yscale("log", nonpositive="mask")
plt.legend()
plt.show()

# %% [markdown]
# In blocks, the last ten gradients are the same and the others are zero, so that this axis has no
# place for them: the state crosses from block to block, a gradient does not.
#
# ## Are the gradients right?
#
# Inside a block, nothing is left out. (Book 5.3.2.)

# %%
from common.gradient_check import check_gradients

weights = [randn(rng, *shape, dtype="float64") for shape in ((3, 4), (4, 4), (4,))]
errors = check_gradients(TimeRNN(*weights), randn(rng, 2, 5, 3, dtype="float64"))

# %% [markdown]
# All five steps pass back what they should, to the inputs and to the weights that they share.
#
# ## In which order is a text read?
#
# In its own, or the state would belong to another sentence. For a batch, several readers start in
# different places. Here the words of the text are the numbers from 0 to 1000. (Book 5.2.4, 5.2.5.)

# %%
from common.optimizer import SGD
from common.trainer import RnnlmTrainer

numbers = numpy.arange(1001)
trainer = RnnlmTrainer(None, None)  # to look at its batches, no model is needed
for _ in range(3):
    batch_x, batch_t = trainer.get_batch(numbers[:-1], numbers[1:], batch_size=2, time_size=10)
    print(*batch_x)
print("to be predicted from the last one:", *batch_t, sep="\n")

# %% [markdown]
# The two readers begin at 0 and at 500, and each block goes on where the one before it stopped.
#
# ## What does a language model say?
#
# After each word, a probability for every word that may come next. This one has read a single
# sentence forty times. (Book 5.4.1.)

# %%
from ch05.figures import plot_steps

plot_steps(max_epoch=40, seed=0)

# %% [markdown]
# After "you say" it expects *goodbye*, and after the second *say* *hello*: what it got last is the
# same word, so it is the state that tells them apart.
#
# ## What is it made of?
#
# Three layers: a vector for each word, the recurrent layer, a score for each word. Its text will be
# the made-up English again; `"ptb"` gives Penn Treebank, which takes longer and does not go with
# the last three questions. (Book 5.4.1, 5.5.1.)

# %%
from ch05.figures import plot_first_weights
from ch05.simple_rnnlm import SimpleRnnlm
from common.functions import perplexity
from dataset import texts

text, word_to_id, id_to_word = texts.load_data("grammar")
unseen, _, _ = texts.load_data("grammar", "test")
V = len(word_to_id)
model = SimpleRnnlm(V, 100, 100, rng=0)
print(model)
_ = plot_first_weights(seed=0)

# %% [markdown]
# The larger the state, the smaller are the first weights of the recurrent layer: a sum of $n$ of
# them is about as large whatever $n$ is.
#
# ## How is a guess measured?
#
# By the perplexity, $e$ to the power of the loss: how many words the model seems to waver between.
# (Book 5.5.2.)

# %%
from ch05.figures import plot_two_models

plot_two_models()
loss = model.forward(text[None, :1000], text[None, 1:1001])
print(f"{V} words; perplexity of the model before training: {perplexity(float(loss)):.1f}")

# %% [markdown]
# A model that has learned nothing wavers between about all the words there are.
#
# ## Does it learn?
#
# A hundred times through a thousand words. After each time it is asked about a thousand others, for
# the next section. (Book 5.5.3, 5.5.4.)

# %%
from ch05.train_custom_loop import plot_perplexity
from common.evaluate import eval_perplexity

small = text[:1000]
model = SimpleRnnlm(V, 100, 100, rng=0)
trainer = RnnlmTrainer(model, SGD(lr=0.1))
trainer.fit(
    small[:-1],
    small[1:],
    max_epoch=100,
    batch_size=10,
    time_size=5,
    eval_interval=19,  # one report for each epoch
    after_epoch=lambda trainer: {
        "unseen": eval_perplexity(model, unseen[:1000], time_size=5, progress=False)
    },
    verbose=False,
)
_ = plot_perplexity(trainer.ppl_list)

# %% [markdown]
# From 140 words to choose from down to about three.
#
# ## Has it learned the language, or the text?
#
# The true probabilities of this English are known, and no model can expect a perplexity below 9.4
# on sentences that are new to it. One that has 3 must know something else.

# %%
best = grammar.true_perplexity("test")
plt.plot(range(1, 101), trainer.ppl_list, label="the words it learns from")
others = [row["unseen"] for row in trainer.epochs]
plt.plot(range(1, 101), others, label="other words")
plt.axhline(best, color="grey", linestyle="--", label="the grammar itself")
plt.xlabel("epochs")
plt.ylabel("perplexity")
plt.yscale("log")
plt.legend()
plt.show()
print(f"at the end {others[-1]:.1f}, at best {min(others):.1f}")

# %% [markdown]
# It has learned its thousand words by heart. On others it hardly came below 30, and got worse and
# worse in the second half of the training.
#
# ## And with more to read?
#
# Two hundred times as many words, twice. (`max_grad` keeps large steps small; chapter 6 says why.)

# %%
model = SimpleRnnlm(V, 100, 100, rng=0)
trainer = RnnlmTrainer(model, SGD(lr=2.0))
trainer.fit(
    text[:-1],
    text[1:],
    max_epoch=2,
    batch_size=20,
    time_size=10,
    max_grad=0.25,
    eval_interval=100,
    verbose=False,
)
trainer.plot(ylim=(0, 60))
print(f"on other words: {eval_perplexity(model, unseen, progress=False):.1f}, at best {best:.1f}")

# %% [markdown]
# So long a text it cannot learn by heart, and the perplexity on other words is not far from the
# best there is.
#
# ## Does it remember the dog?
#
# Back to the first question: which verb does it expect after each of these? (Book 5.1.3.)

# %%
from common.functions import softmax
from common.words.text import words_to_ids

for start in (
    "the dog",
    "the dogs",
    "the dog near the houses",
    "the dogs near the house",
    "the dog that the cats near the houses see",
    "the dogs that the cat near the house sees",
):
    model.reset_state()
    ids = words_to_ids(["<eos>", *start.split()], word_to_id)
    p = softmax(model.predict(ids[None])[0])[-1]
    sleeps, sleep = p[word_to_id["sleeps"]], p[word_to_id["sleep"]]
    print(f"sleeps {sleeps:.4f}  sleep {sleep:.4f}  {start}")

# %% [markdown]
# Singular for the dog, plural for the dogs: across nouns of the other number and, less surely,
# across a clause with a verb of its own.
#
# ## To try
#
# - `3 * Wh` in "How far back does a gradient reach?": on its way back, now it grows.
# - `time_size=1` for the long text: what was it worth to look back ten steps?
# - `rng=1` for that model: are the last two lines still right?
