"""Methods that need only the standard library: start, stop, import, observe."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from typing import Any

from . import isolation
from .template import without_collector

State = dict[str, Any]
Params = dict[str, Any]


def hello(state: State, params: Params) -> dict[str, Any]:
    """Put the process under its conditions and report those in force. The first request."""
    state["in_force"] = isolation.apply(params)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "sys_path": list(sys.path),
        "conditions": state["in_force"],
    }


def ping(state: State, params: Params) -> dict[str, Any]:
    """Return the params of the request."""
    return dict(params)


def stop(state: State, params: Params) -> dict[str, Any]:
    """End the loop after this reply, so that the interpreter ends normally."""
    return {}


def observed(state: State, params: Params) -> dict[str, Any]:
    """Report what the audit hook observed since the start: files written, connections, refusals."""
    return isolation.observations()


def import_module(state: State, params: Params) -> dict[str, Any]:
    """Import the module `params["name"]` and report its file."""
    importlib.invalidate_caches()
    started = time.perf_counter()
    with without_collector():
        module = importlib.import_module(params["name"])
    return {
        "name": module.__name__,
        "file": getattr(module, "__file__", None),
        "seconds": time.perf_counter() - started,
    }


def compile(state: State, params: Params) -> dict[str, Any]:
    """Import as `preimport` does, but write missing byte-code of all imported modules."""
    sys.dont_write_bytecode = False
    return preimport(state, params)


def preimport(state: State, params: Params) -> dict[str, Any]:
    """Import `params["names"]` to have them ready; one that fails is reported, not raised."""
    started = time.perf_counter()
    failed: dict[str, str] = {}
    with without_collector():
        for name in params["names"]:
            try:
                importlib.import_module(name)
            except BaseException as error:  # noqa: BLE001
                failed[name] = f"{type(error).__name__}: {error}"
    return {"seconds": time.perf_counter() - started, "failed": failed}
