"""Perplexity of a trained language model, on the test text or on a sentence.

python -m ch06.eval                             of the Rnnlm in this folder, else the shipped one
python -m ch06.eval --model better --cache      with a memory of the last 500 words
python -m ch06.eval --sentence "the company said it expects higher sales"

Source: book 6.4, 6.5.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ch06.better_rnnlm import BetterRnnlm
from ch06.cache_pointer import eval_perplexity_with_cache, tune_cache
from ch06.gru_rnnlm import GruRnnlm
from ch06.rnnlm import Rnnlm
from common.base_model import find_weights, read_weights
from common.cli import at_least_one, run
from common.evaluate import eval_perplexity
from common.np import Array
from common.words.text import words_to_ids
from dataset import texts

MODELS: dict[str, tuple[Any, int]] = {  # class; the book's word-vector size, and hidden size
    "rnnlm": (Rnnlm, 100),
    "better": (BetterRnnlm, 650),
    "gru": (GruRnnlm, 100),
}
TRAINED_BY = {
    "rnnlm": "ch06.train_rnnlm",
    "better": "ch06.train_better_rnnlm",
    "gru": "ch06.train_rnnlm --model gru",
}
SHIPPED = Path(__file__).parent / "weights"
CACHE_SIZE = 500
THETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0)
MIXES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.4)


def sizes_in(
    header: Mapping[str, Any], arrays: Mapping[str, Array], model_class: Any
) -> dict[str, int]:
    """The sizes of a model as keywords, told by what `read_weights` read: (V, D), (H, kH), ...

    {} where that is nothing, or of another class or too little, which `load_params` will say.
    """
    if header.get("class") != model_class.__name__ or len(arrays) < 3:
        return {}
    embedding, _, Wh, *_ = arrays.values()  # (V, D), then Wx, Wh (H, ...) of the first layer
    sizes = {"wordvec_size": embedding.shape[1], "hidden_size": len(Wh)}
    if model_class is BetterRnnlm:  # embedding, three arrays a layer, and the affine layer's bias
        sizes["num_layers"] = (len(arrays) - 2) // 3
    return sizes


def vocabulary(header: Mapping[str, Any]) -> tuple[dict[str, int], dict[int, str]]:
    """word_to_id and id_to_word, as the header of a weight file tells them.

    Where it does not, as with the book's files, the weights are taken to be for Penn Treebank.
    Raises what `texts.load_data` raises.
    """
    words = header.get("vocab")
    if words is None:
        _, word_to_id, id_to_word = texts.load_data("ptb", "train")
        return word_to_id, id_to_word
    return {word: i for i, word in enumerate(words)}, dict(enumerate(words))


def main(
    weights: str | None = None,
    corpus: str = "ptb",
    wordvec_size: int | None = None,
    hidden_size: int | None = None,
    sentence: str | None = None,
    model: str = "rnnlm",
    cache: bool = False,
) -> float:
    """Load weights that a training script saved; print and return a perplexity (book 6.4, 6.5).

    weights       file of weights, ours (.npz) or the book's (.pkl); if not given, that of the
                  class in the current folder, else the one that comes with the library
    corpus        text it was trained on: ptb, grammar (made-up English), or a text file
    wordvec_size  numbers in a word vector, as in training; if not given, that of a .npz file, or
                  the book's
    hidden_size   numbers in the recurrent layer's state; if not given, as for wordvec_size
    sentence      words of the vocabulary to judge instead of the test text
    model         rnnlm (with an LSTM, book 6.4), better (BetterRnnlm, book 6.5) or gru (book
                  appendix C)
    cache         whether to measure with a memory of the last 500 words as well, whose two settings
                  are chosen on the validation text; the perplexity with it is then returned
    """
    if model not in MODELS:
        raise ValueError(f"eval: model is one of {', '.join(MODELS)}, not {model!r}")
    if sentence is not None and not sentence.split():
        raise ValueError("eval: the sentence has no words")
    if cache and sentence is not None:
        raise ValueError("eval: the cache is for the test text, not for a sentence")
    at_least_one(wordvec_size=wordvec_size, hidden_size=hidden_size)
    model_class, size = MODELS[model]
    path = (
        Path(weights) if weights else find_weights(model_class.__name__, SHIPPED, TRAINED_BY[model])
    )
    given = {"wordvec_size": wordvec_size, "hidden_size": hidden_size}
    header, arrays = read_weights(path)
    sizes = {"wordvec_size": size, "hidden_size": size} | sizes_in(header, arrays, model_class)
    sizes |= {name: n for name, n in given.items() if n is not None}
    if sentence is not None and corpus == "ptb":
        word_to_id, _ = vocabulary(header)
    else:
        text, word_to_id, _ = texts.load_data(corpus, "test")
    net = model_class(len(word_to_id), **sizes)
    net.load_params(path, vocab=word_to_id)
    if sentence is not None:
        ids = words_to_ids(["<eos>", *sentence.split(), "<eos>"], word_to_id)
        result = eval_perplexity(net, ids, 1, len(ids) - 1, progress=False)
        print(f"perplexity of the sentence:  {result:.2f}")
        return result
    result = eval_perplexity(net, text)
    print(f"test perplexity:  {result:.2f}")
    if cache:
        theta, mix, _ = tune_cache(
            net, texts.load_data(corpus, "valid")[0], THETAS, MIXES, CACHE_SIZE
        )
        result = eval_perplexity_with_cache(net, text, CACHE_SIZE, theta=theta, mix=mix)
        print(f"with cache (size {CACHE_SIZE}, theta {theta:g}, mix {mix:g}):  {result:.2f}")
    return result


if __name__ == "__main__":
    run(main)
