"""Trained language models: where their weights are, and the models themselves with their words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ch06.awd_lstm import AwdLstm
from ch06.better_rnnlm import BetterRnnlm
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from common.base_model import load_model
from common.storage.files import expanded
from common.storage.weights import find_weights, is_pickle, trained_on
from dataset import texts
from dataset.tokens import OWN, Cut

__all__ = ["MODELS", "SHIPPED", "find", "load", "text_of"]

MODELS: dict[str, Any] = {"rnnlm": Rnnlm, "better": BetterRnnlm, "gru": GruRnnlm, "awd": AwdLstm}
TRAINED_BY = {
    "rnnlm": "ch06.train_rnnlm",
    "better": "ch06.train_better_rnnlm",
    "gru": "ch06.train_rnnlm --model gru",
    "awd": "ch06.train_awd_lstm",
}
SHIPPED = Path(__file__).parent / "weights"


def find(model: str, weights: str | Path | None = None, corpus: str = "ptb") -> Path:
    """The weight file of a model; arguments and errors as for `load`.

    A script asks before it reads a text.
    """
    if model not in MODELS:
        raise ValueError(f"load: model is one of {', '.join(MODELS)}, not {model!r}")
    shipped: Path | None = SHIPPED
    trained_by = TRAINED_BY[model]
    if corpus != "ptb":
        shipped, trained_by = None, f"{trained_by} --corpus {corpus}"
    file = (
        expanded(weights) if weights else find_weights(MODELS[model].__name__, shipped, trained_by)
    )
    is_pickle(file)  # refuses what is no weight file at all
    return file


def text_of(
    file: Path, corpus: str | None = None, tokens: str | Cut | None = None
) -> tuple[str, dict[str, Any]]:
    """The text for a weight file, and the keywords to read it with (see `texts.load_data`).

    corpus  the text; if not given, that which the file was trained on, or else ptb
    tokens  how its lines are cut; if not given, as in training
    Raises ValueError where they were cut by a function that nobody gives.
    """
    told = trained_on(file)
    corpus = corpus or told.get("corpus", "ptb")
    how: dict[str, Any] = {name: told[name] for name in ("tokens", "min_count") if name in told}
    if tokens is not None:
        how["tokens"] = tokens
    if how.get("tokens") == OWN:
        raise ValueError(
            f"{file} was trained on a text cut by a function of your own: give it as `tokens`"
        )
    return corpus, {} if corpus in texts.MADE else how


def load(
    model: str,
    weights: str | Path | None = None,
    *,
    corpus: str = "ptb",
    vocab: Mapping[str, int] | None = None,
    classes: Mapping[str, Any] = MODELS,
    **sizes: int,
) -> Any:
    """A trained model, whose `vocab` tells its words.

    model    rnnlm, better, gru or awd
    weights  file; if not given, that of the class in the current folder, else the shipped one
    corpus   the text it was trained on; the shipped ones know the words of ptb only
    vocab    word: id of the text it will be used with, compared with that in the file. If neither
             is there, as with the book's files, the weights are taken to be for Penn Treebank
    classes  what to build for each model, where that is a class derived from its own
    sizes    settings of the class, instead of those in the file or the book's
    Raises ValueError for another model, or weights of another model or vocabulary;
    FileNotFoundError, which says how to train one, where there are no weights; and what
    `texts.load_data` raises.
    """
    file = find(model, weights, corpus)
    net = load_model(file, classes[model], vocab=vocab, **sizes)
    if net.vocab is None:
        _, words, _ = texts.load_data("ptb", "train")
        net = load_model(file, classes[model], vocab=words, **sizes)
    return net
