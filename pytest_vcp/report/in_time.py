"""What judges nothing is waited for as long as a reader would, and then left out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from typing import TypeVar

T = TypeVar("T")


def result(work: Callable[[], T], seconds: float) -> T | None:
    """What `work` returns; None where it takes longer. Raises what it raises.

    It goes on in a thread that nobody waits for, and ends with the process.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as problem:  # noqa: BLE001 - it is raised where it is waited for
            done.set_exception(problem)

    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result(seconds)
    except TookTooLong:
        if done.done():
            raise
        return None
