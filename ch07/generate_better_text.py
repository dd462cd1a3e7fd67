"""Let BetterRnnlm write, from a word and from the beginning of a sentence.

python -m ch07.generate_better_text
python -m ch07.generate_better_text --prompt "interest rates are expected to" --temperature 0.8
python -m ch07.generate_better_text --corpus grammar --start the --prompt "the dogs that"

Source: book 7.1.3.
"""

from ch07.generate_text import RULE, load, write
from common.cli import run, then
from common.rng import generator

PROMPT = "the meaning of life is"


def main(
    start: str | None = None,
    prompt: str | None = None,
    sample_size: int = 100,
    skip: str | None = None,
    weights: str | None = None,
    corpus: str | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    greedy: bool = False,
    stop: str | None = None,
    seed: int | None = None,
) -> list[str]:
    """Write, print and return two texts, one after a word and one after several (book 7.1.3).

    start        the first word of the first text; if not given, you (book 7.1.3), or the beginning
                 of a sentence where that is unknown
    prompt       the first words of the second: the model reads all but the last, and goes on from
                 the last. If not given, the meaning of life is (book 7.1.3), where these are known
    sample_size  words to write for each, the last one of its beginning included
    skip         words that must not come, with blanks between; if not given, N, <unk> and $ for
                 ptb (book 7.1.2), <unk> for other texts
    weights      file of weights, ours (.npz) or the book's (.pkl); if not given, BetterRnnlm
                 in the current folder, else the one that comes with the library
    corpus       text it was trained on: ptb, grammar (made-up English), or a text file; if not
                 given, the words come from the weight file, or else from ptb
    temperature  scores are divided by this factor: below 1 the probable words become more probable,
                 above 1 less
    top_k        draw from so many words only, the most probable ones; from all if not given
    greedy       always the most probable word, nothing is drawn (book 7.1.1)
    stop         a word that ends a text, such as <eos>
    seed         decides the words drawn; if not given, each run writes other texts
    """
    net, word_to_id, id_to_word = load("better", weights, corpus)
    rng, written = generator(seed), []
    if prompt is None and all(word in word_to_id for word in PROMPT.split()):
        prompt = PROMPT
    for words in start, prompt:
        written += write(
            *(net, words, word_to_id, id_to_word, skip, stop),
            sample_size=sample_size,
            temperature=temperature,
            top_k=top_k,
            greedy=greedy,
            rng=rng,
        )
    print(f"\n{RULE}\n".join(written))
    then("ch07.show_addition_dataset")
    return written


if __name__ == "__main__":
    run(main)
