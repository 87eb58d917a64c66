"""The worker's entry point, run by path with the interpreter of the model's environment.

It loads the folder `server/` beside it as the private package `_vcp_server` and calls it. It must
neither import `pytest_vcp` nor put its folder on `sys.path`: the model's environment has neither,
and must not get them from here.

Run as a *template*, it serves nobody itself: it imports libraries, and each process that it forks
is a worker.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import json
import os
import sys
import threading


def _load_server() -> None:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server")
    spec = importlib.util.spec_from_file_location(
        "_vcp_server",
        os.path.join(folder, "__init__.py"),
        submodule_search_locations=[folder],
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["_vcp_server"] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Serve requests until the one to stop; return the exit status."""
    given = sys.argv[1:]
    # A model that parses the command line must not see this one.
    del sys.argv[1:]
    _load_server()
    if given[0] == "template":
        template = importlib.import_module("_vcp_server.template")
        passed = template.serve(int(given[2]), json.loads(given[1]))
        if passed is None:
            return 0
    else:
        passed = [int(number) for number in given]
    server = importlib.import_module("_vcp_server.server")
    requests, answers, stack = passed
    status: int = server.serve(requests, answers, stack)
    return status


def end(status: int) -> None:
    """End as an interpreter does, but without clearing its modules first.

    Threads are joined and exit functions are called, so that those which hang, or leave something
    behind, are noticed. The rest of Python's shutdown takes long where much was imported, and is of
    no use to a process that is about to end.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # The model may have replaced the stream by an object that can't flush.
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(status)


# A child that multiprocessing spawns for the model imports this file again, as __mp_main__.
if __name__ == "__main__":
    end(main())
