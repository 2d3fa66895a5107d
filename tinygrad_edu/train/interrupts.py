"""Ctrl-C while a fit runs: noted at once, obeyed at the end of the step, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupts:
    """`with Interrupts() as interrupts:` turns the first Ctrl-C into a note that `check` raises; a second acts at once.

    Only in the main thread, and only where Ctrl-C has Python's own handler: a program's handler stays in charge.
    """

    def __init__(self) -> None:
        self.noted = False
        self._before: object = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if before is signal.default_int_handler:
                self._before = before
                signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.noted:
            raise KeyboardInterrupt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._before = None
        if kind is None:
            self.check()  # pressed during the very last step
