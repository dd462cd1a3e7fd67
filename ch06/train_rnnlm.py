"""Train the LSTM language model of chapter 6.

python -m ch06.train_rnnlm                      on Penn Treebank (time and result: README.md)
python -m ch06.train_rnnlm --corpus grammar     on made-up English, in seconds
python -m ch06.train_rnnlm --corpus novel.txt   on a text of yours
"""

import json
from pathlib import Path

from ch06.rnnlm import Rnnlm
from common.cli import arguments
from common.evaluate import eval_perplexity
from common.files import write_whole
from common.optimizer import SGD
from common.trainer import RnnlmTrainer
from dataset import corpus as texts
from dataset import grammar


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
    weights: str = "Rnnlm.npz",
    plot: bool = True,
) -> float:
    """Train Rnnlm, save its weights, and return its perplexity on the test text (book 6.4).

    corpus         ptb, grammar, or a text file (one sentence a line)
    max_epoch      passes over the training text
    batch_size     reading positions that are trained side by side
    wordvec_size   numbers in a word vector
    hidden_size    numbers in the LSTM's state
    time_size      steps that gradients flow back through (truncated BPTT, book 5.2)
    lr             learning rate of SGD
    max_grad       largest joint length of the gradients (clipping, book 6.1.4)
    eval_interval  iterations from report to report
    corpus_size    use only so many words of the training text
    seed           decides the first weights
    weights        where to save the weights; history (.json) and figure (.png) go beside it
    plot           draw the perplexity during training
    """
    Path(weights).parent.mkdir(parents=True, exist_ok=True)
    text, word_to_id, _ = texts.load_data(corpus, "train")
    text_test, _, _ = texts.load_data(corpus, "test")
    text = text[:corpus_size]

    model = Rnnlm(len(word_to_id), wordvec_size, hidden_size, rng=seed)
    trainer = RnnlmTrainer(model, SGD(lr))
    try:
        trainer.fit(text[:-1], text[1:], max_epoch, batch_size, time_size, max_grad, eval_interval)
    except (KeyboardInterrupt, FloatingPointError):  # keep what was learned
        model.save_params(weights)
        print(f"stopped early; the weights so far are in {weights}")
        raise
    model.save_params(weights)

    perplexity = eval_perplexity(model, text_test)
    print(f"test perplexity:  {perplexity:.2f}")
    if corpus == "grammar":
        print(f"true perplexity:  {grammar.true_perplexity('test'):.2f}  (no model can do better)")

    history = {"train": trainer.ppl_list, "eval_interval": eval_interval, "test": perplexity}
    content = json.dumps(history).encode()
    write_whole(Path(weights).with_suffix(".json"), lambda file: file.write(content))
    if plot:
        ylim = (0, 500) if corpus == "ptb" else None
        trainer.plot(ylim, file=Path(weights).with_suffix(".png"))
    return perplexity


if __name__ == "__main__":
    main(**arguments(main))
