"""Whether a text suits a model of its words: sizes, share of unknown words, warnings."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dataset.text_file import EOS, UNK, Corpus, Parts

__all__ = ["describe"]

SHORTEST = 1.5  # tokens of a line, on average, below which lines do not look like sentences
MOST_UNKNOWN = 0.3  # share of unknown words above which a perplexity says little


def describe(text: Parts | Corpus) -> str:
    """Lines to print: the size of the vocabulary, and of each part its size and its unknown words.

    text  what `load_parts` gave, or what `load_text` or `load_data` gave
    A line "warning: ..." follows where the text does not suit: where a line is one token, as of a
    language without blanks; where much of a part is unknown; where a part has unknown words and
    training has none, so that nothing is learned about `<unk>`.
    """
    if isinstance(text, Parts):
        parts = {"train": text.train, "valid": text.valid, "test": text.test}
    else:
        parts = {"text": text[0]}
    word_to_id: Mapping[str, int] = text[-2]
    unknown = {name: unknown_share(ids, word_to_id) for name, ids in parts.items()}
    lines = [f"vocabulary: {len(word_to_id):,}"]
    lines += [
        f"{name}: {len(ids):,} tokens, {100 * unknown[name]:.1f} % of the words unknown"
        for name, ids in parts.items()
    ]
    trained, *others = unknown
    sentences = int((parts[trained] == word_to_id.get(EOS)).sum())
    if len(parts[trained]) < (1 + SHORTEST) * sentences:
        lines.append(
            "warning: most lines are a single token. A text without blanks, such as Chinese or "
            "Japanese, is cut with --tokens characters"
        )
    worst = max(others, key=unknown.__getitem__, default=trained)
    if unknown[worst] > MOST_UNKNOWN:
        lines.append(
            f"warning: {100 * unknown[worst]:.0f} % of the words of {worst} are unknown, so that a "
            "perplexity says little. More text helps, or --tokens lower, or --tokens characters"
        )
    if unknown[worst] and not unknown[trained]:
        lines.append(
            f"note: {UNK} never occurs in {trained}, so nothing is learned about it; "
            "--min-count 2 makes it occur"
        )
    return "\n".join(lines)


def unknown_share(ids: NDArray[np.int64], word_to_id: Mapping[str, int]) -> float:
    """The share of `<unk>` among the words with ids (N,), 0 to 1; `<eos>` is no word."""
    words = ids[ids != word_to_id.get(EOS, -1)]
    return float((words == word_to_id.get(UNK, -1)).mean()) if len(words) else 0.0
