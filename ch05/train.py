"""Train a language model with the RnnlmTrainer, which chapter 6 uses as well.

    python -m ch05.train                    on Penn Treebank (result: ch05/README.md)
    python -m ch05.train --corpus grammar   on made-up English
    python -m ch05.train --resume           go on after Ctrl-C

Source: book 5.5.4.
"""

from pathlib import Path

from ch05.simple_rnnlm import SimpleRnnlm
from common.cli import at_least_one, check_writable, early_stop, run
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from dataset import texts


def main(
    corpus: str = "ptb",
    max_epoch: int = 100,
    batch_size: int = 10,
    wordvec_size: int = 100,
    hidden_size: int = 100,
    time_size: int = 5,
    lr: float = 0.1,
    eval_interval: int = 19,
    corpus_size: int = 1000,
    seed: int = 0,
    weights: str = "SimpleRnnlm.npz",
    resume: bool = False,
    plot: bool = True,
) -> tuple[SimpleRnnlm, list[float]]:
    """Train SimpleRnnlm on the first words of a text -> the model and the reported perplexities.

    corpus         ptb, grammar, or a text file (one sentence a line)
    max_epoch      epochs (book 1.4.3): passes over the text
    batch_size     reading positions (book 5.2.5) that are trained side by side
    wordvec_size   embedding (book 5.5.1): numbers in a word vector
    hidden_size    hidden layer (book 5.5.1): numbers in the recurrent layer's state
    time_size      steps, one word each, that gradients flow back through (truncated BPTT, book 5.2)
    lr             step size (book 1.3.6): learning rate of SGD
    eval_interval  iterations from report to report (book 5.5.4); the default is an epoch of the
                   other defaults
    corpus_size    size of the text (book 5.5.3): use only so many words of the text
    seed           decides the first weights
    weights        file to save the weights in; checkpoint and figure (.png) go beside it
    resume         go on with the run in the checkpoint
    plot           whether to draw the perplexity (book 5.5.2)

    Raises what `RnnlmTrainer.fit` raises.
    """
    file = Path(weights)
    at_least_one(wordvec_size=wordvec_size, hidden_size=hidden_size)
    check_writable(file)
    text = texts.load_data(corpus, "train")[0][:corpus_size]
    vocab_size = int(text.max(initial=0)) + 1  # ids count up in order of first appearance
    model = SimpleRnnlm(vocab_size, wordvec_size, hidden_size, rng=seed)
    trainer = RnnlmTrainer(model, SGD(lr))

    checkpoint = file.with_suffix(".checkpoint")
    with early_stop(trainer, lambda: model.save_params(file), checkpoint):
        trainer.fit(
            text[:-1],
            text[1:],
            max_epoch,
            batch_size,
            time_size,
            eval_interval=eval_interval,
            checkpoint=checkpoint,
            resume=resume,
        )
    model.save_params(file)
    if plot:
        trainer.plot(file=file.with_suffix(".png"))
    return model, trainer.ppl_list


if __name__ == "__main__":
    run(main)
