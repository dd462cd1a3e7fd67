"""Train the LSTM language model of chapter 6, or its GRU sister.

python -m ch06.train_rnnlm                      on Penn Treebank (time and result: README.md)
python -m ch06.train_rnnlm --corpus grammar     on made-up English, in seconds
python -m ch06.train_rnnlm --corpus novel.txt   on a text of yours
python -m ch06.train_rnnlm --corpus novel.txt --tokens characters
python -m ch06.train_rnnlm --model gru          with a GRU

Source: book 6.4.
"""

from dataclasses import replace
from typing import Annotated, Any

from ch06.gru_rnnlm import GruRnnlm
from ch06.language_model_run import Settings, train_and_test
from ch06.rnnlm import Rnnlm
from common.cli import run, then

MODELS = {"rnnlm": Rnnlm, "gru": GruRnnlm}
SETTINGS = Settings(max_epoch=4, batch_size=20, wordvec_size=100, hidden_size=100, lr=20.0)


def main(*, model: Annotated[str, MODELS] = "rnnlm", **settings: Any) -> float:
    """Train a language model, save its best weights, return their test perplexity (book 6.4).

    model  rnnlm (with an LSTM, book 6.4) or gru (with a GRU, book appendix C)

    The other flags are the `Settings` of language_model_run.py.
    """
    how = replace(SETTINGS, **settings)
    if model not in MODELS:
        raise ValueError(f"train_rnnlm: model is one of {', '.join(MODELS)}, not {model!r}")
    text = how.load()
    then("ch07.generate_text", model=model, weights=how.weights)
    sizes = len(text.word_to_id), how.wordvec_size, how.hidden_size
    return train_and_test(MODELS[model](*sizes, rng=how.seed), text, how)


if __name__ == "__main__":
    run(main)
