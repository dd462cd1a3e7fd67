# %% [markdown]
# # Chapter 3: word2vec, the simple version
#
# Chapter 2 counted a whole text and then took the table apart. The other way is to guess: cover a
# word, let a network say which one it is, and change the network where it is wrong. This notebook
# asks why that makes word vectors, on one sentence and then on a longer text.
#
# In a cell, `?` shows what something does (`SimpleCBOW?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## What is there to guess?
#
# Every word with a neighbour on both sides is a target, and its two neighbours are the context it
# is to be guessed from. (Book 3.3.1.)

# %%
from ch03.figures import print_pairs
from common.words.text import create_contexts_target, preprocess

corpus, word_to_id, id_to_word = preprocess("You say goodbye and I say hello.")
contexts, target = create_contexts_target(corpus, window_size=1)
print_pairs(contexts, target, id_to_word)

# %% [markdown]
# Eight words give six guesses. Nobody had to write down the right answers: they are in the text.
#
# ## How does a network read a word?
#
# As a row of zeros with a single 1. Times a matrix, it gives one row of the matrix, and that row is
# the word's vector. (Book 3.1.3, 3.3.2.)

# %%
from ch03.figures import plot_matmul, print_words

print_words(["you", "goodbye"], word_to_id)
plot_matmul(seed=0)

# %% [markdown]
# The 1 is in place 0, so the product is row 0, framed in red; here, W is random.
#
# ## How does it guess the word between two others?
#
# It takes the mean of their vectors, and a second matrix makes a score for each of the seven words.
# Here both matrices are random. (Book 3.2.1.)

# %%
from ch03.cbow_predict import main as cbow_predict
from common.functions import softmax

scores = cbow_predict(seed=0)
print("as probabilities:", softmax(scores).round(2))

# %% [markdown]
# The word between *you* and *goodbye* is *say*, number 1. It gets 0.09, less than 1/7, the blind
# guess: this network has learnt nothing yet.
#
# ## What does a wrong guess say?
#
# The loss is $-\log$ of the probability of the right word; its gradient, for each score, the
# probability minus the truth. (Book 3.2.2.)

# %%
import numpy

from common.gradient_check import check_gradients
from common.layers import SoftmaxWithLoss

loss_layer = SoftmaxWithLoss()
say = numpy.array([word_to_id["say"]])
print("loss", round(float(loss_layer.forward(scores, say)), 2))
print("gradient", loss_layer.backward().round(2))
errors = check_gradients(SoftmaxWithLoss(), scores, say)

# %% [markdown]
# The gradient is below zero for *say* alone: a step against it raises that score and lowers the
# others, most those that were believed most. The last line compares it with the slope measured by
# small nudges.
#
# ## Does it learn?
#
# The model has the same matrix twice, once for each neighbour. One thousand times through the six
# samples, with the book's settings. (Book 3.4.)

# %%
from ch03.simple_cbow import SimpleCBOW
from ch03.train import plot_loss
from common.optimizer import Adam
from common.trainer import Trainer
from common.words.text import convert_one_hot

V = len(word_to_id)
x, t = convert_one_hot(contexts, V), convert_one_hot(target, V)
cbow = SimpleCBOW(V, hidden_size=5, rng=0)
print(cbow)
print("loss before training", cbow.forward(x, t), "and ln 7", numpy.log(7))
trainer = Trainer(cbow, Adam(lr=0.001))
trainer.fit(x, t, max_epoch=1000, batch_size=3, rng=0, verbose=False)
_ = plot_loss(trainer.loss_list)

# %% [markdown]
# It begins at ln 7, the loss of a guess among seven words, and falls without reaching zero.
#
# ## What goes on inside?
#
# The context *you*, *goodbye* on its way through the trained model. (Book 3.2.1.)

# %%
from ch03.figures import plot_activations

plot_activations(cbow, list(word_to_id))

# %% [markdown]
# The most likely word is *say*, as it should be, though *and* is still in question.
#
# ## Why is the loss not zero?
#
# Train longer, with larger steps, and look at the probability of the right word in each sample.

# %%
trainer = Trainer(cbow, Adam(lr=0.01))
trainer.fit(x, t, max_epoch=3000, batch_size=6, rng=0, verbose=False)
probabilities = softmax(cbow.predict(x))
for context, id_, p in zip(contexts.tolist(), target.tolist(), probabilities, strict=True):
    print(*(id_to_word[i] for i in context), "->", id_to_word[id_], round(float(p[id_]), 2))
print("loss", cbow.forward(x, t), "and (2 ln 2) / 6", 2 * numpy.log(2) / 6)

# %% [markdown]
# The mean of *say* and *and* is that of *and* and *say*. The model sees one context where there are
# two, with *goodbye* in one and *i* in the other, and gives each one half. No guess is better.
#
# ## Which words have become alike?
#
# The rows of the first matrix are the word vectors. (Book 3.4.)

# %%
from common.words.similarity import most_similar

for query in ("goodbye", "you"):
    most_similar(query, word_to_id, id_to_word, cbow.word_vecs, top=3)

# %% [markdown]
# *Goodbye* and *i* help with the same guesses, and so do *you* and *hello*: to make the same guess
# from two words, the model gives them the same vector.
#
# ## And the other way round?
#
# Skip-gram is given the word in the middle and guesses its two neighbours. Its loss is a sum over
# two guesses. (Book 3.5.2.)

# %%
import matplotlib.pyplot as plt

from ch03.simple_skip_gram import SimpleSkipGram

for model in (SimpleCBOW(V, 5, rng=0), SimpleSkipGram(V, 5, rng=0)):
    trainer = Trainer(model, Adam(lr=0.001))
    trainer.fit(x, t, max_epoch=1000, batch_size=3, rng=0, verbose=False)
    plt.plot(trainer.loss_list, linewidth=0.8, label=type(model).__name__)
for least in (2 * numpy.log(2) / 6, 16 * numpy.log(2) / 6):
    plt.axhline(least, color="grey", linestyle=":")
plt.xlabel("epoch")
plt.ylabel("loss (nats)")
plt.ylim(bottom=0)
plt.legend()
plt.show()

# %% [markdown]
# Dotted is the least loss each can have. Skip-gram's is higher because its task is harder: beside
# *say* there are four different words, and one set of scores must do for both sides.
#
# ## What is chance, and what is not?
#
# Both models from three different beginnings.

# %%
from common.words.similarity import cos_similarity

print("cosines                  you, hello   goodbye, i")
for kind in (SimpleCBOW, SimpleSkipGram):
    for seed in range(3):
        model = kind(V, 5, rng=seed)
        trainer = Trainer(model, Adam(lr=0.001))
        trainer.fit(x, t, max_epoch=1000, batch_size=3, rng=seed, verbose=False)
        you, _, goodbye, _, i, hello, _ = model.word_vecs
        cosines = cos_similarity(you, hello), cos_similarity(goodbye, i)
        print(f"{kind.__name__:15} seed {seed}   {cosines[0]:10.4f}   {cosines[1]:10.4f}")

# %% [markdown]
# CBOW makes both pairs alike each time, skip-gram only *goodbye* and *i*. It is never given *you*,
# the first word, which is no target, so that this vector stays what the seed made it.
#
# ## And on a longer text?
#
# Fifty thousand words of made-up English, CBOW and skip-gram, a thousand steps each; beside them
# counts, PPMI and SVD, as in chapter 2. Ten numbers a word. (Book 3.5.3.)

# %%
from common.words.text import create_co_matrix, ppmi
from dataset import grammar

text, word_to_id, id_to_word = grammar.load_data(tokens=50_000)
V = len(word_to_id)
W = ppmi(create_co_matrix(text, V, window_size=1))
vectors = {"counting": numpy.linalg.svd(W)[0][:, :10]}
contexts, target = create_contexts_target(text, window_size=1)
x, t = convert_one_hot(contexts, V), convert_one_hot(target, V)
for model in (SimpleCBOW(V, 10, rng=0), SimpleSkipGram(V, 10, rng=0)):
    Trainer(model, Adam(lr=0.01)).fit(x, t, max_epoch=2, batch_size=100, rng=0, verbose=False)
    vectors[type(model).__name__] = model.word_vecs

# %%
from ch02.figures import plot_cosines

kinds = (
    "dog cat man  dogs cats men  house river tree  sees likes follows  see like follow  "
    "sleeps runs waits  sleep run wait  near behind under  quietly often today"
)
plot_cosines(vectors, kinds.split(), word_to_id)

# %% [markdown]
# All three find the same kinds of words; the guessing models keep more of what one kind has in
# common with another.
#
# As one-hot vectors, the contexts of this text take about 56 million bytes. Those of Penn Treebank
# would take 74 billion: chapter 4 does without one-hot vectors, and there `"ptb"` is the default.
#
# ## To try
#
# - With `hidden_size=2`, then 1, where is the least loss no longer reached?
# - Rank `cbow.out_layer.params[0].T`, the other matrix, instead of `cbow.word_vecs`: *you* is now
#   like the full stop, since neither is ever the right answer. (Book 3.2.3.)
# - With `tokens=5_000` and `max_epoch=20`, as many steps on a tenth of the text, which of the three
#   pictures suffers most?
