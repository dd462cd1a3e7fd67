"""What Penn Treebank looks like as ids, and its first lines as text (figure 2-12).

    python -m ch02.show_ptb
    python -m ch02.show_ptb --data-type valid   whose first lines are those of the figure
    python -m ch02.show_ptb --corpus novel.txt --tokens lower   the training part of a text of yours

Source: book 2.4.4.
"""

from itertools import pairwise

import numpy

from common.cli import run, then
from common.words.queries import words_to_ask
from dataset import texts
from dataset.text_file import EOS
from dataset.tokens import Cut, join, name_of

BOOK = ("car", "happy", "lexus")
LINES = 6  # to print as text


def main(
    corpus: str = "ptb",
    data_type: str = "train",
    tokens: str | Cut = "words",
    query: str | None = None,
) -> None:
    """Print the size and the beginning of a text, and some words with their ids.

    corpus     text: ptb, grammar (made-up English), or a text file (one sentence a line)
    data_type  part of the text: train, valid or test (book 2.4.4); of a text file, the first 80 %,
               the next 10 % or the last 10 % of its lines
    tokens     how lines of a text file are cut: words (at blanks), lower (lower case, punctuation
               marks apart) or characters
    query      words to print the ids of, with blanks between; if not given, car, happy and lexus
               (book 2.4.4), or frequent words where the text lacks these
    """
    text, word_to_id, id_to_word = texts.load_data(corpus, data_type, tokens=tokens)
    print("corpus size:", len(text))
    print("corpus[:30]:", text[:30])
    print()
    for id_ in range(min(3, len(id_to_word))):
        print(f"id_to_word[{id_}]:", id_to_word[id_])
    print()
    counts = numpy.bincount(text, minlength=len(word_to_id))
    for word in words_to_ask(query, BOOK, word_to_id, counts):
        print(f"word_to_id[{word!r}]:", word_to_id.get(word, "not found"))
    print()
    words = [id_to_word[id_] for id_ in text[:1000].tolist()]
    ends = [0, *(k + 1 for k, word in enumerate(words) if word == EOS)][: LINES + 1]
    for start, end in pairwise(ends if len(ends) > 1 else [0, len(words)]):
        print(join((word for word in words[start:end] if word != EOS), name_of(tokens)))
    then("ch02.count_method_big", corpus=corpus, tokens=tokens)


if __name__ == "__main__":
    run(main)
