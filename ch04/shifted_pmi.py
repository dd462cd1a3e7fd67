"""What skip-gram with negative sampling learns: the matrix PMI - log k, in two tables of vectors.

    python -m ch04.shifted_pmi                   on made-up English, in a minute (README.md)
    python -m ch04.shifted_pmi --hidden-size 2   fewer numbers than the matrix needs
    python -m ch04.shifted_pmi --corpus ptb      on Penn Treebank

Counting and predicting meet here: where its vectors have numbers enough, the loss of skip-gram is
least if w . c, of the two tables, is the pointwise mutual information less the logarithm of k.

Source: book 3.5.3; Levy and Goldberg 2014.
"""

import math
from typing import NamedTuple

import numpy

from ch04.skip_gram import SkipGram
from common.cli import at_least_one, run, then
from common.np import Array, to_cpu
from common.optimizer import Adam
from common.plots import axes
from common.rng import generator
from common.run import train
from common.storage.files import expanded
from common.trainer import Trainer
from common.words.text import create_co_matrix, create_contexts_target
from dataset import texts
from dataset.suitability import describe
from dataset.tokens import Cut


class Agreement(NamedTuple):
    """w . c beside PMI - log k: correlation, mean of each, and how many cells were compared."""

    correlation: float
    product: float
    shifted: float
    cells: int


def shifted_pmi(C: Array, p: Array, k: int) -> tuple[Array, Array]:
    """PMI - log k wherever a count is not zero -> ids of words and contexts (N, 2), values (N,).

    PMI(w, c) = log(C[w, c] / (S[w] p[c])),  S[w] = sum of row w, in nats

    C (V, V)  counts, SciPy sparse
    p (V,)    how likely each word is drawn as a negative, as `word_p` of `UnigramSampler` is. With
              the share of each word in the counts, this is the PMI of chapter 2
    k         negatives for every right word
    The results are on the host.
    Source: Levy and Goldberg 2014, https://papers.nips.cc/paper/5477
    """
    C = C.tocoo()
    w, c = C.coords
    S = numpy.bincount(w, C.data, C.shape[0])
    return numpy.stack([w, c], axis=1), numpy.log(C.data / (S[w] * p[c])) - math.log(k)


def main(
    corpus: str = "grammar",
    tokens: str | Cut = "words",
    min_count: int = 1,
    window_size: int = 2,
    hidden_size: int = 100,
    batch_size: int = 100,
    max_epoch: int = 10,
    sample_size: int = 5,
    lr: float = 0.001,
    least: int = 10,
    seed: int = 0,
    weights: str = "shifted_pmi.npz",
    resume: bool = False,
    overwrite: bool = False,
    plot: bool = True,
) -> Agreement:
    """Train skip-gram, and compare the products of its vectors with PMI - log k.

    corpus       text: ptb, grammar (made-up English), or a text file (one sentence a line), all of
                 which is used
    tokens       how lines of a text file are cut: words (at blanks), lower (lower case, punctuation
                 marks apart) or characters
    min_count    words that a text file has fewer times become <unk>
    window_size  words on each side of a word that are its neighbours (book 2.3.4, 4.3.2)
    hidden_size  hidden layer (book 3.2.1, 4.3.2): numbers in a word vector
    batch_size   words of one step (book 1.4.3), each with its neighbours
    max_epoch    epochs (book 1.4.3): passes over the text
    sample_size  k, words drawn as negatives for every right one (book 4.2.6)
    lr           step size (book 1.3.6): learning rate of Adam
    least        number of times that two words must stand together to be compared: PMI of few is
                 mostly chance
    seed         decides weights, order and negatives
    weights      file to save both tables in. Checkpoint, history (.json) and figure (.png) go
                 beside it
    resume       go on with the run in the checkpoint
    overwrite    replace the files of an earlier run
    plot         draw the products against PMI - log k
    """
    at_least_one(hidden_size=hidden_size, least=least)
    file = expanded(weights)
    text, word_to_id, id_to_word = texts.load_text(corpus, tokens=tokens, min_count=min_count)
    V, rng = len(word_to_id), generator(seed)
    print(describe((text, word_to_id, id_to_word)))
    contexts, target = create_contexts_target(text, window_size)
    net = SkipGram(V, hidden_size, window_size, text, sample_size=sample_size, rng=rng)
    train(
        Trainer(net, Adam(lr)),
        contexts,
        target,
        weights=file,
        save=lambda: net.save_params(file, vocab=word_to_id),
        max_epoch=max_epoch,
        batch_size=batch_size,
        eval_interval=1000,
        rng=rng,
        resume=resume,
        overwrite=overwrite,
    )
    C = create_co_matrix(text, V, window_size, sparse=True)
    cells, shifted = shifted_pmi(C, net.ns_loss.sampler.word_p, sample_size)
    often = C.tocoo().data >= least
    cells, shifted = cells[often], shifted[often]
    if len(cells) < 2:
        raise ValueError(f"shifted_pmi: no two pairs of words stand together {least} times")
    W, W_out = (to_cpu(p) for p in net.params)
    product = numpy.einsum("nh,nh->n", W[cells[:, 0]], W_out[cells[:, 1]])
    found = Agreement(
        float(numpy.corrcoef(product, shifted)[0, 1]),
        float(product.mean()),
        float(shifted.mean()),
        len(cells),
    )
    print(
        f"{found.cells:,} pairs of words that stand together {least} times or more: correlation of "
        f"w . c with PMI - log k {found.correlation:.3f}, means {found.product:.2f} and "
        f"{found.shifted:.2f} nats"
    )
    if plot:
        draw(product, shifted, str(file.with_suffix(".png")))
    then("ch04.compare")
    return found


def draw(product: Array, shifted: Array, path: str) -> None:
    """A dot for each pair of words: its product (N,) against PMI - log k (N,)."""
    with axes(path, figsize=(6, 5)) as ax:
        ax.plot(shifted, product, ".", markersize=2, alpha=0.3, rasterized=True)
        ends = [shifted.min(), shifted.max()]
        ax.plot(ends, ends, color="0.4", linewidth=1)
        ax.set(xlabel="PMI - log k (nats)", ylabel="w . c")


if __name__ == "__main__":
    run(main)
