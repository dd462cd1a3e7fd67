"""How a line of text is cut into tokens, and how tokens become text again.

    words       what whitespace separates                          It's  5.30.
    lower       lower case, punctuation marks as tokens            it's  5.30  .
    characters  every character; whitespace is one blank           I t ' s   5 . 3 0 .

A function of your own, from a line to a list of tokens, can stand for a name: a segmenter, for
example, of a language without blanks.
"""

import re
from collections.abc import Callable, Iterable
from unicodedata import category

__all__ = ["CUTS", "OWN", "Cut", "cutter", "join", "name_of"]

Cut = Callable[[str], list[str]]

OWN = "own"  # the name of a reader's function in weight files
# A mark that stands apart is in the group; what keeps words and numbers together is not.
MARK = re.compile(r"<unk>|(?<=\w)['\u2019-](?=\w)|(?<=\d)[.,](?=\d)|([^\w\s])")
CLOSED = re.compile(r" ([.,;:!?…%)\]}»”])|([(\[{«“]) ")
CJK = r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff65]"
BETWEEN_CJK = re.compile(rf"(?<={CJK}) (?={CJK})")


def cutter(tokens: str | Cut) -> Cut:
    """The function for a name (see the top of this file), or a reader's own with a check after it.

    Raises ValueError for another name; the function raises TypeError where a reader's own does not
    return a list or tuple of texts.
    """
    if callable(tokens):
        return _checked(tokens)
    if tokens not in CUTS:
        raise ValueError(f"tokens is {tokens!r}; it can be {', '.join(CUTS)}, or a function")
    return CUTS[tokens]


def name_of(tokens: str | Cut) -> str:
    """The name of a way to cut, as a weight file keeps it: "own" for a function."""
    return OWN if callable(tokens) else tokens


def join(words: Iterable[str], tokens: str = "words") -> str:
    """The text of tokens that were cut in the way of that name.

    words       blanks between
    lower       blanks between words, but not before a closing mark or after an opening one
    characters  nothing between
    own         blanks between, but not between two Chinese or Japanese characters
    """
    if tokens == "characters":
        return "".join(words)
    text = " ".join(words)
    if tokens == "lower":
        return CLOSED.sub(r"\1\2", text)
    return BETWEEN_CJK.sub("", text) if tokens == OWN else text


def _lower(line: str) -> list[str]:
    # Marks that belong to a letter (category M), as in Hindi, are no marks of punctuation.
    apart = lambda m: f" {m[0]} " if m[1] and category(m[1])[0] != "M" else m[0]  # noqa: E731
    return MARK.sub(apart, line.lower()).split()


def _characters(line: str) -> list[str]:
    return list(" ".join(line.split()))


CUTS: dict[str, Cut] = {"words": str.split, "lower": _lower, "characters": _characters}


def _checked(cut: Cut) -> Cut:
    def checked(line: str) -> list[str]:
        found = cut(line)
        if not isinstance(found, list | tuple) or not all(isinstance(word, str) for word in found):
            raise TypeError(
                f"tokens: the function returned {str(found)[:40]!r} ({type(found).__name__}) for "
                f"the line {line[:40]!r}; a list of texts is needed"
            )
        return list(found)

    return checked
