"""Train BetterRnnlm: two LSTM layers, dropout, tied weights, a falling learning rate.

python -m ch06.train_better_rnnlm               on Penn Treebank (time and result: README.md)
python -m ch06.train_better_rnnlm --resume      go on after Ctrl-C, or after the power failed
python -m ch06.train_better_rnnlm --corpus grammar --wordvec-size 100 --hidden-size 100

Source: book 6.5.
"""

from dataclasses import replace
from typing import Any

from ch06.better_rnnlm import BetterRnnlm
from ch06.language_model_run import Settings, train_and_test
from common.cli import run, then

SETTINGS = Settings(max_epoch=40, batch_size=20, wordvec_size=650, hidden_size=650, lr=20.0)


def main(*, num_layers: int = 2, dropout: float = 0.5, **settings: Any) -> float:
    """Train BetterRnnlm, keep its best weights, return their test perplexity (book 6.5.4).

    num_layers     layers of LSTMs, one on top of the other (book 6.5.1)
    dropout        probability that an element is switched off (book 6.5.2)
    wordvec_size   numbers in a word vector; as many as hidden_size, since the weights are tied
                   (book 6.5.3)
    hidden_size    LSTM layers (book 6.5.4): numbers in the state of each
    lr             step size (book 1.3.6): learning rate of SGD; a quarter from where validation no
                   longer improves

    The other flags are the `Settings` of language_model_run.py.
    """
    how = replace(SETTINGS, **settings)
    text = how.load()
    model = BetterRnnlm(
        len(text.word_to_id),
        how.wordvec_size,
        how.hidden_size,
        dropout,
        num_layers=num_layers,
        rng=how.seed,
    )
    then("ch07.generate_better_text", weights=how.weights)
    return train_and_test(model, text, how, decay=0.25, from_start=True)


if __name__ == "__main__":
    run(main)
