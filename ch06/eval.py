"""Perplexity of a trained Rnnlm, on the test text or on a sentence.

python -m ch06.eval
python -m ch06.eval --sentence "the company said it expects higher sales"
"""

from ch06.rnnlm import Rnnlm
from common.cli import arguments
from common.evaluate import eval_perplexity
from common.functions import perplexity
from common.text import words_to_ids
from dataset import corpus as texts


def main(
    weights: str = "Rnnlm.npz",
    corpus: str = "ptb",
    wordvec_size: int = 100,
    hidden_size: int = 100,
    sentence: str | None = None,
) -> float:
    """Load weights that train_rnnlm saved; print and return a perplexity (book 6.4).

    weights       the file of weights, ours (.npz) or the book's (.pkl)
    corpus        the text it was trained on: ptb, grammar, or a text file
    wordvec_size  as in training
    hidden_size   as in training
    sentence      words of the vocabulary to score instead of the test text
    """
    text, word_to_id, _ = texts.load_data(corpus, "test")
    model = Rnnlm(len(word_to_id), wordvec_size, hidden_size)
    model.load_params(weights)
    if sentence is None:
        result = eval_perplexity(model, text)
        print(f"test perplexity:  {result:.2f}")
    else:
        words = ["<eos>", *sentence.split(), "<eos>"]
        ids = words_to_ids(words, word_to_id)[None]
        result = perplexity(float(model.forward(ids[:, :-1], ids[:, 1:])))
        print(f"perplexity of the sentence:  {result:.2f}")
    return result


if __name__ == "__main__":
    main(**arguments(main))
