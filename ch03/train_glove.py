"""Train GloVe: word vectors from the counts of a whole text, by weighted least squares.

    python -m ch03.train_glove                       on Penn Treebank (time and result: README.md)
    python -m ch03.train_glove --corpus grammar      on made-up English, in seconds
    python -m ch03.train_glove --corpus novel.txt    on a text of yours, one sentence a line
    python -m ch03.train_glove --resume              go on after Ctrl-C

Source: book 3.5.3; Pennington et al. 2014.
"""

import math

import numpy

from ch03.glove import GloVe, nonzero_cells
from common.cli import at_least_one, run, then
from common.np import to_cpu
from common.optimizer import AdaGrad
from common.rng import generator
from common.run import train
from common.storage.files import expanded
from common.trainer import Trainer
from common.words.text import create_co_matrix
from common.words.vector_files import save_vectors
from dataset import texts
from dataset.suitability import describe
from dataset.text_file import EOS
from dataset.tokens import Cut


def main(
    corpus: str = "ptb",
    tokens: str | Cut = "words",
    min_count: int = 1,
    window_size: int = 10,
    hidden_size: int = 100,
    x_max: float = 10.0,
    alpha: float = 0.75,
    batch_size: int = 16384,
    max_epoch: int = 15,
    lr: float = 0.05,
    eval_interval: int = 20,
    seed: int = 0,
    vectors: str = "glove_params.npz",
    resume: bool = False,
    overwrite: bool = False,
    plot: bool = True,
) -> list[float]:
    """Train word vectors, save them as float16, and return the loss of each report.

    corpus         text: ptb, grammar (made-up English), or a text file (one sentence a line), all
                   of which is used
    tokens         how lines of a text file are cut: words (at blanks), lower (lower case,
                   punctuation marks apart) or characters
    min_count      words that a text file has fewer times become <unk>
    window_size    words on each side of a word that are its neighbours (book 2.3.4), within its
                   sentence; a neighbour at distance d counts 1 / d
    hidden_size    hidden layer (book 3.2.1): numbers in a word vector
    x_max          number of times two words stand together from which all cells weigh the same
    alpha          power of smaller counts in the weight (x / x_max)^alpha
    batch_size     most samples of one step (book 1.4.3): cells of the matrix of counts
    max_epoch      epochs (book 1.4.3): passes over all cells
    lr             step size (book 1.3.6): learning rate of AdaGrad
    eval_interval  iterations from report to report (book 1.4.4); a loss is the sum over a batch
    seed           decides the first weights and the order of the cells
    vectors        file to save the vectors in. Checkpoint, history (.json) and figure (.png) go
                   beside it
    resume         go on with the run in the checkpoint
    overwrite      replace the files of an earlier run
    plot           draw the loss during training
    """
    at_least_one(hidden_size=hidden_size, batch_size=batch_size)
    file = expanded(vectors)
    text, word_to_id, id_to_word = texts.load_text(corpus, tokens=tokens, min_count=min_count)
    V = len(word_to_id)
    rng = generator(seed)
    net = GloVe(V, hidden_size, x_max=x_max, alpha=alpha, rng=rng)
    print(describe((text, word_to_id, id_to_word)))
    border = word_to_id.get(EOS)
    C = create_co_matrix(text, V, window_size, sparse=True, by_distance=True, border=border)
    cells, counts = nonzero_cells(C)
    batches = math.ceil(len(cells) / batch_size)
    print(f"{len(cells):,} cells of {V:,} x {V:,} are not zero")

    trainer = Trainer(net, AdaGrad(lr))

    def save() -> None:
        frequencies = numpy.bincount(text, minlength=V)
        save_vectors(file, to_cpu(net.word_vecs), id_to_word, counts=frequencies)

    train(
        trainer,
        cells,
        counts,
        weights=file,
        save=save,
        max_epoch=max_epoch,
        batch_size=len(cells) // batches,  # so that less than one cell a batch is left over
        eval_interval=eval_interval,
        rng=rng,
        resume=resume,
        overwrite=overwrite,
        flag="--vectors",
    )
    if plot:
        trainer.plot(file=file.with_suffix(".png"))
    then("ch04.eval", vectors=file)
    return trainer.loss_list


if __name__ == "__main__":
    run(main)
