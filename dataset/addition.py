"""Additions to learn as a translation: lines such as "71+118 _189 ".

Every line has 12 characters: the question a+b, padded with blanks to 7, then `_`, then a + b,
padded to 4. An operand has 1, 2 or 3 digits with probability 1/3 each, every digit is uniform, and
zeros in front are dropped. No pair of operands comes twice, in either order. Short questions are
soon used up, and so the lines are not alike from first to last: shuffle before dividing them.
Source: book 7.2.2, figure 7-12; the same distribution as the published file, in other samples.
"""

import numpy as np

__all__ = ["BLOCK", "OPENING", "lines"]

# The lines that the published file begins with. They have all 13 characters, and so any file that
# begins with them gives each character the id that it has in the published one.
OPENING = [
    (16, 75),
    (52, 607),
    (75, 22),
    (63, 22),
    (795, 3),
    (706, 796),
    (8, 4),
    (84, 317),
    (9, 3),
    (6, 2),
    (18, 8),
    (85, 52),
    (9, 1),
    (8, 20),
    (5, 3),
]
PAIRS = 500_500  # of two numbers from 0 to 999, in either order
BLOCK = 1 << 17  # pairs drawn at a time; 50,000 lines take about 141,000


def lines(size: int = 50_000, *, seed: int = 0) -> list[str]:
    """A list of `size` lines "question_answer", the first 15 of them always the same.

    size  15 to 500,500, which is every pair there is (the last ones are rarely drawn: a minute); a
          shorter list begins a longer one
    seed  the same seed gives the same lines, with every version of NumPy

    Raises ValueError for another size.
    """
    if not len(OPENING) <= size <= PAIRS:
        raise ValueError(
            f"addition: size is {size}; it can be {len(OPENING)} (the lines that the data always "
            f"begins with) to {PAIRS} (every pair of numbers from 0 to 999)"
        )
    rng = np.random.RandomState(seed)  # only the old generator never changes what it draws
    pairs = np.array(OPENING)
    while len(pairs) < size:
        limits = 10 ** rng.randint(1, 4, (BLOCK, 2), np.int64)
        pairs = np.concatenate([pairs, rng.randint(limits, dtype=np.int64)])
        unordered = pairs.min(axis=1) * 1000 + pairs.max(axis=1)
        _, first = np.unique(unordered, return_index=True)
        pairs = pairs[np.sort(first)]
    return [f"{f'{a}+{b}':<7}_{a + b:<4}" for a, b in pairs[:size].tolist()]
