"""Train the LSTM language model of chapter 6, or its GRU sister.

python -m ch06.train_rnnlm                      on Penn Treebank (time and result: README.md)
python -m ch06.train_rnnlm --corpus grammar     on made-up English, in seconds
python -m ch06.train_rnnlm --corpus novel.txt   on a text of yours
python -m ch06.train_rnnlm --model gru          with a GRU

Source: book 6.4.
"""

from pathlib import Path

from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from ch06.training import train
from common.cli import at_least_one, run
from dataset import texts

MODELS = {"rnnlm": Rnnlm, "gru": GruRnnlm}


def main(
    corpus: str = "ptb",
    max_epoch: int = 4,
    batch_size: int = 20,
    wordvec_size: int = 100,
    hidden_size: int = 100,
    time_size: int = 35,
    lr: float = 20.0,
    max_grad: float = 0.25,
    eval_interval: int = 20,
    corpus_size: int | None = None,
    seed: int = 0,
    weights: str | None = None,
    resume: bool = False,
    plot: bool = True,
    model: str = "rnnlm",
) -> float:
    """Train a language model, save its best weights, return their test perplexity (book 6.4).

    corpus         text: ptb, grammar (made-up English), or a text file (one sentence a line)
    max_epoch      epochs (book 1.4.3): passes over the training text
    batch_size     reading positions (book 5.2.5) that are trained side by side
    wordvec_size   embedding (book 6.4): numbers in a word vector
    hidden_size    LSTM layer (book 6.4): numbers in the recurrent layer's state
    time_size      steps, one word each, that gradients flow back through (truncated BPTT, book 5.2)
    lr             step size (book 1.3.6): learning rate of SGD
    max_grad       largest norm of all gradients together (clipping, book 6.1.4)
    eval_interval  iterations from report to report (book 5.5.4)
    corpus_size    use only the first so many words of the training text; all if not given
    seed           decides the first weights
    weights        file to save the best weights in, <class>.npz if not given; checkpoint, history
                   (.json) and figure (.png) go beside it
    resume         go on with the run in the checkpoint
    plot           draw the perplexity (book 5.5.2) during training
    model          rnnlm (with an LSTM, book 6.4) or gru (with a GRU, book appendix C)
    """
    if model not in MODELS:
        raise ValueError(f"train_rnnlm: model is one of {', '.join(MODELS)}, not {model!r}")
    at_least_one(wordvec_size=wordvec_size, hidden_size=hidden_size)
    model_class = MODELS[model]
    _, word_to_id, _ = texts.load_data(corpus, "train")
    return train(
        model_class(len(word_to_id), wordvec_size, hidden_size, rng=seed),
        lr,
        corpus,
        corpus_size,
        max_epoch,
        batch_size,
        time_size,
        max_grad,
        eval_interval,
        Path(weights or f"{model_class.__name__}.npz"),
        resume,
        plot,
    )


if __name__ == "__main__":
    run(main)
