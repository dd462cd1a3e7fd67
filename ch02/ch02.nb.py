# %% [markdown]
# # Chapter 2: word vectors from counts
#
# A word is a string of letters, and the letters do not say that a cat is more like a dog than like
# a bridge. This notebook asks how much of that can be found by counting which words stand next to
# which: first in one sentence, then in two hundred thousand words.
#
# In a cell, `?` shows what something does (`ppmi?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## What does a thesaurus know?
#
# People have written down which words mean the same, and what is a kind of what. WordNet is such a
# thesaurus. Its unit is the synset: one meaning, with all the words that have it. Here is a small
# part of it, with definitions of our own. (Book 2.2, appendix B.)

# %%
from dataset import wordnet

net = wordnet.small()  # wordnet.load() takes the whole of it, if it is on this machine
print(net.synsets("car"))
car = net.synset("car.n.01")
print(car.definition())
print(car.lemma_names())

# %% [markdown]
# Above each synset are more general ones, its hypernyms, up to *entity*.

# %%
from ch02.thesaurus import plot_hypernyms

others = [net.synset(name) for name in ("motorcycle.n.01", "dog.n.01", "novel.n.01")]
plot_hypernyms([car, *others])

# %% [markdown]
# The fewer steps from one to the other, the more alike they are: with d steps, the path similarity
# is 1 / (1 + d).

# %%
for other in others:
    print(car, other, car.path_similarity(other))

# %% [markdown]
# Motorcycle, dog, novel: most would agree. But every entry is work for people, new words are
# missing, and nothing tells how two words are used. The rest of this notebook lets text speak
# instead.
#
# ## How does a text become numbers?
#
# Each new word gets the next number. The text is then an array of numbers, and two dictionaries
# lead from words to numbers and back. (Book 2.3.1.)

# %%
from common.words.text import preprocess

corpus, word_to_id, id_to_word = preprocess("You say goodbye and I say hello.")
print(corpus)
print(word_to_id)

# %% [markdown]
# Eight words, seven of them different: *say* is there twice, with the same number.
#
# ## Which words stand next to each other?
#
# Count, for every word, the words one place to its left and to its right. (Book 2.3.4.)

# %%
from ch02.figures import table
from common.words.text import create_co_matrix

words = list(word_to_id)
C = create_co_matrix(corpus, len(words), window_size=1)
print(table(C, words, words))

# %% [markdown]
# Each row is a vector that stands for its word. Those of *goodbye* and *i* are equal: both have
# *say* on one side and *and* on the other.
#
# ## How alike are two words?
#
# As alike as their vectors: the cosine of the angle between them is 1 where they point the same
# way, and 0 where they have nothing in common. (Book 2.3.5.)

# %%
from common.words.similarity import cos_similarity

for other in ("i", "goodbye", "say"):
    print("you,", other, cos_similarity(C[word_to_id["you"]], C[word_to_id[other]]).round(3))

# %% [markdown]
# *You* has one neighbour, *say*, and *i* has it too, beside another one: 1 / √2.
#
# ## Which words are most like "you"?
#
# The same with every word, the highest first. (Book 2.3.6.)

# %%
from common.words.similarity import most_similar

ranking = most_similar("you", word_to_id, id_to_word, C)

# %% [markdown]
# That *i* comes out is good, that *goodbye* and *hello* are no further away is not: in one sentence
# four of the other six words have *say* beside them.
#
# ## Is a count a fair measure?
#
# A word that is everywhere is also beside everything. PPMI asks how much more often two words meet
# than they would by chance, in powers of two, and takes less than chance as 0. (Book 2.4.1.)

# %%
from common.words.text import ppmi

W = ppmi(C)
print(table(W.astype("float64").round(2), words, words))

# %% [markdown]
# All the counts were 0 or 1. Now *hello* and the full stop, which hardly meet other words, weigh
# most together, and *say*, which meets four, weighs little beside three of them.
#
# ## Can two numbers become one?
#
# Points that lie near a line are almost told by their place on the line. SVD finds the line that
# loses least. (Book 2.4.2.)

# %%
from ch02.figures import correlated_points, plot_projection

plot_projection(correlated_points(seed=0))

# %% [markdown]
# What is lost are the short grey strokes: how far each point is from the line.
#
# ## Can seven numbers become two?
#
# The same with the seven words: of the columns of U, the first says most, the second what is most
# of the rest. (Book 2.4.3.)

# %%
import numpy

from ch02.count_method_small import plot_words

U, s, Vt = numpy.linalg.svd(W)
_ = plot_words(word_to_id, U)

# %% [markdown]
# *Goodbye* and *i* share one place, since their rows were equal. *You* and *hello* are on one line
# with them, and *say*, *and* and the full stop on another: each word's neighbours are on the line
# where it is not itself. Another machine may turn the picture or mirror it.
#
# ## And if the text is longer?
#
# One sentence says little. Here is a long text in made-up English, which needs no download. With
# `"ptb"` the same line gives Penn Treebank, the book's text, whose ten thousand different words are
# a matter for the command at the end of this notebook. (Book 2.4.4.)

# %%
from dataset import texts

text, word_to_id, id_to_word = texts.load_data("grammar")
print(len(text), "words,", len(word_to_id), "of them different")
print(" ".join(id_to_word[i] for i in text[:50].tolist()))

# %% [markdown]
# `<eos>` ends a sentence and is a word like others. The steps are those from above, with two words
# to each side.

# %%
C = create_co_matrix(text, len(word_to_id), window_size=2)
W = ppmi(C)
U, s, Vt = numpy.linalg.svd(W)
named = ["dog", "dogs", "house", "sees", "sleep", "all", "near", "the"]
_ = plot_words({word: word_to_id[word] for word in named}, U)

# %% [markdown]
# Each point is one of the 140 words, eight of which are named. They lie in heaps: with *near* are
# the other prepositions, with *house* the other places.
#
# ## How many numbers does a word need?
#
# The singular values say how much each column of U carries.

# %%
import matplotlib.pyplot as plt

plt.plot(range(1, len(s) + 1), s, ".")
plt.xlabel("column of U")
plt.ylabel("singular value")
plt.show()

# %% [markdown]
# Eight or nine stand out, then comes a long slope, much of which is the chance of this one text. Of
# Penn Treebank, with its ten thousand words, the book keeps a hundred columns.
#
# ## What do counts, PPMI and SVD find?
#
# The cosines between some words, sorted by kind, from each of the three.

# %%
from ch02.figures import plot_cosines

kinds = (
    "dog cat man  dogs cats men  house river tree  sees likes follows  see like follow  "
    "sleeps runs waits  sleep run wait  near behind under  quietly often today"
)
chosen = kinds.split()
plot_cosines({"counts": C, "PPMI": W, "SVD, 10 columns": U[:, :10]}, chosen, word_to_id)

# %% [markdown]
# By the counts everything is alike, since *the* and `<eos>` are near everything. PPMI brings out
# the kinds of words, and ten numbers instead of 140 show them more clearly still, though nobody has
# said what a verb is, or a plural.
#
# ## How much text does it take?
#
# The same picture from one hundredth, one tenth, and all of the text.

# %%
from dataset import grammar

found = {}
for tokens in (2_000, 20_000, 200_000):
    text, _, _ = grammar.load_data(tokens=tokens)
    M = ppmi(create_co_matrix(text, len(word_to_id), window_size=2))
    found[f"{len(text):,} words"] = numpy.linalg.svd(M)[0][:, :10]
plot_cosines(found, chosen, word_to_id)

# %% [markdown]
# Two thousand words hardly tell nouns from verbs. Twenty thousand show all the kinds, and more text
# only makes them clearer.
#
# ## Who is a word's neighbour?
#
# The list for a few words, from ten numbers each.

# %%
for query in ("dog", "rivers", "sees", "quietly"):
    most_similar(query, word_to_id, id_to_word, U[:, :10], top=4)

# %% [markdown]
# Each has words of its own kind. For Penn Treebank there is `python -m ch02.count_method_big`; what
# it finds for *you*, *year*, *car* and *toyota* is in this chapter's README, next to the book's
# lists.
#
# ## To try
#
# - Add *You say hello and I say goodbye.* to the first text: who shares a place in the plane now?
# - Take `U[:, :2]` for the third picture of cosines: which kinds of words run together?
# - Take all of `U` there: different words have cosine 0. Its rows are at right angles; only leaving
#   something out makes words alike.
