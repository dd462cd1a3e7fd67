# %% [markdown]
# # Chapter 4: word2vec, fast
#
# The model of chapter 3 multiplies by a matrix with a row for every word, and then compares with
# every word. For seven words that is nothing. This notebook asks what to do when there are ten
# thousand, and what a word's vector is good for once it is learned.
#
# In a cell, `?` shows what something does (`Embedding?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## Where does the time go?
#
# One step, forward and backward, for a hundred words: the model of chapter 3 and the one of this
# chapter, while the vocabulary grows. (Book 4.1.)

# %%
import timeit

import matplotlib.pyplot as plt
import numpy

from ch03.simple_cbow import SimpleCBOW
from ch04.cbow import CBOW
from common.words.text import convert_one_hot, create_contexts_target

sizes = [500, 1000, 2000, 4000]
steps = {
    "chapter 3": "old.forward(one_hot, target); old.backward()",
    "chapter 4": "new.forward(contexts, target); new.backward()",
}
times = {name: [] for name in steps}
for V in sizes:
    text = numpy.arange(V)  # every word once
    contexts, target = create_contexts_target(text[:102])
    one_hot = convert_one_hot(contexts, V)
    old, new = SimpleCBOW(V, 100, rng=0), CBOW(V, 100, 1, text, rng=0)
    for name, step in steps.items():
        seconds = min(timeit.repeat(step, globals=globals(), number=1, repeat=5))
        times[name].append(1000 * seconds)
for name, ms in times.items():
    plt.plot(sizes, ms, "o-", label=name)
plt.xlabel("words in the vocabulary")
plt.ylabel("milliseconds per step")
plt.legend()
plt.show()

# %% [markdown]
# The old model's time grows with the vocabulary. The new one does not notice: of all the words, it
# touches only those at hand and a few others.
#
# ## What does a one-hot vector times a matrix give?
#
# A row. `MatMul` adds up all rows, all but one of them times zero; `Embedding` takes the row.
# (Book 4.1.1.)

# %%
from common.layers import Embedding, MatMul

W = numpy.arange(21.0).reshape(7, 3)
ids = numpy.array([1, 0, 3, 0])
print(MatMul(W).forward(convert_one_hot(ids, 7)))
print(Embedding(W).forward(ids))

# %% [markdown]
# The same numbers, without a product.
#
# ## And if a word occurs twice?
#
# Word 0 was looked up twice, so its row has two gradients. Assigning them keeps one of the two;
# the layer adds. (Book 4.1.2.)

# %%
dy = numpy.array([[1.0, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]])
assigned = numpy.zeros_like(W)
assigned[ids] = dy
layer = Embedding(W)
layer.forward(ids)
layer.backward(dy)
print("rows 0 to 3, assigned:", *assigned[:4].tolist(), sep="\n")
print("rows 0 to 3, added:", *layer.grads[0][:4].tolist(), sep="\n")

# %% [markdown]
# Row 0 should be 2 + 4 = 6. Assignment gives 4, and no error would ever tell.
#
# ## How to ask yes or no?
#
# "Which of ten thousand words is it?" becomes "is it *say*?". The sigmoid turns a score into the
# probability of a yes; here, yes is right. (Book 4.2.2, 4.2.3.)

# %%
from ch01.figures import plot_sigmoid
from common.layers import SigmoidWithLoss

plot_sigmoid()
for score in (-5.0, 0.0, 5.0):
    loss = SigmoidWithLoss()
    loss.forward(numpy.array([score]), numpy.array([1]))
    print(f"score {score:4}  yes {loss.y[0]:.3f}  gradient {loss.backward()[0]:.3f}")

# %% [markdown]
# The gradient is the probability minus the truth: hardly anything changes where the model is sure
# and right, and as much as ever can where it is sure and wrong.
#
# ## Where does the score come from?
#
# From one dot product per question: what the neighbours say, `h`, times the row of the word asked
# about. (Book 4.2.4.)

# %%
from ch04.figures import print_dot_products

print_dot_products()

# %% [markdown]
# Three questions at once, about words 0, 3 and 1, and a score for each: 5, 122 and 86.
#
# ## Which wrong words are asked about?
#
# With yes as the only answer, a model could learn to say yes to everything. So it is also asked
# about words drawn at random, often the frequent ones, but less often than they occur.
# (Book 4.2.6.)

# %%
from ch04.figures import plot_sampling

_ = plot_sampling(power=0.75, draws=10_000, seed=0)

# %% [markdown]
# The text is made-up English (`dataset/grammar.py`), the words are its 1st, 2nd, 4th … most
# frequent. The power 0.75 takes from the first few and gives to those behind.
#
# ## Are the gradients right?
#
# All questions together make the loss. It draws fresh words at each call, so they are held fixed
# while it is checked. (Book 4.2.5, 4.2.7.)

# %%
from common.gradient_check import check_gradients
from common.negative_sampling import NegativeSamplingLoss
from common.rng import generator, randn

rng = generator(0)
text = numpy.array([0, 1, 2, 3, 4, 1, 5, 6])
loss = NegativeSamplingLoss(randn(rng, 7, 3, dtype="float64"), text)


def same_draws():
    loss.sampler.rng = generator(0)


h = randn(rng, 4, 3, dtype="float64")
target = numpy.array([1, 2, 3, 1])
errors = check_gradients(loss, h, target, before=same_draws)

# %% [markdown]
# They agree, for `h` and for the matrix of all words.
#
# ## Does it learn?
#
# Fifty thousand words of the made-up English, two neighbours on each side. `"ptb"` in place of
# `"grammar"` gives Penn Treebank; then ask about other words below. (Book 4.3.1, 4.3.2.)

# %%
from common.optimizer import Adam
from common.trainer import Trainer
from dataset import texts

text, word_to_id, id_to_word = texts.load_data("grammar")
text = text[:50_000]
print(" ".join(id_to_word[i] for i in text[:28].tolist()))

contexts, target = create_contexts_target(text, window_size=2)
model = CBOW(len(word_to_id), 20, 2, text, rng=0)
print(model)
trainer = Trainer(model, Adam(lr=0.005))
trainer.fit(contexts, target, max_epoch=5, batch_size=100, eval_interval=50, rng=0, verbose=False)
_ = trainer.plot()

# %% [markdown]
# It begins at 4.16, which is six questions answered by throwing a coin, 6 ln 2, and falls fast.
#
# ## Which words has it found alike?
#
# Nobody told it what a noun is, or a plural.

# %%
from common.words.similarity import analogy, most_similar

vocabulary = word_to_id, id_to_word, model.word_vecs
for word in ("dog", "dogs", "sees", "near"):
    most_similar(word, *vocabulary, top=4)
answers = analogy("dog", "dogs", "bird", *vocabulary, top=3)

# %%
from ch04.show_vectors import pca, plot_words
from common.words.evaluation import unit

chosen = (
    "dog cat man woman bird dogs cats men women birds sees likes chases see like chase sleeps runs "
    "sleep run little old young big near behind under quietly often house river houses rivers"
)
words = chosen.split()
points = pca(unit(model.word_vecs[[word_to_id[word] for word in words]]))
_ = plot_words(points, words)

# %% [markdown]
# Nouns are on the right, other words on the left; places are apart from beings, one verb form from
# the other. A dog and a bird are nearly the same, which is true of this text: whatever one of them
# does there, the other does as well. That is also why the analogy fails: any plural of a being fits
# as well as *birds*, which is not among the three.
#
# ## What does real text give?
#
# From here on, the vectors are those that `python -m ch04.train` made, in about a minute, of Penn
# Treebank, 930,000 words of business news. They come with the library. (Book 4.3.3.)

# %%
from ch04 import eval as neighbours

neighbours.main(top=4)

# %% [markdown]
# Pronouns, stretches of time, cars. The analogies are half right: *woman*, *went* and *children*
# are near the top, but none is first, and *a.m* gets there by the mere length of its vector, the
# longest of all.
#
# ## What does it look like?

# %%
from ch04 import show_vectors

show_vectors.main()

# %% [markdown]
# Countries, cities and words of time keep together. In the second picture, both arrows should be
# the same, but to these vectors a king differs from a queen in more than a man from a woman.
#
# ## How good are they?
#
# Two ways to put a number on it: questions like those above, and pairs of words with a score for
# how related they are. Both lists are short, and our own. (Book 4.4.2.)

# %%
from ch04 import evaluate

by_category, agreement = evaluate.main(cosine=True)

# %% [markdown]
# 22 of 120 questions are answered rightly, where blind guesses among ten thousand words would hit
# none; forms of words are easier than facts. Rho would be 1 if scores and cosines put the pairs in
# the same order, and 0 if the two orders had nothing to do with each other.
#
# ## What are they good for?
#
# Word vectors are learned from text that nobody had to label. Here they carry over to a task with
# only 120 labelled e-mails: each is the mean of its words' vectors, sorted in three. (Book 4.4.1.)

# %%
from ch04 import document_vectors, sentiment

found = document_vectors.main("our room at the hotel was cold and the food was terrible", top=3)
print()
accuracy = sentiment.main()

# %% [markdown]
# The search finds the subject and misses the opinion: its first e-mail is about a hotel, and full
# of praise. The word most like *good* is *bad*, since both have the same neighbours; so positive
# and negative e-mails are often taken for each other.
#
# ## To try
#
# - `SkipGram` of `ch04.skip_gram` in place of `CBOW`: why is its first loss four times as high?
# - `plot_sampling` with `power=1`, then `power=0`: where do the red bars go?
# - `show_vectors.main(method="tsne")`, or `words=` of your own: the same neighbours, another map.
