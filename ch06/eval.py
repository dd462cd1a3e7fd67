"""Perplexity of a trained language model, on the test text or on a sentence.

python -m ch06.eval                             of the Rnnlm in this folder, else the shipped one
python -m ch06.eval --model better --cache      with a memory of the last 500 words
python -m ch06.eval --model better --dynamic    with weights that go on learning from the text
python -m ch06.eval --sentence "the company said it expects higher sales"

Source: book 6.4, 6.5.
"""

from typing import Annotated, Any

from ch06 import trained
from ch06.cache_pointer import eval_perplexity_with_cache, tune_cache
from ch06.dynamic_evaluation import eval_perplexity_dynamically, mean_squares, tune_dynamic
from common.cli import at_least_one, run, then
from common.evaluate import eval_perplexity
from common.words.text import words_to_ids
from dataset import texts
from dataset.suitability import describe
from dataset.text_file import EOS
from dataset.tokens import Cut, cutter

CACHE_SIZE = 500
SQUARES_OF = 60_001  # words of the training text
TUNED_ON = 10_001  # words of the validation text
LRS = (4e-4, 8e-4, 1.6e-3)
DECAYS = (3e-4, 3e-3)
THETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0)
MIXES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.4)


def main(
    weights: str | None = None,
    corpus: str | None = None,
    tokens: str | Cut | None = None,
    wordvec_size: int | None = None,
    hidden_size: int | None = None,
    sentence: str | None = None,
    model: Annotated[str, trained.MODELS] = "rnnlm",
    cache: bool = False,
    dynamic: bool = False,
) -> float:
    """Load weights that a training script saved; print and return a perplexity (book 6.4, 6.5).

    weights       file of weights, ours (.npz) or the book's (.pkl); if not given, that of the
                  class in the current folder, else the one that comes with the library
    corpus        text it was trained on: ptb, grammar (made-up English), or a text file; if not
                  given, that which the weight file names, or else ptb
    tokens        how lines of a text file are cut: words, lower or characters; if not given, as in
                  training
    wordvec_size  numbers in a word vector, as in training; if not given, that of a .npz file, or
                  the book's
    hidden_size   numbers in the recurrent layer's state; if not given, as for wordvec_size
    sentence      words of the vocabulary to judge instead of the test text
    model         rnnlm (with an LSTM, book 6.4), better (BetterRnnlm, book 6.5), gru (book
                  appendix C) or awd (AwdLstm, book 6.5.5)
    cache         whether to measure with a memory of the last 500 words as well, whose two settings
                  are chosen on the validation text; the perplexity with it is then returned
    dynamic       whether to measure with weights that go on learning from what they have predicted
                  as well (dynamic evaluation), the two settings chosen in the same way; that
                  perplexity is then returned
    """
    then("ch07.generate_text", model=model, weights=weights)
    if sentence is not None and not sentence.split():
        raise ValueError("eval: the sentence has no words")
    for flag, what in (cache, "the cache"), (dynamic, "dynamic evaluation"):
        if flag and sentence is not None:
            raise ValueError(f"eval: {what} is for the test text, not for a sentence")
    at_least_one(wordvec_size=wordvec_size, hidden_size=hidden_size)
    given = {"wordvec_size": wordvec_size, "hidden_size": hidden_size}
    sizes: dict[str, Any] = {name: size for name, size in given.items() if size is not None}
    file, vocab = trained.find(model, weights, corpus or "ptb"), None
    name, how = trained.text_of(file, corpus, tokens)
    if sentence is None or corpus not in (None, "ptb"):
        parts = texts.load_parts(name, **how)  # once, because it may be a pipe
        text, vocab, id_to_word = parts.part("test")
        if name not in texts.MADE:
            print(describe((text, vocab, id_to_word)))
    net = trained.load(model, file, vocab=vocab, **sizes)
    if sentence is not None:
        words = cutter(how.get("tokens", "words"))(sentence)
        end = [EOS] if EOS in net.vocab else []  # a text in one line has none to train on
        ids = words_to_ids([*end, *words, *end], net.vocab)
        result = eval_perplexity(net, ids, 1, len(ids) - 1, progress=False)
        print(f"perplexity of the sentence:  {result:.2f}")
        return result
    result = eval_perplexity(net, text)
    print(f"test perplexity:  {result:.2f}")
    if cache:
        theta, mix, _ = tune_cache(net, parts.valid, THETAS, MIXES, CACHE_SIZE)
        result = eval_perplexity_with_cache(net, text, CACHE_SIZE, theta=theta, mix=mix)
        print(f"with cache (size {CACHE_SIZE}, theta {theta:g}, mix {mix:g}):  {result:.2f}")
    if dynamic:
        squares = mean_squares(net, parts.train[:SQUARES_OF])
        lr, decay, _ = tune_dynamic(net, parts.valid[:TUNED_ON], squares, LRS, DECAYS)
        result = eval_perplexity_dynamically(net, text, squares, lr=lr, decay=decay)
        print(f"dynamic evaluation (lr {lr:g}, decay {decay:g}):  {result:.2f}")
    return result


if __name__ == "__main__":
    run(main)
