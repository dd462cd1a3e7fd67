"""Chapter 2: word vectors from counts."""

from common import COMMON as COMMON  # if not: another package of this name hides ours
from dataset import DATASET as DATASET  # if not: another package of this name hides ours
