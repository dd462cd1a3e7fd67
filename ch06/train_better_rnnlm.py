"""Train BetterRnnlm: two LSTM layers, dropout, tied weights, a falling learning rate.

python -m ch06.train_better_rnnlm               on Penn Treebank (time and result: README.md)
python -m ch06.train_better_rnnlm --resume      go on after Ctrl-C, or after the power failed
python -m ch06.train_better_rnnlm --corpus grammar --wordvec-size 100 --hidden-size 100

Source: book 6.5.
"""

from pathlib import Path

from ch06.better_rnnlm import BetterRnnlm
from ch06.training import train
from common.cli import at_least_one, run
from dataset import texts


def main(
    corpus: str = "ptb",
    max_epoch: int = 40,
    batch_size: int = 20,
    wordvec_size: int = 650,
    hidden_size: int = 650,
    num_layers: int = 2,
    dropout: float = 0.5,
    time_size: int = 35,
    lr: float = 20.0,
    max_grad: float = 0.25,
    eval_interval: int = 20,
    corpus_size: int | None = None,
    seed: int = 0,
    weights: str = "BetterRnnlm.npz",
    resume: bool = False,
    plot: bool = True,
) -> float:
    """Train BetterRnnlm, keep its best weights, return their test perplexity (book 6.5.4).

    corpus         text: ptb, grammar (made-up English), or a text file (one sentence a line)
    max_epoch      epochs (book 1.4.3): passes over the training text
    batch_size     reading positions (book 5.2.5) that are trained side by side
    wordvec_size   numbers in a word vector; as many as hidden_size, since the weights are tied
                   (book 6.5.3)
    hidden_size    LSTM layers (book 6.5.4): numbers in the state of each
    num_layers     layers of LSTMs, one on top of the other (book 6.5.1)
    dropout        probability that an element is switched off (book 6.5.2)
    time_size      steps, one word each, that gradients flow back through (truncated BPTT, book 5.2)
    lr             step size (book 1.3.6): learning rate of SGD; a quarter from where validation no
                   longer improves
    max_grad       largest norm of all gradients together (clipping, book 6.1.4)
    eval_interval  iterations from report to report (book 5.5.4)
    corpus_size    use only the first so many words of the training text; all if not given
    seed           decides the first weights and the dropouts
    weights        file to save the best weights in; checkpoint, history (.json) and figure (.png)
                   go beside it
    resume         go on with the run in the checkpoint
    plot           draw the perplexity (book 5.5.2) during training
    """
    at_least_one(wordvec_size=wordvec_size, hidden_size=hidden_size)
    _, word_to_id, _ = texts.load_data(corpus, "train")
    model = BetterRnnlm(
        len(word_to_id), wordvec_size, hidden_size, dropout, num_layers=num_layers, rng=seed
    )
    return train(
        model,
        lr,
        corpus,
        corpus_size,
        max_epoch,
        batch_size,
        time_size,
        max_grad,
        eval_interval,
        Path(weights),
        resume,
        plot,
        decay=0.25,
        from_start=True,
    )


if __name__ == "__main__":
    run(main)
