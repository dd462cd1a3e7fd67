"""dataset/dates.py: the form of the lines, and the distribution of the published file."""

import calendar
import hashlib
import math
import re
from collections import Counter
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset import dates

# Figure 8-23, line for line.
PUBLISHED = [
    "september 27, 1994           _1994-09-27",
    "August 19, 2003              _2003-08-19",
    "2/10/93                      _1993-02-10",
    "10/31/90                     _1990-10-31",
    "TUESDAY, SEPTEMBER 25, 1984  _1984-09-25",
    "JUN 17, 2013                 _2013-06-17",
    "april 3, 1996                _1996-04-03",
    "October 24, 1974             _1974-10-24",
    "AUGUST 11, 1986              _1986-08-11",
    "February 16, 2015            _2015-02-16",
    "October 12, 1988             _1988-10-12",
    "6/3/73                       _1973-06-03",
    "Sep 30, 1981                 _1981-09-30",
    "June 19, 1977                _1977-06-19",
    "OCTOBER 22, 2005             _2005-10-22",
]
VOCABULARY = "septmbr 27,194_-0Aug38/TUESDYPMBR5JN6ailOcoGFynCWdILjHvhVfw"
MONTHS = [name.lower() for name in calendar.month_name[1:]]
WEEKDAYS = [name.lower() for name in calendar.day_name]
FORMS = {
    "numeric": r"(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<y>\d\d)",
    "May": r"(?P<m>may) (?P<d>\d\d?), (?P<y>\d{4})",  # short and long alike
    "short": r"(?P<m>[a-z]{3}) (?P<d>\d\d?), (?P<y>\d{4})",
    "long": r"(?P<m>[a-z]{4,}) (?P<d>\d\d?), (?P<y>\d{4})",
    "weekday": r"(?P<w>[a-z]+), (?P<m>[a-z]+) (?P<d>\d\d?), (?P<y>\d{4})",
}


def questions(lines):
    return [line[:29].rstrip(" ") for line in lines]


def understand(question):
    """Form and date of a question as a reader of English would have them; what is wrong raises."""
    matches = ((form, re.fullmatch(FORMS[form], question.lower())) for form in FORMS)
    form, match = next((form, match) for form, match in matches if match)
    m, d, y = match["m"], match["d"], int(match["y"])
    assert not d.startswith("0")
    if form == "numeric":
        assert not m.startswith("0")
        day = date(y + (1900 if y >= 70 else 2000), int(m), int(d))
    else:
        names = [name[:3] for name in MONTHS] if form == "short" else MONTHS
        day = date(y, names.index(m) + 1, int(d))
    if form == "weekday":
        assert WEEKDAYS[day.weekday()] == match["w"]
    return form, day


def case_of(question):
    if question.islower():
        return "lower"
    return "upper" if question.isupper() else "as is"


@pytest.fixture(scope="module", params=[0, 1, 1984])
def lines(request):
    return dates.lines(seed=request.param)


@pytest.fixture(scope="module")
def understood(lines):
    """(form, case) of each line."""
    return [(understand(question)[0], case_of(question)) for question in questions(lines)]


def test_a_line_is_a_date_in_fixed_columns_and_its_iso_form(lines):
    assert len(lines) == 50_000
    for line, question in zip(lines, questions(lines), strict=True):
        _, day = understand(question)
        assert line == question.ljust(29) + "_" + day.isoformat()
        assert date(1970, 1, 1) <= day <= date(2017, 7, 24)


def test_the_first_lines_are_those_of_the_published_file(lines):
    assert lines[:15] == PUBLISHED


def test_characters_appear_in_the_order_of_the_published_file(lines):
    assert "".join(dict.fromkeys("".join(lines))) == VOCABULARY


def test_the_opening_alone_has_every_character():
    assert "".join(dict.fromkeys("".join(dates.lines(24)))) == VOCABULARY
    assert "w" not in "".join(dates.lines(24)[:23])  # all 24 are needed


@pytest.mark.parametrize("form", ["numeric", "short", "long", "weekday", "May"])
def test_forms_are_as_frequent_as_in_the_published_file(understood, form):
    published = {"numeric": 12434, "short": 11427, "long": 11608, "weekday": 12334, "May": 2197}
    count, p = published[form], published[form] / 50_000
    deviation = math.sqrt(2 * 50_000 * p * (1 - p))  # of the difference of two draws
    assert abs(sum(found == form for found, _ in understood) - count) < 5 * deviation


@pytest.mark.parametrize(
    ("form", "counts"),
    [
        ("weekday", (6228, 3034, 3072)),
        ("long", (5808, 2883, 2917)),
        ("short", (5740, 2755, 2932)),
        ("May", (1089, 555, 553)),
    ],
)
def test_half_of_each_form_is_as_is_and_a_quarter_each_upper_and_lower(understood, form, counts):
    found = Counter(case for f, case in understood if f == form)
    for case, count in zip(("as is", "upper", "lower"), counts, strict=True):
        assert abs(found[case] - count) < 5 * math.sqrt(2 * count)


def test_names_that_stay_as_they_are_begin_with_a_capital(lines):
    for question in questions(lines):
        for word in re.findall("[A-Za-z]+", question):
            assert word in (word.title(), word.upper(), word.lower())
        if case_of(question) == "as is":
            assert question == question.title()


def test_lengths_are_those_of_the_forms(lines):
    lengths = {len(question) for question in questions(lines)}
    assert lengths == {6, 7, 8, *range(11, 30)}
    assert max(questions(lines), key=len).lower().startswith("wednesday, september ")


def test_years_of_two_digits_are_70_to_99_and_00_to_17(lines):
    years = {int(question[-2:]) for question in questions(lines) if "/" in question}
    assert years == {*range(70, 100), *range(18)}


def test_days_are_uniform(lines):
    ordinals = np.array([date.fromisoformat(line[30:]).toordinal() for line in lines])
    position = (ordinals - date(1970, 1, 1).toordinal()) / 17_372  # uniform on [0, 1)
    counts, _ = np.histogram(position, 20, (0, 1))
    assert np.all(np.abs(counts - 2500) < 5 * math.sqrt(2500))
    # 17,372 (1 - exp(-50,000 / 17,372)) = 16,395 days occur; the published file has 16,365
    assert abs(len(set(ordinals.tolist())) - 16_395) < 5 * 30


def test_inputs_repeat_as_often_as_in_the_published_file(lines):
    # Means and deviations from seed to seed; the published file has 41,578 and 1,405.
    inputs = questions(lines)
    assert abs(len(set(inputs)) - 41_594) < 5 * 70
    rows = np.random.RandomState(1984).permutation(50_000)
    train = {inputs[row] for row in rows[:45_000]}
    repeated = sum(inputs[row] in train for row in rows[45_000:])
    assert abs(repeated - 0.284 * 5000) < 5 * 40


def test_the_default_lines_are_the_same_on_every_machine():
    text = "".join(line + "\n" for line in dates.lines())
    assert len(text) == 2_050_000
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "b80264a0b1bc012ba428e7800cb99f3d93176fbc44e3a87bbee87c9316e46b21"
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(24, 1000))
def test_a_shorter_list_begins_a_longer_one_of_the_same_seed(seed, size):
    assert dates.lines(size, seed=seed) == dates.lines(1000, seed=seed)[:size]
    assert dates.lines(1000, seed=seed) != dates.lines(1000, seed=(seed + 1) % 2**32)


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].tolist()
    dates.lines(1000)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("size", [-1, 0, 23])
def test_a_size_below_the_opening_is_refused(size):
    with pytest.raises(ValueError, match=f"dates: size is {size}; it must be 24"):
        dates.lines(size)
