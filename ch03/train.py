"""Train CBOW or skip-gram on a sentence, and print the vector of each word.

    python -m ch03.train                                  (time and result: ch03/README.md)
    python -m ch03.train --model skipgram --seed 1

Source: book 3.4, 3.5.2.
"""

from typing import Annotated, Any

from ch03.simple_cbow import SimpleCBOW
from ch03.simple_skip_gram import SimpleSkipGram
from common.cli import at_least_one, run, then
from common.np import to_cpu
from common.optimizer import Adam
from common.plots import axes
from common.rng import generator
from common.trainer import Trainer
from common.words.text import convert_one_hot, create_contexts_target, preprocess
from dataset.tokens import cutter

SENTENCE = "You say goodbye and I say hello."
MODELS: dict[str, type[SimpleCBOW] | type[SimpleSkipGram]] = {
    "cbow": SimpleCBOW,
    "skipgram": SimpleSkipGram,
}


def main(
    model: Annotated[str, MODELS] = "cbow",
    text: str = SENTENCE,
    tokens: str | None = None,
    hidden_size: int = 5,
    batch_size: int = 3,
    max_epoch: int = 1000,
    lr: float = 0.001,
    seed: int = 0,
    plot: bool = True,
) -> tuple[SimpleCBOW | SimpleSkipGram, list[float]]:
    """Train a simple word2vec on a text -> the model and the mean loss of each report.

    model        cbow or skipgram
    text         text to learn from (book 3.3.1); each word but the first and the last is a sample
    tokens       how the text is cut: words (at blanks), lower (lower case, punctuation marks apart)
                 or characters; if not given, lower case and full stops apart (book 2.3.1)
    hidden_size  hidden layer (book 3.2.1): numbers in a word vector
    batch_size   samples of one step (book 1.4.3); what is left over in an epoch is dropped
    max_epoch    epochs (book 1.4.3): how often to go through the text
    lr           step size (book 1.3.6): learning rate of Adam
    seed         decides the first weights and the order of the samples
    plot         whether to draw the loss
    """
    if model not in MODELS:
        raise ValueError(f"train: model is one of {', '.join(MODELS)}, not {model!r}")
    at_least_one(hidden_size=hidden_size)
    corpus, word_to_id, _ = preprocess(text, cut=cutter(tokens) if tokens else None)
    V = len(word_to_id)
    contexts, target = create_contexts_target(corpus, window_size=1)

    rng = generator(seed)
    net = MODELS[model](V, hidden_size, rng=rng)
    trainer = Trainer(net, Adam(lr))
    trainer.fit(
        convert_one_hot(contexts, V),
        convert_one_hot(target, V),
        max_epoch,
        batch_size,
        eval_interval=len(target),  # no epoch has more iterations: one report for each
        rng=rng,
    )
    if plot:
        plot_loss(trainer.loss_list)
    for word, vector in zip(word_to_id, to_cpu(net.word_vecs), strict=True):
        print(word, vector)
    then("ch04.train")
    return net, trainer.loss_list


def plot_loss(loss_list: list[float], ax: Any = None) -> Any:
    """Figure 3-21: the loss reported in each epoch -> the axes."""
    with axes("fig_3_21_loss.png", ax) as ax:
        ax.plot(range(1, len(loss_list) + 1), loss_list, linewidth=0.8)
        ax.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, None))
    return ax


if __name__ == "__main__":
    run(main)
