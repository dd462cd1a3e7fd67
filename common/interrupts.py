"""Defer Ctrl-C and SIGTERM to the end of a training step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["DeferredInterrupts"]


class DeferredInterrupts:
    """Within `with`, the first Ctrl-C or SIGTERM is only noted; a second one acts at once.

    caught  the signal's number, 0 if none came. Read it where stopping does no harm, and call
            `raise_caught`; the end of the `with` block calls it as well, if nothing was raised
    Nothing changes outside the main thread, where Python delivers no signals, and for a signal that
    is ignored, as Ctrl-C is in a background job.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> "DeferredInterrupts":
        self.caught = 0
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if error is None:
            self.raise_caught()

    def raise_caught(self) -> None:
        """KeyboardInterrupt with the signal's number as its argument, if one came."""
        caught, self.caught = self.caught, 0
        if caught:
            raise KeyboardInterrupt(caught)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        self._restore()  # a second signal acts at once

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
