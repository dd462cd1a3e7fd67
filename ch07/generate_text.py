"""Let a trained language model write.

python -m ch07.generate_text                    by the Rnnlm in this folder, else the shipped one
python -m ch07.generate_text --temperature 0.7 --stop "<eos>" --batch-size 5 --start "the market"
python -m ch07.generate_text --corpus grammar --start the

Source: book 7.1.2.
"""

from collections.abc import Iterable
from typing import Annotated, Any
from unicodedata import category

import numpy

from ch06 import trained
from ch07.rnnlm_gen import AwdLstmGen, BetterRnnlmGen, GruRnnlmGen, RnnlmGen
from common.cli import run, then
from common.rng import generator
from common.words.text import words_to_ids
from dataset import texts
from dataset.text_file import EOS, UNK
from dataset.tokens import CUTS, join

MODELS: dict[str, Any] = {
    "rnnlm": RnnlmGen,
    "better": BetterRnnlmGen,
    "gru": GruRnnlmGen,
    "awd": AwdLstmGen,
}
SKIP = "N <unk> $"
RULE = "-" * 50


def main(
    start: str | None = None,
    sample_size: int = 100,
    skip: str | None = None,
    model: Annotated[str, MODELS] = "rnnlm",
    weights: str | None = None,
    corpus: str | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    greedy: bool = False,
    stop: str | None = None,
    batch_size: int = 1,
    seed: int | None = None,
) -> list[str]:
    """Write, print and return texts that begin with a word (book 7.1.2).

    start        the first word; of several, all but the last are read before writing begins. If not
                 given, you (book 7.1.2), or the beginning of a sentence where that is unknown, or
                 the first word of a text that is a single line
    sample_size  words to write, the (last) start word included
    skip         words that must not come, with blanks between; if not given, N, <unk> and $ for
                 ptb (book 7.1.2), <unk> for other texts
    model        rnnlm (with an LSTM, book 6.4), better (BetterRnnlm, book 6.5), gru (book
                 appendix C) or awd (AwdLstm, book 6.5.5)
    weights      file of weights, ours (.npz) or the book's (.pkl); if not given, that of the
                 class in the current folder, else the one that comes with the library
    corpus       text it was trained on: ptb, grammar (made-up English), or a text file; if not
                 given, the words come from the weight file, or else from ptb
    temperature  scores are divided by this factor: below 1 the probable words become more probable,
                 above 1 less
    top_k        draw from so many words only, the most probable ones; from all if not given
    greedy       always the most probable word, nothing is drawn (book 7.1.1)
    stop         a word that ends a text, such as <eos>
    batch_size   texts to write, from one start
    seed         decides the words drawn; if not given, each run writes another text
    """
    net, word_to_id, id_to_word = load(model, weights, corpus)
    written = write(
        *(net, start, word_to_id, id_to_word, skip, stop),
        sample_size=sample_size,
        temperature=temperature,
        top_k=top_k,
        greedy=greedy,
        batch_size=batch_size,
        rng=generator(seed),
    )
    print(f"\n{RULE}\n".join(written))
    then("ch07.generate_better_text")
    return written


def load(
    model: str, weights: str | None = None, corpus: str | None = None
) -> tuple[Any, dict[str, int], dict[int, str]]:
    """The model with its weights, word_to_id, id_to_word; arguments as for `main`.

    Raises ValueError for another model, and FileNotFoundError, which says how to train one, where
    there are no weights; the shipped ones know the words of ptb only.
    """
    file = trained.find(model, weights, corpus or "ptb")
    name, how = trained.text_of(file, corpus) if corpus else ("", {})
    vocab = texts.load_data(name, "train", **how)[1] if corpus else None
    net = trained.load(model, file, vocab=vocab, classes=MODELS)
    return net, net.vocab, {k: word for word, k in net.vocab.items()}


def write(
    net: Any,
    prompt: str | None,
    word_to_id: dict[str, int],
    id_to_word: dict[int, str],
    skip: str | None = None,
    stop: str | None = None,
    *,
    batch_size: int = 1,
    **how: Any,
) -> list[str]:
    """batch_size texts that go on from the words of a prompt, which stands before each.

    The model forgets what it read before, reads all of the prompt but its last word, and goes on
    from there.
    prompt  is cut into words, and these are joined, as the text was that the model was trained on
    skip    words that must not come; those that the vocabulary lacks never do
    how     goes to `generate`
    prompt and skip can be None, as in `main`.
    Raises ValueError for a prompt without words, KeyError for words that the vocabulary lacks, and
    what `generate` raises.
    """
    tokens = net.trained_on.get("tokens", "words")
    if prompt is None:
        words = [next(word for word in ("you", EOS, id_to_word[0]) if word in word_to_id)]
    else:
        words = CUTS.get(tokens, str.split)(prompt)
    if not words:
        raise ValueError("generate_text: a text needs a word to start from")
    if skip is None:
        skip = SKIP if net.trained_on.get("corpus", "ptb") == "ptb" else UNK
    *read, start = words_to_ids(words, word_to_id).tolist()
    stop_id = None if stop is None else int(words_to_ids([stop], word_to_id)[0])
    skip_ids = [word_to_id[word] for word in skip.split() if word in word_to_id]
    net.reset_state()
    if read:
        net.predict(numpy.tile(read, (batch_size, 1)))
    written = net.generate(start, skip_ids, stop_id=stop_id, batch_size=batch_size, **how)
    return [sentences((id_to_word[id_] for id_ in read + text), tokens) for text in written]


def sentences(words: Iterable[str], tokens: str = "words") -> str:
    """Words as a text, joined as they were cut, with a new line for each `<eos>` but a first one.

    Words that were cut at blanks get a full stop as well, where no mark of punctuation is.
    """
    lines: list[list[str]] = [[]]
    for word in words:
        if word != EOS:
            lines[-1].append(word)
        elif lines != [[]]:
            lines.append([])
    *whole, last = [join(line, tokens) for line in lines]
    if tokens == "words":
        whole = [line if line and category(line[-1])[0] == "P" else f"{line}." for line in whole]
    return "\n".join([*whole, *([last] if last else [])])


if __name__ == "__main__":
    run(main)
