"""The worker's loop: one request at a time, in the main thread, each with a result or a failure."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import importlib
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from . import failures, protocol

Handler = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]

# Above what a careless "close everything" loop reaches, below the smallest usual limit (256).
_FIRST_DESCRIPTOR = 200

_PACKAGE = __name__.rpartition(".")[0]


def serve(requests: int, answers: int, stack: int) -> int:
    """Answer requests until `probe.stop` or until the client has ended; return the exit status."""
    requests, answers, stack = (_move_up(number) for number in (requests, answers, stack))
    os.register_at_fork(after_in_child=lambda: _close(requests, answers))
    _prepare_process(stack)
    worker_pid = os.getpid()
    inbox = protocol.Inbox(requests)
    state: dict[str, Any] = {}
    while True:
        try:
            request = inbox.receive()
        except KeyboardInterrupt:
            # A thread of the model may interrupt the main thread after its call has returned.
            continue
        if request is None:
            return _end_orphans()
        answer = _answer(state, request)
        if os.getpid() != worker_pid:
            # A child that the model forked has returned from the model's code: it must not serve.
            os._exit(1 if "raised" in answer else 0)
        _send(answers, answer)
        if request["method"] == "probe.stop":
            return 0


def peak_rss_bytes() -> int:
    """Return the peak memory of this process or one of its ended children, whichever is larger."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if sys.platform == "darwin":
        return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children)
    return max(_high_water_bytes(), children * 1024)


def _high_water_bytes() -> int:
    # Not getrusage: on Linux, its figure starts with that of the parent process.
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _move_up(descriptor: int) -> int:
    """Move a descriptor to a high number that the model's child processes don't inherit."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    os.close(descriptor)
    return moved


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _prepare_process(stack: int) -> None:
    # Stacks at a crash or hang are written by C code, so even when Python can't run any more.
    faulthandler.enable(file=stack, all_threads=True)
    faulthandler.register(signal.SIGUSR2, file=stack, all_threads=True)
    # The core dump of a crashed model can be tens of gigabytes, and nobody needs it.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # By line, since the last output before a crash explains it.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _answer(state: dict[str, Any], request: protocol.Message) -> protocol.Message:
    started = time.perf_counter()
    answer: protocol.Message = {"id": request["id"]}
    try:
        handler = _handler(request["method"])
        answer["result"] = handler(state, request["params"])
    except BaseException as error:  # noqa: BLE001
        answer["raised"] = failures.describe(error)
    answer["seconds"] = time.perf_counter() - started
    with contextlib.suppress(Exception):
        answer["peak_rss_bytes"] = peak_rss_bytes()
    for stream in (sys.stdout, sys.stderr):
        # The model may have replaced the stream by an object that can't flush.
        with contextlib.suppress(BaseException):
            stream.flush()
    return answer


def _handler(method: str) -> Handler:
    module_name, _, name = method.partition(".")
    if not name.isidentifier() or name.startswith("_"):
        raise LookupError(f"no method {method!r}")
    module = importlib.import_module(f"{_PACKAGE}.{module_name}")
    handler: Handler | None = getattr(module, name, None)
    if handler is None or handler.__module__ != module.__name__:
        raise LookupError(f"no method {method!r}")
    return handler


def _send(answers: int, answer: protocol.Message) -> None:
    try:
        protocol.send(answers, answer)
    except (TypeError, ValueError, MemoryError, RecursionError) as error:
        # Encoding comes before writing, so no part of the reply has been sent yet.
        answer.pop("result", None)
        answer["raised"] = failures.describe(error)
        protocol.send(answers, answer)


def _end_orphans() -> int:
    """End everything that was started for a client that has ended; return the exit status."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    return 1
