"""What Penn Treebank looks like as ids, and its first lines as text (figure 2-12).

    python -m ch02.show_ptb
    python -m ch02.show_ptb --data-type valid   whose first lines are those of the figure

Source: book 2.4.4.
"""

from common.cli import run
from dataset import texts

LINES = 6  # to print as text


def main(corpus: str = "ptb", data_type: str = "train") -> None:
    """Print the size and the beginning of a text, and some words with their ids.

    corpus     text: ptb, grammar (made-up English), or a text file (one sentence a line)
    data_type  part of the text: train, valid or test (book 2.4.4)
    """
    text, word_to_id, id_to_word = texts.load_data(corpus, data_type)
    print("corpus size:", len(text))
    print("corpus[:30]:", text[:30])
    print()
    for id_ in range(min(3, len(id_to_word))):
        print(f"id_to_word[{id_}]:", id_to_word[id_])
    print()
    for word in ("car", "happy", "lexus"):
        print(f"word_to_id[{word!r}]:", word_to_id.get(word, "not found"))
    print()
    lines = " ".join(id_to_word[id_] for id_ in text[:1000].tolist()).split(" <eos>")
    print(*(line.strip() for line in lines[:LINES]), sep="\n")


if __name__ == "__main__":
    run(main)
