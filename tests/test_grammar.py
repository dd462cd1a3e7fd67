"""dataset/grammar.py: sentences, their exact probabilities, and two independent ways to them."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dataset import grammar
from dataset.grammar import ENGLISH, RULES, WORDS, Grammar

SPLITS = ("train", "valid", "test")


def sentences_of(data_type, **options):
    """The text as lists of words, without <eos>."""
    corpus, _, id_to_word = grammar.load_data(data_type, **options)
    text = " ".join(id_to_word[i] for i in corpus)
    assert text.endswith(" <eos>")
    return [sentence.split() for sentence in text.removesuffix(" <eos>").split(" <eos> ")]


# What a reader of English knows of the words: a letter each, capital in the plural.


def forms(symbol, number):
    return {entry.split("/")[number] for entry in WORDS[symbol].split()}


LETTERS = {
    word: letter
    for symbol, pair in [
        ("Noun_n", "nN"),
        ("Motion_n", "vV"),
        ("Action_n", "tT"),
        ("Opinion_n", "oO"),
    ]
    for number, letter in enumerate(pair)
    for word in forms(symbol, number)
}
FIXED_ARTICLES = {"a": "sg", "every": "sg", "this": "sg", "some": "pl", "all": "pl", "these": "pl"}
LETTERS |= {"that": "r"} | dict.fromkeys(forms("Site_n", 0) | forms("Site_n", 1), "s")

# A sentence shrinks by these until it is a subject and a verb. Each holds in one number only.
# k and K are nouns whose relative clause has been taken away.
SHRINK = [
    ("s", ""),  # near the house
    ("t[nNkK](?!r)", "v"),  # sees a dog
    ("T[nNkK](?!r)", "V"),
    ("or([nk]v|[NK]V)", "v"),  # thinks that a dog sleeps
    ("Or([nk]v|[NK]V)", "V"),
    ("nrv", "k"),  # dog that sleeps
    ("NrV", "K"),
    ("nr([nk]t|[NK]T)", "k"),  # dog that a cat sees
    ("Nr([nk]t|[NK]T)", "K"),
]


def check_agreement(sentence):
    """Do all verbs agree; and how many stand behind a relative clause of their subject?"""
    text, before, separated = "".join(LETTERS.get(word, "") for word in sentence), None, 0
    while text != before:
        before = text
        for pattern, short in SHRINK:
            shrunk = [match[0] for match in re.finditer(pattern, text)]
            separated += sum(part.endswith(("kv", "KV", "kt", "KT")) for part in shrunk)
            text = re.sub(pattern, short, text)
    return text in ("nv", "kv", "NV", "KV"), separated + (text in ("kv", "KV"))


@pytest.mark.parametrize(
    ("sentence", "agreed", "separated"),
    [
        ("the dog sleeps", True, 0),
        ("the dog sleep", False, 0),
        ("the dog near the houses sleeps", True, 0),
        ("the cats that the dog near the house chases sleep", True, 1),
        ("the cats that the dog near the house chase sleep", False, 0),
        ("the cats that the dog near the house chases sleeps", False, 0),
        ("the man that thinks that the dogs that the cat sees sleep waits", True, 2),
        ("the man that thinks that the dogs that the cat sees sleeps waits", False, 0),
        ("a dog sees the cat that sleeps", True, 0),
        ("a dog sees the cats that sleeps", False, 0),
    ],
)
def test_grammar_and_reader_agree_on_what_agreement_is(sentence, agreed, separated):
    assert (grammar.sentence_log_probability(sentence) > -math.inf) == agreed
    checked = check_agreement(sentence.split())
    assert checked[0] == agreed
    if agreed:
        assert checked[1] == separated


def test_every_verb_of_the_text_agrees_with_its_subject():
    for data_type in SPLITS:
        for sentence in sentences_of(data_type, tokens=20_000):
            assert check_agreement(sentence)[0], " ".join(sentence)


def test_every_article_agrees_with_its_noun():
    one, many = (forms("Noun_n", number) | forms("Site_n", number) for number in (0, 1))
    seen = set()
    for sentence in sentences_of("test"):
        named = [word for word in sentence if word in FIXED_ARTICLES or word in one | many]
        for article, noun in itertools.pairwise(named):
            if article in FIXED_ARTICLES:
                assert noun in (one if FIXED_ARTICLES[article] == "sg" else many), sentence
                seen.add(article)
    assert seen == set(FIXED_ARTICLES)


def test_many_verbs_stand_behind_a_relative_clause_of_their_subject():
    text = sentences_of("test")
    verbs = sum(LETTERS.get(word, "") in tuple("vVtToO") for sentence in text for word in sentence)
    separated = sum(check_agreement(sentence)[1] for sentence in text)
    assert 0.10 < separated / verbs < 0.30


# Probabilities


def test_the_probability_of_a_sentence_by_hand():
    # Sentence sg 0.6, Subject is a Being 0.5, without adjective 0.75, Predicate is a Motion 0.3.
    # "the" is the 1st of 4 articles: weight 1 of 1 + 1/2 + 1/3 + 1/4; "cat" the 2nd of 20 nouns,
    # "sleeps" the 1st of 10 motions.
    weights = [sum(1 / k for k in range(1, n + 1)) for n in (4, 20, 10)]
    p = 0.6 * 0.5 * 0.75 * 0.3 * (1 / weights[0]) * (1 / 2 / weights[1]) * (1 / weights[2])
    assert_allclose(grammar.sentence_log_probability("the cat sleeps"), math.log(p), rtol=1e-12)


def test_eos_may_be_written_or_left_out():
    words = ["the", "cat", "sleeps"]
    assert grammar.sentence_log_probability(words) == grammar.sentence_log_probability(
        [*words, "<eos>"]
    )
    assert grammar.sentence_log_probability(tuple(words)) == grammar.sentence_log_probability(words)


@pytest.mark.parametrize(
    "words",
    ["", "<eos>", "the cat", "cat the sleeps", "the unicorn sleeps", "the cat sleeps sleeps"],
)
def test_what_is_no_sentence_has_probability_zero(words):
    assert grammar.sentence_log_probability(words) == -math.inf


def test_each_sentence_has_one_derivation():
    """Parsing adds up all derivations, drawing knows one: equal if it is the only one."""
    tokens, log_p = ENGLISH.sample(2000, np.random.default_rng(0))
    text = " ".join(ENGLISH.words[i] for i in tokens).split("<eos>")[:-1]
    parsed = [grammar.sentence_log_probability(sentence) for sentence in text]
    assert_allclose(parsed, log_p, rtol=1e-10)


def test_parsing_adds_the_derivations_of_an_ambiguous_sentence():
    rules = [(0.3, "if S"), (0.2, "if S else S"), (0.5, "x")]
    # if (if x else x) and if (if x) else x: 0.3 * 0.2 * 0.5 * 0.5 = 0.015 each
    p = math.exp(Grammar({"S": rules}, {}).log_probability(["if", "if", "x", "else", "x"]))
    assert_allclose(p, 0.03, rtol=1e-12)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 300))
def test_true_perplexity_is_that_of_the_text_returned(seed, tokens):
    options = {"seed": seed, "tokens": tokens}
    text = sentences_of("test", **options)
    n = sum(len(sentence) + 1 for sentence in text)
    nats = -sum(grammar.sentence_log_probability(sentence) for sentence in text)
    assert_allclose(grammar.true_perplexity("test", **options), math.exp(nats / n), rtol=1e-10)


# Expectations


def test_expected_length_and_entropy_by_hand():
    coin = Grammar({"S": [(0.25, "a S"), (0.75, "b")]}, {})
    # length = 1/4 (1 + length) + 3/4 * 1            =>  length = 4/3
    # entropy = choice + 1/4 entropy                 =>  entropy = 4/3 choice
    choice = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert_allclose(coin.expected_length, 4 / 3)
    assert_allclose(coin.expected_entropy, 4 / 3 * choice)


@settings(max_examples=20, deadline=None)
@given(p=st.floats(0.05, 0.45))
def test_a_sum_over_all_sentences_is_the_expectation(p):
    # a^k b has probability p^k (1 - p) and k + 1 words; beyond k = 60 nothing is left (0.45**60)
    drawn = Grammar({"S": [(p, "a S"), (1 - p, "b")]}, {})
    log_p = np.array([drawn.log_probability([*"a" * k, "b"]) for k in range(60)])
    assert_allclose(np.exp(log_p).sum(), 1)
    assert_allclose((np.exp(log_p) * np.arange(1, 61)).sum(), drawn.expected_length)
    assert_allclose(-(np.exp(log_p) * log_p).sum(), drawn.expected_entropy)


def test_drawn_sentences_have_the_expected_length_and_entropy():
    sentences = 20_000
    tokens, log_p = ENGLISH.sample(sentences, np.random.default_rng(1))
    ends = np.flatnonzero(tokens == ENGLISH.words.index("<eos>"))
    lengths = np.diff(ends, prepend=-1)
    for values, expected in [
        (lengths, ENGLISH.expected_length),
        (-log_p, ENGLISH.expected_entropy),
    ]:
        error = values.std() / math.sqrt(sentences)
        assert abs(values.mean() - expected) < 4 * error
        assert error < 0.01 * expected


@pytest.mark.parametrize("data_type", SPLITS)
def test_true_perplexity_is_near_that_of_endless_text(data_type):
    assert_allclose(
        grammar.true_perplexity(data_type), math.exp(grammar.entropy_per_token()), rtol=0.01
    )


def test_the_text_is_neither_trivial_nor_hopeless():
    assert 8 < math.exp(grammar.entropy_per_token()) < 20
    assert 80 <= len(ENGLISH.words) <= 200


def test_words_of_a_kind_are_drawn_as_often_as_zipf_says():
    corpus, word_to_id, _ = grammar.load_data("train")
    counts = np.bincount(corpus)
    adverbs = counts[[word_to_id[word] for word in WORDS["Manner"].split()]]
    share = 1 / np.arange(1, 9)
    expected = adverbs.sum() * share / share.sum()
    assert np.all(np.abs(adverbs - expected) < 4 * np.sqrt(expected))


# The text as a corpus


def test_the_corpus_has_the_form_of_ptb():
    corpus, word_to_id, id_to_word = grammar.load_data()
    assert corpus.dtype == np.int64
    assert abs(len(corpus) - 200_000) < 5_000
    assert id_to_word == {i: word for word, i in word_to_id.items()}
    assert list(id_to_word) == list(range(len(ENGLISH.words)))
    assert set(word_to_id) == set(ENGLISH.words)


def test_ids_follow_first_appearance_in_the_training_text():
    corpus, _, _ = grammar.load_data("train")
    _, first = np.unique(corpus, return_index=True)
    assert np.all(np.diff(first) > 0)


def test_all_parts_and_sizes_share_a_vocabulary():
    vocabulary = grammar.load_vocab()
    for data_type in SPLITS:
        assert grammar.load_data(data_type)[1:] == vocabulary
        assert grammar.load_data(data_type, tokens=50)[1:] == vocabulary


@pytest.mark.parametrize("tokens", [1, 1000, 50_000])
def test_size_is_a_keyword(tokens):
    corpus, word_to_id, _ = grammar.load_data("valid", tokens=tokens)
    assert abs(len(corpus) - tokens) < 30 + 4 * 6 * math.sqrt(tokens / 9)  # lengths vary by about 5
    assert corpus[-1] == word_to_id["<eos>"]


def test_the_same_seed_gives_the_same_text_whatever_the_global_generator_does():
    first = grammar.load_data("test", seed=3)[0]
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    assert_array_equal(grammar.load_data("test", seed=3)[0], first)
    assert np.random.rand() == expected


def test_other_seeds_and_other_parts_are_other_texts():
    texts = [
        sentences_of(data_type, seed=seed, tokens=500) for data_type in SPLITS for seed in (0, 1)
    ]
    assert all(a != b for a, b in itertools.combinations(texts, 2))


def test_val_is_another_name_of_valid():
    assert_array_equal(grammar.load_data("val")[0], grammar.load_data("valid")[0])
    assert grammar.true_perplexity("val") == grammar.true_perplexity("valid")


@pytest.mark.parametrize("function", [grammar.load_data, grammar.true_perplexity])
@pytest.mark.parametrize("data_type", ["dev", "TEST", None])
def test_an_unknown_part_is_named_beside_the_known_ones(function, data_type):
    with pytest.raises(ValueError, match=f"{data_type!r}.*'train', 'valid'.*'val'.*'test'"):
        function(data_type)


@pytest.mark.parametrize("tokens", [0, -5])
def test_an_empty_text_is_refused(tokens):
    with pytest.raises(ValueError, match=f"tokens is {tokens}"):
        grammar.load_data("test", tokens=tokens)


# The tables


def test_the_probabilities_of_every_symbol_sum_to_one():
    for symbol, choices in ENGLISH.rules.items():
        assert_allclose(sum(p for p, _ in choices), 1, rtol=1e-12, err_msg=symbol)


def test_a_rule_with_n_becomes_one_rule_for_each_number():
    table = grammar.write_out(
        {"S_n": [(1.0, "A_n B x")], "B": [(1.0, "y")]}, {"A_n": "dog/dogs the"}
    )
    assert table == {
        "S_sg": [(1.0, ("A_sg", "B", "x"))],
        "S_pl": [(1.0, ("A_pl", "B", "x"))],
        "B": [(1.0, ("y",))],
        "A_sg": [(1 / 1.5, ("dog",)), (1 / 2 / 1.5, ("the",))],
        "A_pl": [(1 / 1.5, ("dogs",)), (1 / 2 / 1.5, ("the",))],
    }


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ({"S": [(0.5, "a"), (0.4, "b")]}, "probabilities of S are .* not 0.9"),
        ({"S": [(1.5, "a"), (-0.5, "b")]}, "probabilities of S .* positive"),
        ({"S": [(1.0, "a Missing")]}, "no rule says what becomes of Missing"),
        ({"S": [(1.0, "A_n")], "A_n": [(1.0, "a")]}, "no rule says what becomes of A_n"),
        ({"S": [(0.5, "S S"), (0.5, "a")]}, "without end"),  # on average as many S as before
    ],
)
def test_a_table_that_is_no_grammar_is_refused(rules, complaint):
    with pytest.raises(ValueError, match=complaint):
        Grammar(rules, {})


def test_a_table_changed_by_a_reader_is_still_a_grammar():
    slower = {**RULES, "Sentence": [(0.2, RULES["Sentence"][0][1]), (0.8, RULES["Sentence"][1][1])]}
    changed = Grammar(slower, WORDS)
    assert changed.expected_length == pytest.approx(ENGLISH.expected_length)  # numbers are alike
    assert changed.expected_entropy < ENGLISH.expected_entropy  # 0.8 is surer than 0.6
