"""Train a language model of Transformer blocks, on words or on the characters of any text.

python -m ch08.train_transformer_lm                      Penn Treebank (time and result: README.md)
python -m ch08.train_transformer_lm --corpus grammar --wordvec-size 64 --hidden-size 256 \
    --num-layers 2 --max-epoch 6 --dropout 0
python -m ch08.train_transformer_lm --corpus novel.txt --characters --wordvec-size 128 \
    --hidden-size 512 --max-epoch 3 --dropout 0.1        a small GPT on a text of yours

Source: book 8.5.2; Radford et al. 2018, 2019.
"""

from dataclasses import replace
from typing import Any

from ch06.language_model_run import Settings, train_and_test
from ch07.generate_text import sentences
from ch08.transformer_lm import TransformerLM
from common.cli import run, then
from common.optimizer import Adam
from common.schedules import linear
from dataset import text_file, texts
from dataset.text_file import Parts

SIZES: dict[str, Any] = {
    "wordvec_size": 256,
    "hidden_size": 1024,
    "batch_size": 20,
    "time_size": 70,
}
SETTINGS = Settings(**SIZES, max_epoch=20, lr=0.001, max_grad=1.0)
WARMUP = 200  # updates; of a training of fewer than 2000, a tenth


def main(
    *,
    num_layers: int = 4,
    num_heads: int = 4,
    dropout: float = 0.3,
    characters: bool = False,
    sample_size: int = 200,
    **settings: Any,
) -> float:
    """Train a TransformerLM, keep its best weights, let it write, return its test perplexity.

    num_layers    layers (blocks), one on top of the other (book 8.5.2)
    num_heads     number of heads in each attention
    dropout       probability that an element is switched off (book 6.5.2)
    characters    the corpus, a text file, is read by characters instead of words
    sample_size   words or characters to write at the end; 0 for none
    wordvec_size  numbers in a word vector, and in everything between embedding and scores
    hidden_size   neurons of each feed-forward layer
    time_size     steps, one word each, that a text is cut into: no word sees more before it
    lr            step size (book 1.3.6): learning rate of Adam, which rises at first, then falls

    The other flags are the `Settings` of ch06/language_model_run.py.
    """
    how = replace(SETTINGS, **settings)
    text = by_characters(how.corpus) if characters else texts.load_parts(how.corpus)
    model = TransformerLM(
        *(len(text.word_to_id), how.wordvec_size, how.hidden_size, dropout),
        num_layers=num_layers,
        num_heads=num_heads,
        context=how.time_size,
        rng=how.seed,
    )
    words = len(text.train[: how.corpus_size]) - 1
    updates = how.max_epoch * (words // (how.batch_size * how.time_size))
    warmup = max(1, min(WARMUP, updates // 10))
    rate = linear(how.lr, updates=max(updates, 2), warmup=warmup)
    perplexity = train_and_test(model, text, how, optimizer=Adam(rate, beta2=0.98))
    then("ch08.train", model="transformer")
    if sample_size:
        print(sample(model, text, sample_size, characters, how.seed))
    return perplexity


def by_characters(file: str) -> Parts:
    """A text file as the ids (N,) of its characters: 80 % for training, 10 % each for the others.

    Characters that training lacks are left out of the other parts. Raises ValueError for a text
    that is not UTF-8 or has fewer than 10 characters, FileNotFoundError where there is no file.
    """
    text = "".join(text_file.lines(file))
    corpus, _, id_to_char = text_file.number(text)
    first, last = 8 * len(corpus) // 10, 9 * len(corpus) // 10
    if not 0 < first < last < len(corpus):
        raise ValueError(f"{file} has {len(corpus)} characters; 10 are the fewest")
    train = corpus[:first]
    known = int(train.max()) + 1  # characters that come later have higher ids
    valid, test = (part[part < known] for part in (corpus[first:last], corpus[last:]))
    id_to_char = {i: id_to_char[i] for i in range(known)}
    return Parts(train, valid, test, {c: i for i, c in id_to_char.items()}, id_to_char)


def sample(model: TransformerLM, text: Parts, size: int, characters: bool, seed: int) -> str:
    """A text that the model writes, from the first word or character of the test text on."""
    model.reset_state()
    ids = model.generate(int(text.test[0]), sample_size=size, rng=seed)
    written = [text.id_to_word[k] for k in ids]
    return "".join(written) if characters else sentences(written)


if __name__ == "__main__":
    run(main)
