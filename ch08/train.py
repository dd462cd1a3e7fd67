"""Train a seq2seq model with attention to bring dates into one form.

python -m ch08.train                       (time and result: README.md)
python -m ch08.train --max-epoch 4         which is enough for the attention
python -m ch08.train --model transformer   attention without recurrence; conv, feeding, ... as well
python -m ch08.train --score general       another score than the dot product
python -m ch08.train --split answer        the days of the test dates are never trained on

Source: book 8.3.2, and for other models 8.1.4, 8.4, 8.5.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.seq2seq_run import Recipe, Training, train_and_answer
from ch08.attention_seq2seq import SCORES, AttentionSeq2seq
from ch08.bi_attention_seq2seq import BiAttentionSeq2seq
from ch08.conv_seq2seq import ConvSeq2seq
from ch08.input_feeding import FeedingSeq2seq
from ch08.transformer import Transformer
from ch08.visualize_attention import MODELS, draw_test_questions
from common.cli import run, then
from common.trainer import Row

BOOK: dict[str, Any] = {"data": "date.txt", "wordvec_size": 16, "hidden_size": 256}
BOOK |= {"batch_size": 128, "max_epoch": 10, "max_grad": 5.0}
REVERSED = {"reverse": True}
# warm-up, a falling rate, and Adam's beta2 0.98: Vaswani et al. 2017, 5.3; the rest was measured
WARM: dict[str, Any] = {"lr": 0.003, "warmup": 100, "decay": True}
ADAM = WARM | {"beta2": 0.98, "max_epoch": 6}
DEEP: dict[str, Any] = {"lr": 0.001, "warmup": 200, "max_epoch": 8}
DEEP |= {"wordvec_size": 128, "hidden_size": 256}
OPTIONS = {"num_layers": 1, "num_heads": 4, "dropout_ratio": 0.0, "label_smoothing": 0.0}
RECIPES = {
    "seq2seq": Recipe(Seq2seq, settings=REVERSED),
    "peeky": Recipe(PeekySeq2seq, settings=REVERSED),
    "attention": Recipe(AttentionSeq2seq, {"score": "dot"}, REVERSED),
    "scaled": Recipe(AttentionSeq2seq, {"score": "scaled"}, REVERSED | WARM),
    "general": Recipe(AttentionSeq2seq, {"score": "general"}, REVERSED),
    "additive": Recipe(AttentionSeq2seq, {"score": "additive"}, REVERSED),
    "bi": Recipe(BiAttentionSeq2seq, {"score": "dot"}, REVERSED),
    "feeding": Recipe(FeedingSeq2seq, {"context_out": False}, REVERSED),
    "feeding-both": Recipe(FeedingSeq2seq, {"context_out": True}, REVERSED),
    "transformer": Recipe(Transformer, OPTIONS, ADAM | {"wordvec_size": 64, "hidden_size": 128}),
    "transformer-2": Recipe(Transformer, OPTIONS | {"num_layers": 2}, ADAM | DEEP),
    "conv": Recipe(
        ConvSeq2seq,
        {"num_layers": 2, "dropout_ratio": 0.0},
        ADAM | {"wordvec_size": 64, "hidden_size": 64, "max_grad": 1.0},
    ),
}


@dataclass(frozen=True, kw_only=True)
class ByModel:
    """Settings that are those of the model, in RECIPES, where they are not given."""

    wordvec_size: int | None = None
    hidden_size: int | None = None
    batch_size: int | None = None
    max_epoch: int | None = None
    max_grad: float | None = None
    lr: float | None = None
    beta2: float | None = None
    decay: bool | None = None
    reverse: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ModelTraining(ByModel, Training):
    """What this script can be told."""


SETTINGS = ModelTraining(data="date.txt")


def recipe_of(model: str, **options: Any) -> Recipe:
    """The recipe of a model, with these options where they are not None.

    Raises ValueError for a model that is none, and for an option that it does not have.
    """
    if model not in RECIPES:
        raise ValueError(f"train: model is one of {', '.join(RECIPES)}, not {model!r}")
    recipe, chosen = RECIPES[model], given(options)
    for name in chosen:
        if name not in recipe.options:
            raise ValueError(f"train: {model} has no {name}")
    return recipe._replace(options={**recipe.options, **chosen})


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in settings.items() if value is not None}


def main(
    *,
    model: Annotated[str, RECIPES] = "attention",
    score: Annotated[str | None, SCORES] = None,
    num_layers: int | None = None,
    num_heads: int | None = None,
    dropout: float | None = None,
    label_smoothing: float | None = None,
    **settings: Any,
) -> list[Row]:
    """Train a seq2seq model, test it after each epoch, save its weights (book 8.3.2).

    model  attention (book 8.2), bi (its encoder reads in both directions, book 8.4.1), peeky (book
           7.4.2) or seq2seq (book 7.3); with other scores scaled, general or additive (book 8.1.4);
           feeding (the context goes into the next step, book 8.4.2), feeding-both (and into the
           output); transformer, transformer-2 (two blocks of width 128), conv (book 8.5.2)
    score  of an attention: dot, scaled, general or additive (book 8.1.4)
    num_layers  layers (blocks) of the encoder and of the decoder of transformer or conv
    num_heads   number of heads in each attention of a transformer
    dropout     of transformer or conv: probability that an element is switched off (book 6.5.2)
    label_smoothing  of a transformer: share of a label that all characters get
    plot   draw the accuracy after each epoch, and what the attention of a model looks at in some
           test questions (book 8.3.3)

    The other flags are the `Settings` and `Training` of ch07/seq2seq_run.py; where they are not
    given, sizes and the like are those of the model (RECIPES).
    """
    recipe = recipe_of(
        model,
        **{"score": score, "num_layers": num_layers, "num_heads": num_heads},
        **{"dropout_ratio": dropout, "label_smoothing": label_smoothing},
    )
    how = Training(**BOOK | dict(recipe.settings) | given(asdict(replace(SETTINGS, **settings))))
    data = how.load()
    net = how.model({model: recipe.model_class}, model, data, **recipe.options)
    file = how.file(net)
    epochs = train_and_answer(net, data, how, weights=file, seed=how.seed)
    then("ch08.compare", data=how.data)
    if hasattr(net.decoder, "attention") or hasattr(net.decoder, "head_maps"):
        told = {"weights": how.weights, "data": how.data, "split": how.split}
        shown = next((name for name in MODELS if model.startswith(name)), "attention")
        then("ch08.visualize_attention", model=shown, reverse=how.reverse, **told)
        if how.plot:
            draw_test_questions(net, data, beside=file)
    return epochs


if __name__ == "__main__":
    run(main)
