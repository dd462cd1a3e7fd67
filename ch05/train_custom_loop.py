"""Train a language model with every step of the loop in sight; draw figure 5-33.

    python -m ch05.train_custom_loop                    on Penn Treebank (result: ch05/README.md)
    python -m ch05.train_custom_loop --corpus grammar   on made-up English

Source: book 5.5.3.
"""

from typing import Any

import numpy

from ch05.simple_rnnlm import SimpleRnnlm
from common.cli import at_least_one, run, then
from common.functions import perplexity
from common.optimizer import SGD
from common.plots import axes
from dataset import texts
from dataset.suitability import describe
from dataset.tokens import Cut


def main(
    corpus: str = "ptb",
    tokens: str | Cut = "words",
    min_count: int = 1,
    max_epoch: int = 100,
    batch_size: int = 10,
    wordvec_size: int = 100,
    hidden_size: int = 100,
    time_size: int = 5,
    lr: float = 0.1,
    corpus_size: int = 1000,
    seed: int = 0,
    plot: bool = True,
) -> tuple[SimpleRnnlm, list[float]]:
    """Train SimpleRnnlm on the first words of a text -> the model and each epoch's perplexity.

    corpus        ptb, grammar, or a text file (one sentence a line), of which no part is kept for
                  testing
    tokens        how lines of a text file are cut: words (at blanks), lower (lower case,
                  punctuation marks apart) or characters
    min_count     words that a text file has fewer times become <unk>
    max_epoch     epochs (book 1.4.3): passes over the text
    batch_size    reading positions (book 5.2.5) that are trained side by side
    wordvec_size  embedding (book 5.5.1): numbers in a word vector
    hidden_size   hidden layer (book 5.5.1): numbers in the recurrent layer's state
    time_size     steps, one word each, that gradients flow back through (truncated BPTT, book 5.2)
    lr            step size (book 1.3.6): learning rate of SGD
    corpus_size   size of the text (book 5.5.3): use only so many words of the text
    seed          decides the first weights
    plot          whether to draw the perplexity (book 5.5.2)

    Raises ValueError for a text too short for one batch.
    """
    at_least_one(max_epoch=max_epoch, wordvec_size=wordvec_size, hidden_size=hidden_size)
    whole = texts.load_text(corpus, tokens=tokens, min_count=min_count)
    if corpus not in texts.MADE:
        print(describe(whole))
    text = whole[0][:corpus_size]
    vocab_size = int(text.max(initial=0)) + 1  # ids count up in order of first appearance
    print(f"corpus size: {len(text)}, vocabulary size: {vocab_size}")
    xs, ts = text[:-1], text[1:]  # each word, and the one to predict from it
    data_size = len(xs)
    if min(batch_size, time_size) < 1 or batch_size * time_size > data_size:
        raise ValueError(f"no batch of {batch_size} x {time_size} words in a text of {len(text)}")

    model = SimpleRnnlm(vocab_size, wordvec_size, hidden_size, rng=seed)
    optimizer = SGD(lr)

    # Row n of every batch reads on from offsets[n]; neither time_idx nor the state starts anew.
    offsets = [n * (data_size // batch_size) for n in range(batch_size)]
    time_idx = 0
    max_iters = data_size // (batch_size * time_size)
    ppl_list = []
    for epoch in range(max_epoch):
        total_loss = 0
        for _ in range(max_iters):
            batch_x = numpy.empty((batch_size, time_size), "int32")
            batch_t = numpy.empty((batch_size, time_size), "int32")
            for t in range(time_size):
                for n, offset in enumerate(offsets):
                    where = (offset + time_idx) % data_size  # at the end, back to the beginning
                    batch_x[n, t] = xs[where]
                    batch_t[n, t] = ts[where]
                time_idx += 1

            total_loss += model.forward(batch_x, batch_t)
            model.backward()
            optimizer.update(model.params, model.grads)
        ppl_list.append(perplexity(float(total_loss) / max_iters))
        print(f"| epoch {epoch + 1} | perplexity {ppl_list[-1]:.2f}")

    if plot:
        plot_perplexity(ppl_list)
    then("ch05.train", corpus=corpus, tokens=tokens, min_count=min_count)
    return model, ppl_list


def plot_perplexity(ppl_list: list[float], ax: Any = None) -> Any:
    """Figure 5-33: the perplexity of each epoch, while training -> the axes."""
    with axes("fig_5_33_perplexity.png", ax) as ax:
        ax.plot(range(1, len(ppl_list) + 1), ppl_list)
        ax.set(xlabel="epoch", ylabel="training perplexity", ylim=(0, None))
    return ax


if __name__ == "__main__":
    run(main)
