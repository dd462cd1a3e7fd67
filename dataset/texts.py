"""One name for every text a language model can read: "ptb", "grammar", or a file.

corpus, word_to_id, id_to_word = texts.load_data("grammar", "test")
text = texts.load_parts("ptb")    # text.train, text.valid, text.test, text.word_to_id, ...
"""

from pathlib import Path

from dataset import grammar, ptb, text_file
from dataset.text_file import Corpus, Parts


def load_data(name: str = "ptb", data_type: str = "train") -> Corpus:
    """corpus (N,) ids, word_to_id and id_to_word of one part of a text.

    name       "ptb", "grammar", or the path of a text file (see the modules of these names)
    data_type  "train", "valid" (or "val") or "test"
    Raises FileNotFoundError for a name that is none of the three, and what the loaders raise.
    """
    if name == "ptb":
        return ptb.load_data(data_type)
    if name == "grammar":
        return grammar.load_data(data_type)
    return text_file.load_data(_existing(name), data_type)


def load_parts(name: str = "ptb") -> Parts:
    """The ids (N,) of all three parts of a text and its vocabulary, read once; as `load_data`."""
    if name == "ptb":
        return ptb.load_parts()
    if name == "grammar":
        return grammar.load_parts()
    return text_file.load_parts(_existing(name))


def _existing(name: str) -> str:
    if not Path(name).exists():
        raise FileNotFoundError(f"corpus {name!r} is neither 'ptb' nor 'grammar' nor a file")
    return name
