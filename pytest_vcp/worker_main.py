"""The worker's entry: run by path with the interpreter of the model's environment.

It loads the folder `inside/` beside it as the private package `_vcp_inside` and hands over. It
must neither import `pytest_vcp` nor put its folder on `sys.path`: the model's environment has
neither, and must not get them from here.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def _load_inside() -> None:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside")
    spec = importlib.util.spec_from_file_location(
        "_vcp_inside",
        os.path.join(folder, "__init__.py"),
        submodule_search_locations=[folder],
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["_vcp_inside"] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Serve until told to stop; returns the exit status."""
    requests, answers, stack = (int(number) for number in sys.argv[1:4])
    # A model that parses the command line must not find ours.
    del sys.argv[1:]
    _load_inside()
    server = importlib.import_module("_vcp_inside.server")
    status: int = server.serve(requests, answers, stack)
    return status


# A child that multiprocessing spawns for the model imports this file again, as __mp_main__.
if __name__ == "__main__":
    sys.exit(main())
