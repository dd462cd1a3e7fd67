"""One model in several threads: its calls take turns, and the text it has read is one thread's.

A call that is not over keeps what it needs in the layers, where another call would overwrite it.
`model.replica()` gives a thread a model of its own, which works side by side with the others.
"""

import threading
from typing import Any

__all__ = ["Turn"]


class Turn:
    """Whose turn it is at a model. A copy of the model has one of its own.

    lock    held by the thread that uses the model; others wait
    thread  the one whose text a language model has read; None before the first
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.thread: int | None = None

    def __reduce__(self) -> Any:
        return Turn, ()

    def begin_text(self) -> None:
        """From now on, the model reads for this thread."""
        self.thread = threading.get_ident()

    def continue_text(self, who: str) -> None:
        """Raise RuntimeError, in the name of `who`, if another thread began the text and lives."""
        here = threading.get_ident()
        if self.thread != here:
            alive = [thread.ident for thread in threading.enumerate()]
            if self.thread in alive:
                raise RuntimeError(
                    f"{who}: another thread has begun a text with this model; give each thread a "
                    "replica() of the model, or call reset_state() where a text begins, and let no "
                    "other thread in before it ends"
                )
            self.thread = here
