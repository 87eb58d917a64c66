"""A request to end (SIGTERM, as schedulers and CI systems send it) ends a run as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import pytest


def as_interrupt(config: pytest.Config) -> None:
    """Clean up on SIGTERM, which would end Python on the spot; a second one still does.

    Whoever has a handler of their own keeps it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    signal.signal(signal.SIGTERM, _interrupt)
    config.add_cleanup(_restore)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _restore()
    raise KeyboardInterrupt(signal.Signals(number).name)


def _restore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
