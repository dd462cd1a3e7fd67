"""Draw figures 7-2, 7-3, 7-4: how a language model writes, one word drawn after the other.

    python -m ch07.next_word_figure
    python -m ch07.next_word_figure --seed 1

Source: book 7.1.1.
"""

from typing import Any

import numpy

from ch03.train import SENTENCE
from ch07.rnnlm_gen import RnnlmGen
from common.cli import run, then
from common.functions import softmax
from common.np import Array, to_cpu
from common.optimizer import SGD
from common.plots import BLUE, RED, axes
from common.trainer import RnnlmTrainer
from common.words.text import preprocess

WORDS = list(preprocess(SENTENCE)[1])  # you say goodbye and i hello .
REPEATS = 200


def learned(max_epoch: int, seed: int) -> RnnlmGen:
    """A small model that has read the sentence over and over."""
    text = numpy.tile(preprocess(SENTENCE)[0], REPEATS)
    model = RnnlmGen(len(WORDS), wordvec_size=20, hidden_size=20, rng=seed)
    trainer = RnnlmTrainer(model, SGD(1.0))
    trainer.fit(text[:-1], text[1:], max_epoch, batch_size=5, time_size=5, eval_interval=None)
    return model


def next_words(model: RnnlmGen, ids: list[int]) -> Array:
    """The probabilities (T, V) of what comes after each word of a text (T,) that begins anew."""
    model.reset_state()
    return to_cpu(softmax(model.predict(numpy.array([ids]))[0]))


def plot(
    probabilities: Array, read: list[str], drawn: str | None, file: str, ax: Any = None
) -> Any:
    """Probabilities (V,) as bars, that of the word drawn from them in another colour.

    -> the axes
    """
    with axes(file, ax) as ax:
        ax.bar(WORDS, probabilities, color=[RED if word == drawn else BLUE for word in WORDS])
        ax.set(ylim=(0, 1), ylabel="probability of the next word")
        ax.set_title(f'after "{" ".join(read)}"' + (f', drawn: "{drawn}"' if drawn else ""))
    return ax


def main(max_epoch: int = 1, seed: int = 0) -> list[str]:
    """Draw two words after "i", and what the model expected each time -> the three words.

    max_epoch  passes over its text, which is the sentence 200 times
    seed       decides the first weights and the words drawn
    """
    model = learned(max_epoch, seed)
    model.reset_state()
    ids = model.generate(WORDS.index("i"), sample_size=3, rng=seed)
    i, say, last = words = [WORDS[id_] for id_ in ids]
    after_i, after_say = next_words(model, ids[:2])
    plot(after_i, [i], None, "fig_7_2_next_word.png")
    plot(after_i, [i], say, "fig_7_3_word_drawn.png")
    plot(after_say, [i, say], last, "fig_7_4_second_word.png")
    then("ch07.generate_text")
    return words


if __name__ == "__main__":
    run(main)
