"""Three spiral arms of points: a data set that no straight line separates."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_data"]

CLASSES = 3
POINTS = 100  # per class


def load_data(seed: int = 1984) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Points x (300, 2) float64 and their classes t (300, 3) int32, one-hot, class after class.

    Point i of class j lies at radius r = i / 100 and angle 4 j + 4 r + 0.2 z radians:
    x = (r sin angle, r cos angle), with one standard normal z for each point in this order.
    The first point of every class is the origin, so accuracy cannot exceed 298/300.

    The seed makes the points of the book's loader, and NumPy's global generator is left alone.
    Source: book 1.4.1.
    """
    rng = np.random.RandomState(seed)  # only the old generator repeats the book's points
    z = rng.randn(CLASSES, POINTS)
    r = np.arange(POINTS) / POINTS
    angle = 4.0 * np.arange(CLASSES)[:, None] + 4.0 * r + 0.2 * z  # (class, point)
    x = np.stack([r * np.sin(angle), r * np.cos(angle)], axis=-1)
    t = np.repeat(np.eye(CLASSES, dtype=np.int32), POINTS, axis=0)
    return x.reshape(-1, 2), t
