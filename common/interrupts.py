"""Ctrl-C and SIGTERM at a moment that suits: after a training step, not in the middle of one."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class DeferredInterrupts:
    """Within `with`, the first Ctrl-C or SIGTERM is only noted; a second one acts at once.

    caught  the signal's number, 0 if none came; ask it where stopping does no harm, and call
            `raise_caught`. What came and was not asked for is raised at the end, if all went well
    Outside the main thread, where Python delivers no signals, nothing changes, nor does it for a
    signal that is ignored, as Ctrl-C is in a background job.
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
        self._restore()  # so that impatience helps

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
