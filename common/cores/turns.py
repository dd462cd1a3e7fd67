"""One model in several threads: its calls take turns, and the text it has read is one thread's.

A call that is not over keeps what it needs in the layers, where another call would overwrite it.
`model.replica()` gives a thread a model of its own, which works side by side with the others.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary


class Turn:
    """Whose turn it is at a model: the lock that the thread holds which uses it.

    thread  the one whose text a language model has read; None before the first
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.thread: int | None = None

    def begin_text(self) -> None:
        """From now on, the model reads for this thread."""
        self.thread = threading.get_ident()

    def continue_text(self, who: str) -> None:
        """Raise RuntimeError, in the name of `who`, if another thread began the text and lives."""
        here = threading.get_ident()
        if self.thread not in (None, here) and self.thread in map(_ident, threading.enumerate()):
            raise RuntimeError(
                f"{who}: another thread has begun a text with this model; give each thread a "
                "replica() of the model, or call reset_state() where a text begins, and let no "
                "other thread in before it ends"
            )
        self.thread = here


_ident = attrgetter("ident")
_turns: WeakKeyDictionary[Any, Turn] = WeakKeyDictionary()  # apart: locks have no copies


@contextmanager
def turn(model: Any) -> Iterator[Turn]:
    """Around what a thread does with a model: other threads wait at the same place until then."""
    its = _turns.setdefault(model, Turn())
    with its.lock:
        yield its
