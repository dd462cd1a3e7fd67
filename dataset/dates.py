"""Dates as people write them, to be put into one form: "september 27, 1994" is 1994-09-27.

Every line has 40 characters: the date padded with blanks to 29, then `_YYYY-MM-DD`. Days are
uniform from 1970-01-01 to 2017-07-24, the four forms have probability 1/4 each, and half of the
dates stay as they are, a quarter is in capitals and a quarter in small letters.
Source: book 8.3.1, figure 8-23; the same distribution as the published file, in other samples.
"""

from collections.abc import Callable
from datetime import date

import numpy as np

__all__ = ["lines"]

# The lines that the published file begins with, then some that bring the other characters in the
# order of the published file. So each of the 59 has the id there that it has in any file made here.
OPENING = [
    ("september 27, 1994", "1994-09-27"),
    ("August 19, 2003", "2003-08-19"),
    ("2/10/93", "1993-02-10"),
    ("10/31/90", "1990-10-31"),
    ("TUESDAY, SEPTEMBER 25, 1984", "1984-09-25"),
    ("JUN 17, 2013", "2013-06-17"),
    ("april 3, 1996", "1996-04-03"),
    ("October 24, 1974", "1974-10-24"),
    ("AUGUST 11, 1986", "1986-08-11"),
    ("February 16, 2015", "2015-02-16"),
    ("October 12, 1988", "1988-10-12"),
    ("6/3/73", "1973-06-03"),
    ("Sep 30, 1981", "1981-09-30"),
    ("June 19, 1977", "1977-06-19"),
    ("OCTOBER 22, 2005", "2005-10-22"),
    ("Wednesday, January 1, 1975", "1975-01-01"),  # W d
    ("APRIL 12, 1981", "1981-04-12"),  # I L
    ("july 20, 1976", "1976-07-20"),  # j
    ("MARCH 14, 1988", "1988-03-14"),  # H
    ("November 9, 1989", "1989-11-09"),  # v
    ("march 1, 2000", "2000-03-01"),  # h
    ("NOV 30, 1999", "1999-11-30"),  # V
    ("feb 29, 2004", "2004-02-29"),  # f
    ("wednesday, october 5, 2011", "2011-10-05"),  # w
]
FIRST_DAY = date(1970, 1, 1).toordinal()
DAYS = date(2017, 7, 24).toordinal() - FIRST_DAY + 1  # 17,372

# Written out, because strftime speaks the language that the machine is set to.
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

CASES: tuple[Callable[[str], str], ...] = (str, str, str.upper, str.lower)


def lines(size: int = 50_000, *, seed: int = 0) -> list[str]:
    """A list of `size` lines "date_YYYY-MM-DD", the first 24 of them always the same.

    size  24 or more; a shorter list begins a longer one
    seed  the same seed gives the same lines, with every version of NumPy

    Raises ValueError for another size.
    """
    if size < len(OPENING):
        raise ValueError(
            f"dates: size is {size}; it must be {len(OPENING)}, the lines that the data always "
            "begins with, or more"
        )
    rng = np.random.RandomState(seed)  # only the old generator never changes what it draws
    drawn = rng.random_sample((size - len(OPENING), 3)) * (DAYS, 4, len(CASES))
    pairs = OPENING + [_pair(*row) for row in drawn.astype(int).tolist()]
    return [f"{question:<29}_{answer}" for question, answer in pairs]


def _pair(day: int, form: int, case: int) -> tuple[str, str]:
    """One of the days, from 0, in one of the four forms and four cases; and its one right form."""
    d = date.fromordinal(FIRST_DAY + day)
    month = MONTHS[d.month - 1]
    written = (
        f"{d.month}/{d.day}/{d.year % 100:02}",
        f"{month[:3]} {d.day}, {d.year}",
        f"{month} {d.day}, {d.year}",
        f"{WEEKDAYS[d.weekday()]}, {month} {d.day}, {d.year}",
    )
    return CASES[case](written[form]), d.isoformat()
