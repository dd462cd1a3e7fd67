"""Train on the spiral with the Trainer, which all later chapters use as well.

    python -m ch01.train                                  (time and result: ch01/README.md)
    python -m ch01.train --max-epoch 30 --lr 0.3

Source: book 1.4.4.
"""

from dataclasses import replace
from typing import Any

from ch01 import train_custom_loop
from ch01.two_layer_net import TwoLayerNet, accuracy
from common.cli import at_least_one, run, settings_of, then
from common.optimizer import SGD
from common.rng import generator
from common.trainer import Trainer
from dataset import spiral

SETTINGS = settings_of(train_custom_loop.main)


def main(**settings: Any) -> tuple[TwoLayerNet, list[float]]:
    """Train a two-layer network on the spiral -> the model and the mean loss of each report.

    plot  whether to draw the loss

    The other flags are those of train_custom_loop.py.
    """
    how = replace(SETTINGS, **settings)
    at_least_one(hidden_size=how.hidden_size)
    x, t = spiral.load_data()
    rng = generator(how.seed)
    model = TwoLayerNet(input_size=2, hidden_size=how.hidden_size, output_size=3, rng=rng)

    trainer = Trainer(model, SGD(how.lr))
    trainer.fit(x, t, how.max_epoch, how.batch_size, eval_interval=10, rng=rng)
    print(f"accuracy {accuracy(model, x, t):.3f}")
    if how.plot:
        trainer.plot()
    then("ch02.similarity")
    return model, trainer.loss_list


if __name__ == "__main__":
    run(main)
