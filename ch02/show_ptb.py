"""What Penn Treebank looks like as ids.

    python -m ch02.show_ptb

Source: book 2.4.4.
"""

from common.cli import arguments
from dataset import corpus as texts


def main(corpus: str = "ptb", data_type: str = "train") -> None:
    """Print the size and the beginning of a text, and some words with their ids.

    corpus     ptb, grammar, or a text file (one sentence a line)
    data_type  train, valid or test
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


if __name__ == "__main__":
    main(**arguments(main))
