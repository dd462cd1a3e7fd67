# %% [markdown]
# # Chapter 7: writing, and from sequence to sequence
#
# A model that says which word may come next can be made to write. And two such models, one that
# reads and one that writes, make a translator. This notebook lets the language models of chapter 6
# write, and then asks whether a translator can learn to add, from examples alone.
#
# In a cell, `?` shows what something does (`Seq2seq?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## How does a model write?
#
# It reads a word, says how probable each word is as the next one, one of them is drawn, and that is
# what it reads next. This small model has read "you say goodbye and i say hello ." two hundred
# times. (Book 7.1.1.)

# %%
from ch07.next_word_figure import main as write_two_words

print(*write_two_words(seed=0))

# %% [markdown]
# After *i* it is nearly sure, after *i say* less so: its text has *say* twice, with another word
# behind it each time.
#
# ## What does a large one write?
#
# The Rnnlm of chapter 6 (`python -m ch06.train_rnnlm` trained it on Penn Treebank) goes on from
# *you*. The words of its ids are kept beside the weights of BetterRnnlm. (Book 7.1.2.)

# %%
from ch07.generate_text import load, write

rnnlm, word_to_id, id_to_word = load("rnnlm")
print(*write(rnnlm, "you", word_to_id, id_to_word, sample_size=60, rng=0))

# %% [markdown]
# Words that follow each other mostly go together; a sentence as a whole hardly ever does.
#
# ## And a better one?
#
# BetterRnnlm (`python -m ch06.train_better_rnnlm`, many hours) writes twice: after one word, and
# after the beginning of a sentence, which it reads first. (Book 7.1.3.)

# %%
better, _, _ = load("better")
for prompt in ("you", "the meaning of life is"):
    print(*write(better, prompt, word_to_id, id_to_word, sample_size=60, rng=0))
    print("-" * 50)

# %% [markdown]
# What may follow what, it knows better than Rnnlm; what anything means, neither of them knows.
#
# ## How daring should it be?
#
# The scores are divided by the temperature before they become probabilities. Below 1 the probable
# words become more probable, above 1 less; `greedy` always takes the first.

# %%
for how in (
    {"greedy": True},
    {"temperature": 0.5, "rng": 0},
    {"temperature": 1.0, "rng": 0},
    {"temperature": 2.0, "rng": 0},
):
    (written,) = write(better, "the company", word_to_id, id_to_word, sample_size=25, **how)
    print(how, written, sep="\n", end="\n\n")

# %% [markdown]
# Greedy text is fluent, dull, and the same every time; at a temperature of 2 it falls to pieces.
#
# ## What can be learned from examples alone?
#
# To add: a question is a row of characters, an answer another one, and nobody says what `+` means.
# (Book 7.2.2, 7.2.4.)

# %%
from ch07.show_addition_dataset import main as show_additions
from dataset import addition

print(*addition.lines(15), sep="\n")
show_additions()

# %% [markdown]
# Fifty thousand of these, 5,000 of them for testing. Blanks make all rows equally long, and `_`
# begins the answer.
#
# ## What is a translator made of?
#
# The encoder reads the question and ends in a state `h`; the decoder starts from it and writes the
# answer, as a language model does. (Book 7.2.1, 7.3.)

# %%
from ch07.seq2seq import Seq2seq
from dataset import sequence

(x, t), (x_test, t_test) = sequence.load_data("addition.txt")
char_to_id, id_to_char = sequence.get_vocab()
model = Seq2seq(len(char_to_id), wordvec_size=16, hidden_size=128, rng=0)
print(model)
h = model.encoder.forward(x[:1])
scores = model.decoder.forward(t[:1, :-1], h)
print("question", x[:1].shape, "-> h", h.shape, "-> scores", scores.shape)
guess = model.generate(x[:1], start_id=char_to_id["_"], sample_size=4)
print(f"{sequence.decode(x[0], id_to_char)} = {sequence.decode(guess, id_to_char)}?")

# %% [markdown]
# Whatever the question is, all that the decoder gets of it are the 128 numbers of `h`. The weights
# are random, and so is the answer.
#
# ## How could it be made easier?
#
# By two small changes. The question is read from its end, so that its beginning is close to the
# beginning of the answer; and `PeekySeq2seq` shows `h` to every step of the decoder, not only to
# the first. (Book 7.4.1, 7.4.2.)

# %%
from ch07.peeky_seq2seq import PeekySeq2seq

print(*(repr(text) for text in sequence.decode([x[0], x[0, ::-1]], id_to_char)), sep=" becomes ")
print(PeekySeq2seq(len(char_to_id), wordvec_size=16, hidden_size=128, rng=0))

# %% [markdown]
# In the decoder, `Wx` and `W` have 128 rows more: the ones for `h`.
#
# ## Do they learn?
#
# All three, on the questions of at most five characters, such as 57+5 and 38+91, with 64 numbers in
# a state and a learning rate of 0.01: that takes seconds. After each time through the data they
# answer test questions that they have never seen. (Book 7.3.4, 7.4.)

# %%

from ch07.seq2seq_run import plot_accuracy
from common.evaluate import seq2seq_accuracy
from common.optimizer import Adam
from common.trainer import Trainer

blank = char_to_id[" "]
short, short_test = ((q[:, 5:] == blank).all(axis=1) for q in (x, x_test))
x, t, x_test, t_test = x[short, :5], t[short], x_test[short_test, :5], t_test[short_test]
print(len(x), "questions to learn from,", len(x_test), "for testing")


def accuracy():
    return seq2seq_accuracy(model, x_test[:, ::step], t_test)


curves, answers = {}, {}
for label, model_class, step in (
    ("baseline", Seq2seq, 1),
    ("reverse", Seq2seq, -1),
    ("reverse + peeky", PeekySeq2seq, -1),
):
    model = model_class(len(char_to_id), wordvec_size=16, hidden_size=64, rng=0)
    trainer = Trainer(model, Adam(lr=0.01))
    trainer.fit(
        *(x[:, ::step], t),
        max_epoch=10,
        batch_size=128,
        max_grad=5.0,
        eval_interval=None,
        rng=0,
        after_epoch=lambda trainer: {"accuracy": accuracy().exact},
    )
    curves[label] = [[row["accuracy"] for row in trainer.epochs]]
    answers[label] = accuracy().guesses
_ = plot_accuracy(curves)

# %% [markdown]
# With the plain model less than a third of them are right, with reversed questions more than half,
# and with Peeky nearly all, and sooner.
#
# ## What do the answers look like?
#
# Some test questions, the truth, and what the three models say. (Book 7.3.4.)

# %%
for n in range(12):
    question, truth = (
        sequence.decode(x_test[n], id_to_char),
        sequence.decode(t_test[n, 1:], id_to_char),
    )
    said = (sequence.decode(guess[n], id_to_char) for guess in answers.values())
    print(f"{question} = {truth}  ", *said)

# %% [markdown]
# Where they are wrong, they are mostly not far from the truth, as an estimate would be.
#
# ## Which digits are hard?
#
# The share of answers that are right in their first, second, third and fourth character.

# %%
import matplotlib.pyplot as plt

for label, guess in answers.items():
    plt.plot(range(1, 5), (guess == t_test[:, 1:]).mean(axis=0), "o-", label=label)
plt.xticks(range(1, 5))
plt.xlabel("character of the answer")
plt.ylabel("share that is right")
plt.ylim(0, 1.05)
plt.legend()
plt.show()

# %% [markdown]
# How large a sum is about, all three have learned. What the plain model gets wrong is mostly the
# last digit, the third character of most answers. (The fourth is nearly always a blank.)
#
# ## How sure is the model?
#
# Beam search keeps several answers as they grow, and gives the most probable ones with their
# probabilities; here are Peeky's, for questions that you may change.

# %%
import math

for question in ("57+5", "5+57", "38+91", "9+999"):
    asked = sequence.encode([question], char_to_id, 5, reverse=True)
    (found,) = model.beam_search(asked, char_to_id["_"], 4, beam_width=3)
    texts = (f"{sequence.decode(a.ids, id_to_char)} ({math.exp(a.log_p):.3f})" for a in found)
    print(f"{question:5} =", *texts)

# %% [markdown]
# The second and third are mostly near misses: another digit, one more or one less.
#
# ## And with all of the additions?
#
# The settings of the book: up to three digits, 128 numbers in a state, 25 epochs. This is what
# `python -m ch07.compare --seeds 3` found, about two minutes for each run, and two more seeds of
# Peeky. Thin lines are runs, thick ones their means. (Book 7.4, figure 7-28.)

# %%
from ch07.comparison import curves_in, table
from ch07.figures import RESULTS

full = curves_in(RESULTS)
plot_accuracy(full)
print(*table(full), sep="\n")

# %% [markdown]
# The order is the same. Accuracy jumps where the learning rate never falls: seed 0 of Peeky was at
# 99.58 % before its last epoch.
#
# ## To try
#
# - `rng=1` in the first cell of text: another one, by the same model.
# - `("peeky", PeekySeq2seq, 1)` as a fourth model: what is the reversal worth to it?
# - `cell="gru"` in `model_class(...)`: does it have to be an LSTM?
