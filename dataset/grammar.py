"""Made-up English with a known best possible perplexity: "every dog that sees a cat runs".

    corpus, word_to_id, id_to_word = grammar.load_data("train")
    best = grammar.true_perplexity("test")         no model can expect less on this text

The text comes from a probabilistic context-free grammar, the two tables below. A sentence grows
from the symbol Text: each symbol is replaced by one of its right sides, with the probability
written before it, until only words are left. The grammar is unambiguous, which means that every
sentence can come about in one way only, so that

    P(sentence) = the product of the probabilities of the choices made,
    perplexity  = exp(-1/N * sum over sentences of log P(sentence))     N tokens with `<eos>`

A verb agrees in number with its subject, even when a relative clause stands in between ("the cats
that the dog near the house chases sleep"). A model must remember the subject to do well.
Source: our own, in place of a licensed corpus.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dataset.text_file import EOS, Corpus, Parts, split_name

__all__ = [
    "ENGLISH",
    "RULES",
    "WORDS",
    "Grammar",
    "entropy_per_token",
    "load_data",
    "load_vocab",
    "sentence_log_probability",
    "true_perplexity",
    "write_out",
]

# Symbols begin with a capital letter, words do not. _n stands for one number, _sg or _pl, in the
# whole rule, which is how subject and verb come to agree.
RULES = {
    "Text": [(1.00, "Sentence <eos>")],
    "Sentence": [(0.60, "Subject_sg Predicate_sg"), (0.40, "Subject_pl Predicate_pl")],
    "Subject_n": [(0.50, "Being_n"), (0.18, "Being_n Place"), (0.32, "Being_n Relative_n")],
    "Being_n": [(0.75, "Article_n Noun_n"), (0.25, "Article_n Adjective Noun_n")],
    "Place": [(0.60, "Preposition Article_sg Site_sg"), (0.40, "Preposition Article_pl Site_pl")],
    "Relative_n": [
        (0.50, "that Predicate_n"),
        (0.30, "that Subject_sg Action_sg"),
        (0.20, "that Subject_pl Action_pl"),
    ],
    "Predicate_n": [
        (0.30, "Motion_n"),
        (0.20, "Motion_n Manner"),
        (0.42, "Action_n Object"),
        (0.08, "Opinion_n that Sentence"),
    ],
    "Object": [
        (0.45, "Being_sg"),
        (0.30, "Being_pl"),
        (0.15, "Being_sg Place"),
        (0.06, "Being_sg Relative_sg"),
        (0.04, "Being_pl Relative_pl"),
    ],
}

# Symbols that become one word, written singular/plural where the two differ. The k-th word of a
# line has probability proportional to 1/k (Zipf's law).
WORDS = {
    "Article_n": "the a/some every/all this/these",
    "Noun_n": (
        "dog/dogs cat/cats man/men child/children woman/women bird/birds girl/girls boy/boys "
        "horse/horses teacher/teachers farmer/farmers doctor/doctors mouse/mice king/kings "
        "soldier/soldiers fox/foxes sailor/sailors wolf/wolves painter/painters goose/geese"
    ),
    "Site_n": (
        "house/houses river/rivers garden/gardens tree/trees school/schools bridge/bridges "
        "market/markets tower/towers church/churches mill/mills"
    ),
    "Motion_n": (
        "sleeps/sleep runs/run waits/wait sings/sing laughs/laugh dances/dance smiles/smile "
        "jumps/jump dreams/dream swims/swim"
    ),
    "Action_n": (
        "sees/see likes/like follows/follow chases/chase helps/help knows/know fears/fear "
        "finds/find hears/hear admires/admire"
    ),
    "Opinion_n": "thinks/think says/say believes/believe hopes/hope",
    "Adjective": "little old young big happy brave quiet clever tired hungry",
    "Preposition": "near behind beside under opposite",
    "Manner": "quietly often today happily slowly alone again loudly",
}

SEED = 1984
SIZES = {"train": 200_000, "valid": 20_000, "test": 20_000}  # tokens, about


class Grammar:
    """A probabilistic context-free grammar, made of two tables such as RULES and WORDS.

    rules  symbol -> [(probability, right side), ...]; a sentence grows from the first symbol
    words  symbol -> its words, the most frequent first

    words, symbols    lists of names; token ids are positions in `words`
    expected_length   mean number of tokens of a sentence
    expected_entropy  mean of -log P(sentence), in nats

    Raises ValueError if the probabilities of a symbol are not positive or do not sum to 1, if a
    right side has a symbol without a rule, or if sentences grow without end.
    """

    def __init__(
        self, rules: Mapping[str, Sequence[tuple[float, str]]], words: Mapping[str, str]
    ) -> None:
        self.rules = write_out(rules, words)
        self.symbols = list(self.rules)
        right_sides = [right for choices in self.rules.values() for _, right in choices]
        leaves = [part for right in right_sides for part in right if part not in self.rules]
        self.words = list(dict.fromkeys(leaves))
        self._check()
        self.expected_length, self.expected_entropy = self._expect()

        # The rules as arrays for `sample`: words are numbered first, then symbols.
        index = {name: i for i, name in enumerate(self.words + self.symbols)}
        self._right = np.full((len(right_sides), max(map(len, right_sides))), -1)
        for row, right in zip(self._right, right_sides, strict=True):
            row[: len(right)] = [index[part] for part in right]
        p = [np.array([p for p, _ in choices]) for choices in self.rules.values()]
        self._log_p = np.log(np.concatenate(p))
        # Symbol s owns the line from s to s + 1, its rules pieces as long as their probabilities;
        # minimum, because a sum may be rounded up into the next symbol's part.
        self._ends = np.concatenate([s + np.minimum(np.cumsum(q), 1) for s, q in enumerate(p)])
        self._last = np.cumsum([len(q) for q in p]) - 1  # the last rule of each symbol

    def _check(self) -> None:
        for symbol, choices in self.rules.items():
            p = [p for p, _ in choices]
            if min(p, default=0) <= 0 or abs(sum(p) - 1) > 1e-9:
                raise ValueError(
                    f"Grammar: the probabilities of {symbol} are {p}; they must be positive and "
                    f"sum to 1, not {sum(p):.9g}"
                )
        for word in self.words:
            if word[0].isupper():
                raise ValueError(f"Grammar: no rule says what becomes of {word}")

    def _expect(self) -> tuple[float, float]:
        """Mean length and mean -log P of what the first symbol becomes.

        For each symbol A, summed over its rules:   B the symbols on the right side
            length(A)  = sum p * (words on the right side + sum length(B))
            entropy(A) = sum p * (-log p                  + sum entropy(B))
        Both are x = own + growth @ x, which has a solution if growth shrinks when repeated.
        """
        S = len(self.symbols)
        own, growth = np.zeros((S, 2)), np.zeros((S, S))
        for a, choices in enumerate(self.rules.values()):
            for p, right in choices:
                inner = [self.symbols.index(part) for part in right if part in self.rules]
                own[a] += p * (len(right) - len(inner)), -p * math.log(p)
                np.add.at(growth[a], inner, p)  # add.at, because a symbol may stand there twice
        if max(abs(np.linalg.eigvals(growth))) >= 1:
            raise ValueError("Grammar: sentences grow without end; make its loops less likely")
        length, entropy = np.linalg.solve(np.eye(S) - growth, own)[0].tolist()
        return length, entropy

    def sample(
        self, sentences: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw sentences: their tokens (N,), one after the other, and log P of each (sentences,).

        All sentences grow together: each round replaces every symbol that is left in any of them.
        """
        V = len(self.words)
        tokens = np.full(sentences, V)  # the first symbol, once per sentence
        owner = np.arange(sentences)  # the sentence that a token belongs to
        log_p = np.zeros(sentences)
        while len(open_ := np.flatnonzero(tokens >= V)):
            symbol = tokens[open_] - V
            rule = np.searchsorted(self._ends, symbol + rng.random(len(open_)), side="right")
            rule = np.minimum(rule, self._last[symbol])  # rounded up likewise
            log_p += np.bincount(owner[open_], self._log_p[rule], sentences)
            grown = np.full((len(tokens), self._right.shape[1]), -1)
            grown[:, 0] = tokens
            grown[open_] = self._right[rule]
            kept = grown >= 0
            tokens, owner = grown[kept], np.repeat(owner, kept.sum(axis=1))
        return tokens, log_p

    def log_probability(self, words: Sequence[str]) -> float:
        """log P(words) in nats, summed over all derivations; -inf if the grammar has none.

        Found by parsing, without a look at how `sample` works. RecursionError if a symbol can begin
        with itself.
        """

        @cache
        def ends(name: str, start: int) -> dict[int, float]:
            """{end: P(name becomes words[start:end])} for all ends that are possible."""
            if name not in self.rules:
                return {start + 1: 1.0} if list(words[start : start + 1]) == [name] else {}
            found: defaultdict[int, float] = defaultdict(float)
            for p, right in self.rules[name]:
                reached = {start: p}
                for part in right:
                    further: defaultdict[int, float] = defaultdict(float)
                    for middle, q in reached.items():
                        for end, r in ends(part, middle).items():
                            further[end] += q * r
                    reached = further
                for end, q in reached.items():
                    found[end] += q
            return found

        p = ends(self.symbols[0], 0).get(len(words), 0.0)
        return math.log(p) if p else -math.inf


def write_out(
    rules: Mapping[str, Sequence[tuple[float, str]]], words: Mapping[str, str]
) -> dict[str, list[tuple[float, tuple[str, ...]]]]:
    """Both tables as one: symbol -> [(probability, right side), ...], with _sg and _pl for _n."""
    table = {}
    for form, number in enumerate(("_sg", "_pl")):
        for left, choices in rules.items():
            n = number if left.endswith("_n") else "_n"  # "_n" by "_n": no change
            table[left.replace("_n", n)] = [
                (p, tuple(right.replace("_n", n).split())) for p, right in choices
            ]
        for left, line in words.items():
            n = number if left.endswith("_n") else "_n"
            entries = [entry.split("/") for entry in line.split()]
            total = sum(1 / k for k in range(1, len(entries) + 1))
            table[left.replace("_n", n)] = [
                (1 / k / total, (entry[form % len(entry)],)) for k, entry in enumerate(entries, 1)
            ]
    return table


ENGLISH = Grammar(RULES, WORDS)


def load_data(data_type: str = "train", *, seed: int = SEED, tokens: int | None = None) -> Corpus:
    """One part of the text: corpus (N,) int64 ids, word_to_id, id_to_word.

    data_type  "train", "valid" (or "val") or "test": independent draws from one grammar
    seed       0 or more; the same seed gives the same texts
    tokens     about how many, SIZES[data_type] if not said; the text ends with a whole sentence

    All parts and sizes of one seed share a vocabulary: every word of the grammar, ids by first
    appearance in the training text of the usual size.
    Raises ValueError for another data_type, a negative seed, or tokens below 1.
    """
    text, _ = _draw(data_type, seed, tokens)
    train, _ = _draw("train", seed)
    new_ids, word_to_id, id_to_word = _vocabulary(train)
    return new_ids[text], word_to_id, id_to_word


def load_parts() -> Parts:
    """The three parts of the usual sizes, ids (N,) of each; the texts of `load_data`."""
    train, valid, test = (_draw(split, SEED)[0] for split in SIZES)
    new_ids, word_to_id, id_to_word = _vocabulary(train)
    return Parts(new_ids[train], new_ids[valid], new_ids[test], word_to_id, id_to_word)


def load_vocab(*, seed: int = SEED) -> tuple[dict[str, int], dict[int, str]]:
    """word_to_id and id_to_word of all texts of this seed."""
    return load_data("train", seed=seed)[1:]


def true_perplexity(
    data_type: str = "test", *, seed: int = SEED, tokens: int | None = None
) -> float:
    """exp(-1/N sum log P(sentence)) of the very text that `load_data` returns for these arguments.

    It comes from the choices made when the text was drawn. A model of the grammar itself has this
    perplexity, with the state carried from token to token and a sentence ending at `<eos>`.
    """
    text, log_p = _draw(data_type, seed, tokens)
    return math.exp(-log_p.sum() / len(text))


def entropy_per_token() -> float:
    """The grammar's entropy in nats per token, exactly; exp of it is endless text's perplexity."""
    return ENGLISH.expected_entropy / ENGLISH.expected_length


def sentence_log_probability(words: str | Sequence[str]) -> float:
    """log P in nats of one sentence, "the dog sleeps" or its words, with or without `<eos>`.

    Found by parsing; -inf if the words are not a sentence of the grammar.
    """
    words = words.split() if isinstance(words, str) else list(words)
    return ENGLISH.log_probability([*words, EOS] if words[-1:] != [EOS] else words)


def _vocabulary(train: NDArray[np.int64]) -> Corpus:
    """Ids by first appearance in a text: the new id of each word of the grammar; the vocabulary."""
    everything = np.concatenate([train, np.arange(len(ENGLISH.words))])
    _, first = np.unique(everything, return_index=True)  # where each word of the grammar appears
    order = np.argsort(first)
    words = [ENGLISH.words[k] for k in order]
    return np.argsort(order), {word: i for i, word in enumerate(words)}, dict(enumerate(words))


def _draw(
    data_type: str, seed: int, tokens: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    split = split_name(data_type)
    tokens = SIZES[split] if tokens is None else tokens
    if tokens < 1:
        raise ValueError(f"tokens is {tokens}; a text needs at least 1")
    sentences = max(1, round(tokens / ENGLISH.expected_length))
    return ENGLISH.sample(sentences, np.random.default_rng([seed, list(SIZES).index(split)]))
