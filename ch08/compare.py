"""Figure 8-26: attention, Peeky and the plain seq2seq on dates; other models as well.

python -m ch08.compare    three runs, one after the other (time and result: README.md)
python -m ch08.compare --models "attention transformer conv" --seeds 3
python -m ch08.compare --models all --data addition.txt --file additions.json

Source: book 8.3.2.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from ch07.comparison import Comparison, Curves, compare
from ch08.train import BOOK, RECIPES, ByModel, given, recipe_of
from common.cli import run, then

LABELS = {"seq2seq": "baseline"}  # the book's name in the figure


@dataclass(frozen=True, kw_only=True)
class ModelComparison(ByModel, Comparison):
    """What this script can be told.

    reverse  read questions from back to front (book 7.4.1)
    """


SETTINGS = ModelComparison(data="date.txt", file="date_comparison.json")


def main(
    *, models: str = "seq2seq peeky attention", score: str | None = None, **settings: Any
) -> Curves:
    """Train several models, and draw their accuracies together (book 8.3.2).

    models  names, with blanks between, as `ch08.train --model` knows them; or all
    score   of the attention: dot, scaled, general or additive (book 8.1.4)

    The other flags are the `Settings` of ch07/seq2seq_run.py and those of `Comparison`; where they
    are not given, sizes and the like are those of each model (RECIPES of ch08/train.py).
    """
    chosen = given(asdict(replace(SETTINGS, **settings)))
    recipes = {}
    for model in RECIPES if models == "all" else models.split():
        recipe = recipe_of(model, score=score if model == "attention" else None)
        options = {k: v for k, v in recipe.options.items() if (k, v) != ("score", "dot")}
        label = LABELS.get(model, model)
        recipes[label] = recipe._replace(options=options, settings={**recipe.settings, **chosen})
    chosen.pop("reverse", None)
    then("ch08.visualize_attention")
    return compare(recipes, Comparison(**BOOK | chosen))


if __name__ == "__main__":
    run(main)
