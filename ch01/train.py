"""Train on the spiral with the Trainer, which all later chapters use as well.

    python -m ch01.train                                  (time and result: ch01/README.md)
    python -m ch01.train --max-epoch 30 --lr 0.3

Source: book 1.4.4.
"""

from ch01.two_layer_net import TwoLayerNet, accuracy
from common.cli import at_least_one, run
from common.optimizer import SGD
from common.rng import generator
from common.trainer import Trainer
from dataset import spiral


def main(
    max_epoch: int = 300,
    batch_size: int = 30,
    hidden_size: int = 10,
    lr: float = 1.0,
    seed: int = 0,
    plot: bool = True,
) -> tuple[TwoLayerNet, list[float]]:
    """Train a two-layer network on the spiral -> the model and the mean loss of each report.

    max_epoch    epochs (book 1.4.3): how often to go through the data
    batch_size   samples of one step (book 1.4.3); what is left over in an epoch is dropped
    hidden_size  hidden layer (book 1.2.1): neurons between input and output
    lr           step size (book 1.3.6): learning rate
    seed         decides the first weights and the order of the samples
    plot         whether to draw the loss
    """
    at_least_one(hidden_size=hidden_size)
    x, t = spiral.load_data()
    rng = generator(seed)
    model = TwoLayerNet(input_size=2, hidden_size=hidden_size, output_size=3, rng=rng)

    trainer = Trainer(model, SGD(lr))
    trainer.fit(x, t, max_epoch, batch_size, eval_interval=10, rng=rng)
    print(f"accuracy {accuracy(model, x, t):.3f}")
    if plot:
        trainer.plot()
    return model, trainer.loss_list


if __name__ == "__main__":
    run(main)
