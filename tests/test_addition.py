"""dataset/addition.py: the form of the lines, and the distribution of the published file."""

import hashlib
import math
import re
from collections import Counter

import numpy as np
import pytest

from dataset import addition

# Figure 7-12, line for line.
PUBLISHED = [
    "16+75  _91  ",
    "52+607 _659 ",
    "75+22  _97  ",
    "63+22  _85  ",
    "795+3  _798 ",
    "706+796_1502",
    "8+4    _12  ",
    "84+317 _401 ",
    "9+3    _12  ",
    "6+2    _8   ",
    "18+8   _26  ",
    "85+52  _137 ",
    "9+1    _10  ",
    "8+20   _28  ",
    "5+3    _8   ",
]


def operands(lines):
    return [tuple(map(int, line[:7].split("+"))) for line in lines]


@pytest.fixture(scope="module", params=[0, 1, 1984])
def lines(request):
    return addition.lines(seed=request.param)


@pytest.fixture(scope="module")
def pairs(lines):
    return operands(lines)


def test_a_line_is_a_sum_in_fixed_columns(lines):
    assert len(lines) == 50_000
    for line in lines:
        assert re.fullmatch(r"(0|[1-9]\d{0,2})\+(0|[1-9]\d{0,2}) *_\d+ *", line)
        assert len(line) == 12
        assert line[7] == "_"
        a, b = map(int, line[:7].split("+"))
        assert int(line[8:]) == a + b
        assert line == line[:7].strip().ljust(7) + "_" + line[8:].strip().ljust(4)


def test_the_first_lines_are_those_of_the_published_file(lines):
    assert lines[:15] == PUBLISHED


def test_characters_appear_in_the_order_of_the_published_file(lines):
    assert "".join(dict.fromkeys("".join(lines))) == "16+75 _920384"


def test_no_pair_comes_twice_in_either_order(pairs):
    assert len({frozenset(pair) for pair in pairs}) == 50_000


# Counts in the published file, and the standard deviation from seed to seed. Both files are one
# draw, so that their difference deviates by sqrt(2) times as much.


def assert_counts(found, table):
    assert set(found) == set(table)
    for key, (published, deviation) in table.items():
        assert abs(found[key] - published) <= 5 * math.sqrt(2) * deviation, key


def test_operands_have_as_many_digits_as_in_the_published_file(pairs):
    assert_counts(
        Counter((len(str(a)), len(str(b))) for a, b in pairs),
        {
            (1, 1): (55, 0),
            (1, 2): (431, 13),
            (2, 1): (469, 13),
            (1, 3): (4376, 42),
            (3, 1): (4348, 41),
            (2, 2): (3981, 10.4),
            (2, 3): (11799, 95),
            (3, 2): (11964, 89),
            (3, 3): (12577, 105),
        },
    )


def test_short_questions_are_used_up(pairs):
    used = {frozenset(pair) for pair in pairs}
    for a in range(10):
        assert all(frozenset((a, b)) in used for b in range(100))
    found = sum(frozenset((a, b)) in used for a in range(10) for b in range(100, 1000))
    assert abs(found - 8724) <= 5 * math.sqrt(2) * 15  # of 9,000


def test_questions_and_sums_are_as_long_as_in_the_published_file(pairs):
    lengths = {3: (55, 0), 4: (900, 0), 5: (12705, 19), 6: (23763, 102), 7: (12577, 105)}
    assert_counts(Counter(len(f"{a}+{b}") for a, b in pairs), lengths)
    lengths = {1: (30, 0), 2: (2478, 6.7), 3: (38415, 79), 4: (9077, 80)}
    assert_counts(Counter(len(str(a + b)) for a, b in pairs), lengths)


def test_neither_operand_is_the_larger_one_by_rule(pairs):
    order = Counter((a > b) - (a < b) for a, b in pairs)
    assert_counts(order, {-1: (24934, 97), 0: (105, 5.3), 1: (24961, 97)})


def test_digits_are_uniform(pairs):
    """Of numbers that have three digits: the first is not 0, the others are anything."""
    digits = np.array([[*map(int, str(n))] for pair in pairs for n in pair if n > 99])
    for column, values in zip(digits.T, (9, 10, 10), strict=True):
        counts = np.bincount(column, minlength=10)[-values:]
        p = 1 / values
        assert np.all(np.abs(counts - len(column) * p) < 5 * math.sqrt(len(column) * p * (1 - p)))


def test_short_questions_come_early(pairs):
    def mean_length(part):
        return np.mean([len(f"{a}+{b}") for a, b in part])

    assert mean_length(pairs[:5000]) < mean_length(pairs[-5000:]) - 0.5


def test_what_is_left_out_of_the_draws_is_what_came_before():
    rng = np.random.RandomState(3)
    limits = 10 ** rng.randint(1, 4, (addition.BLOCK, 2), np.int64)
    expected, used = list(addition.OPENING), {frozenset(pair) for pair in addition.OPENING}
    for pair in map(tuple, rng.randint(limits, dtype=np.int64).tolist()):
        if frozenset(pair) not in used:
            used.add(frozenset(pair))
            expected.append(pair)
    assert operands(addition.lines(len(expected), seed=3)) == expected


def test_the_default_lines_are_the_same_on_every_machine():
    text = "".join(line + "\n" for line in addition.lines())
    assert len(text) == 650_000
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "1ed4bfd74d00bcfdb30ad6a406cf0698009073e4481016aef614968cb7f794a2"
    )


@pytest.mark.parametrize("size", [15, 16, 2000, 49_000])  # a block of draws gives about 47,000
def test_a_shorter_list_begins_a_longer_one(size):
    assert addition.lines(size) == addition.lines()[:size]


def test_a_seed_gives_one_list_and_another_seed_another():
    lines = [addition.lines(100, seed=seed) for seed in (0, 1, 2, 0, 1, 2)]
    assert lines[:3] == lines[3:]
    assert len(set(map(tuple, lines))) == 3


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].tolist()
    addition.lines(1000)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("size", [-1, 0, 14, 500_501])
def test_a_size_out_of_reach_is_refused(size):
    with pytest.raises(ValueError, match=rf"addition: size is {size}; it can be 15 .* to 500500"):
        addition.lines(size)
