"""One name for every text a language model can read: "ptb", "grammar", or a file.

corpus, word_to_id, id_to_word = texts.load_data("grammar", "test")
text = texts.load_parts("ptb")    # text.train, text.valid, text.test, text.word_to_id, ...
corpus, word_to_id, id_to_word = texts.load_text("novel.txt", tokens="lower")    # all of it
"""

from typing import Any

from dataset import grammar, ptb, text_file
from dataset.fetch import expanded
from dataset.text_file import Corpus, Parts
from dataset.tokens import Cut, name_of

__all__ = ["MADE", "load_data", "load_parts", "load_text", "source"]

MADE = {"ptb": ptb, "grammar": grammar}  # texts that are words already


def load_data(
    name: str = "ptb",
    data_type: str = "train",
    *,
    tokens: str | Cut = "words",
    min_count: int = 1,
) -> Corpus:
    """corpus (N,) ids, word_to_id and id_to_word of one part of a text.

    name       "ptb", "grammar", or the path of a text file (see the modules of these names)
    data_type  "train", "valid" (or "val") or "test"
    tokens     how the lines of a file are cut (see `dataset.tokens`)
    min_count  words that the training part of a file has fewer times become `<unk>`
    Raises FileNotFoundError for a name that is none of the three, ValueError for `tokens` or
    `min_count` with a text that is no file, and what the loaders raise.
    """
    how = _how(name, tokens, min_count)
    return (
        MADE[name].load_data(data_type)
        if name in MADE
        else text_file.load_data(name, data_type, **how)
    )


def load_parts(name: str = "ptb", *, tokens: str | Cut = "words", min_count: int = 1) -> Parts:
    """The ids (N,) of all three parts of a text and its vocabulary, read once; as `load_data`."""
    how = _how(name, tokens, min_count)
    return MADE[name].load_parts() if name in MADE else text_file.load_parts(name, **how)


def load_text(name: str = "ptb", *, tokens: str | Cut = "words", min_count: int = 1) -> Corpus:
    """What word vectors learn from: the training text of ptb or grammar, all of a file.

    Arguments and errors as for `load_data`; no text is too short to be divided.
    """
    how = _how(name, tokens, min_count)
    return MADE[name].load_data() if name in MADE else text_file.load_text(name, **how)


def source(name: str, tokens: str | Cut = "words", min_count: int = 1) -> dict[str, Any]:
    """How a text was read, for weight files: corpus, and tokens and min_count where not usual."""
    told: dict[str, Any] = {"corpus": name}
    if tokens != "words":
        told["tokens"] = name_of(tokens)
    return told | ({"min_count": min_count} if min_count != 1 else {})


def _how(name: str, tokens: str | Cut, min_count: int) -> dict[str, Any]:
    """The keywords for `text_file`, if the text is a file."""
    if name in MADE and (tokens != "words" or min_count != 1):
        raise ValueError(f"tokens and min_count are for a text file; {name} is words already")
    if name not in MADE and not expanded(name).exists():
        raise FileNotFoundError(f"corpus {name!r} is neither 'ptb' nor 'grammar' nor a file")
    return {"tokens": tokens, "min_count": min_count}
