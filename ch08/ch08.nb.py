# %% [markdown]
# # Chapter 8: attention
#
# The encoder of chapter 7 puts a question of any length into one state. This notebook asks what a
# decoder can do that may look at all states, at each step at those of its choice; and, since it can
# be seen where it looks, whether it looks where a reader would.
#
# In a cell, `?` shows what something does (`TimeAttention?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## What does the encoder hand over?
#
# Two questions, one of 7 characters and one of 29, and what the encoder of chapter 7 and that of
# this chapter make of them. (Book 8.1.1, 8.1.2.)

# %%
from ch07.seq2seq import Encoder
from ch08.attention_seq2seq import AttentionEncoder
from common.rng import generator

rng = generator(0)
for T in (7, 29):
    question = rng.integers(0, 59, (1, T))
    for encoder_class in (Encoder, AttentionEncoder):
        encoder = encoder_class(vocab_size=59, wordvec_size=16, hidden_size=256, rng=0)
        print(question.shape, "->", encoder_class.__name__, "->", encoder.forward(question).shape)

# %% [markdown]
# The last state has the same size for both; the states of all characters grow with the question.
#
# ## How can a choice be learned?
#
# Picking one state has no gradient. Giving each a weight has: the result is the sum of all of them,
# each times its weight. (Book 8.1.3.)

# %%
from ch08.figures import plot_weighted_sum, print_shapes

plot_weighted_sum(seed=0)
print_shapes()

# %% [markdown]
# With most of the weight on the first state, the sum is closer to it than to any other.
#
# ## Where do the weights come from?
#
# From the decoder's own state `h`: its inner product with each state of the encoder says how well
# the two go together, and softmax makes weights of that. (Book 8.1.4.)

# %%
import numpy

from common.attention import Attention

hs = numpy.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
for h in ([1.0, 0.0], [0.0, 0.0], [9.0, -9.0]):
    attention = Attention()
    c = attention.forward(hs, numpy.array([h]))
    print("h", h, " weights", attention.attention_weight.round(3), " sum", c.round(3))

# %% [markdown]
# States that agree with `h` get more. An `h` of zeros has no preference, a long one picks a single
# state.
#
# ## Are the gradients right?
#
# `hs` is used twice, for the weights and for the sum, and its gradient is the sum of two.
# (Book 8.1.5.)

# %%
from common.gradient_check import check_gradients
from common.rng import randn

hs = randn(rng, 2, 5, 4, dtype="float64")
errors = check_gradients(Attention(), hs, randn(rng, 2, 4, dtype="float64"))

# %% [markdown]
# There are no weights to learn here: all that attention needs is in the states.
#
# ## What is there to learn?
#
# To bring dates into one form. (Book 8.3.1.)

# %%
from dataset import dates, sequence

print(*dates.lines(24)[:8], sep="\n")
data = sequence.load("date.txt").reversed()
x, t, x_test, t_test, char_to_id, id_to_char, _ = data
print(x.shape, t.shape, x_test.shape, t_test.shape)

# %% [markdown]
# Words and numbers, four forms, 29 characters at most, and questions are read from their end again.
#
# ## What is the model made of?
#
# The encoder and decoder of chapter 7, with attention between the decoder's LSTM and its last
# layer. (Book 8.2.)

# %%
from ch08.attention_seq2seq import AttentionSeq2seq

model = AttentionSeq2seq(len(char_to_id), wordvec_size=16, hidden_size=64, rng=0)
print(model)

# %% [markdown]
# `W` of the last layer has 128 rows, 64 for what the attention found and 64 for the state.
#
# ## Does it learn?
#
# Four times through nine thousand dates, beside the Peeky of chapter 7 with states of the same
# size. After each time they answer a thousand test dates. (Book 8.3.2.)

# %%

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq_run import plot_accuracy
from common.evaluate import seq2seq_accuracy
from common.optimizer import Adam
from common.trainer import Trainer


def accuracy():
    return seq2seq_accuracy(model, x_test[:1000], t_test[:1000]).exact


models, curves = {}, {}
for label, model_class in (("peeky", PeekySeq2seq), ("attention", AttentionSeq2seq)):
    model = models[label] = model_class(len(char_to_id), 16, 64, rng=0)
    trainer = Trainer(model, Adam(lr=0.01))
    trainer.fit(
        *(x[:9000], t[:9000]),
        max_epoch=4,
        batch_size=32,
        max_grad=5.0,
        eval_interval=None,
        rng=0,
        after_epoch=lambda trainer: {"accuracy": accuracy()},
    )
    curves[label] = [[row["accuracy"] for row in trainer.epochs]]
_ = plot_accuracy(curves)

# %% [markdown]
# Both learn it, the one with attention sooner.
#
# ## Where does it look?
#
# A row for each character of the answer, a column for each of the question; the brighter a cell,
# the larger the weight. First with random weights, where all 29 characters get the same, 1/29;
# then after the training above. (Book 8.3.3.)

# %%
from ch08.visualize_attention import draw_question

untrained = AttentionSeq2seq(len(char_to_id), 16, 64, rng=0)
for model in untrained, models["attention"]:
    draw_question(model, "FRIDAY, AUGUST 26, 1983", data)

# %% [markdown]
# Now it has places to look at, some of them those of a reader. Nobody told it where they are, only
# which answers are right.
#
# ## And the real one?
#
# `ch08/weights` holds a model with 256 numbers in a state, after ten epochs of all dates
# (`python -m ch08.train` makes such a one in about four minutes). These are its maps of three test
# dates, while it writes its own answers. (Book 8.3.3.)

# %%
from ch08.visualize_attention import SHIPPED, draw_test_questions, load

model = load("attention", SHIPPED / "AttentionSeq2seq.npz", "date.txt")
print(f"right answers to a thousand test dates: {accuracy():.1%}")
draw_test_questions(model, data, count=3)

# %% [markdown]
# The day and the end of the year are read off where they stand, the month off letters of
# its name. What a hyphen looks at does not matter.
#
# ## Does it look where a reader would?
#
# Counted over a thousand test dates: how often is the largest weight on the character that a
# reader would point at?

# %%
from ch08.attention_score import attention_hits, table

hits = attention_hits(model, x_test[:1000], t_test[:1000], id_to_char, reverse=True)
print(*table(hits), sep="\n")

# %% [markdown]
# Always, for the day and the last digit of the year. For others it found another way that works as
# well: a map shows what this model looks at, not where the answer must come from.
#
# ## What does it not know?
#
# Dates that are not like those it was trained on, its answers and how probable it finds them.

# %%
import math

for question in (
    "FRIDAY, AUGUST 26, 1983",
    "MONDAY, AUGUST 26, 1983",
    "february 30, 2001",
    "Sept 27, 1994",
    "27 september 1994",
    "31/12/99",
    "May 5, 2020",
):
    asked = sequence.encode([question], char_to_id, x.shape[1], reverse=True)
    ((answer,),) = model.beam_search(asked, char_to_id["_"], 10, beam_width=1)
    print(f"{question:24} {sequence.decode(answer.ids, id_to_char)}  {math.exp(answer.log_p):.2f}")

# %% [markdown]
# It has no calendar, does not mind a wrong weekday, and in 31/12/99 takes 12 for the day. The dates
# it learned from end in 2017: of its wrong answer for 2020 it is as sure as of the right ones.
#
# ## Is attention better?
#
# All three models on all dates, ten epochs, three times each; what `python -m ch08.compare
# --seeds 3` found, at about four minutes for each run. Thin lines are runs, thick ones their means.
# (Book 8.3.2, figure 8-26.)

# %%
from ch07.comparison import curves_in
from ch08.figures import RESULTS

_ = plot_accuracy(curves_in(RESULTS))

# %% [markdown]
# Attention gets there first, Peeky a little later, and the plain model not at all. With longer
# questions, the one state that Peeky has would have to hold more; each of many states would not.
#
# ## To try
#
# - a date of yours in "What does it not know?", or something that is none.
# - `sequence.load("date.txt")` without `.reversed()`, up to "Does it learn?": attention can do
#   without, if later.
# - `BiAttentionSeq2seq` (from `ch08.bi_attention_seq2seq`) as a third model in "Does it learn?": it
#   reads in both directions. (Book 8.4.1.)
