"""A process that has imported its libraries and forks from itself whoever asks for a process.

Run by path with the interpreter that is to be warm: ``server.py SOCKET OWNER NAMES``. It imports
the modules NAMES (JSON), listens at SOCKET, and ends with the process OWNER. Its number lies in
SOCKET.pid. Standard library only.

One connection asks for one process: a JSON object behind its length, with the descriptors for
standard input, output and error and those that the process is handed. The answer is its number, a
line. The process stays unreaped until the client writes a byte, and answers with the exit status.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import selectors
import socket
import sys
import types
from pathlib import Path
from typing import Any

_TEMPLATE = Path(__file__).parents[2] / "pytest_vcp" / "worker" / "server" / "template.py"
_ROLE = "_vcp_template"


def _load_template() -> types.ModuleType:
    """The plugin's own code for forked processes, which needs nothing of the plugin."""
    spec = importlib.util.spec_from_file_location(_ROLE, _TEMPLATE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[_ROLE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


template = _load_template()


class Server:
    """Listens until its owner ends, and forks."""

    def __init__(self, path: str, owner: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._owner = os.pidfd_open(owner)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._owner, selectors.EVENT_READ)
        self._forks = template.Forks(self._selector)

    def serve(self) -> Any:
        """Returns a job in the process that is to do it; None in the server, once it is over."""
        while True:
            ready = self._selector.select(self._forks.patience)
            self._forks.reap_orphans()
            for key, _ in ready:
                if key.fileobj == self._owner:
                    self._forks.end_all()
                    return None
                if key.fileobj is not self._listener:
                    self._forks.reap(key.fileobj)
                    continue
                connection, _ = self._listener.accept()
                job = template.receive(connection)
                if job is None:
                    connection.close()
                elif self._forks.fork(job, connection):
                    self._selector.close()
                    os.close(self._owner)
                    self._listener.close()
                    return job


def as_package(folder: str, name: str) -> None:
    """Make the folder of this file importable as a package of a name that no test uses."""
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package


def main() -> Any:
    """Import, tell who waits that it is done, and serve."""
    path, owner, names = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    as_package(os.path.dirname(os.path.abspath(__file__)), "_vcp_warm")
    refusal = template.preload(names)
    if refusal is not None:
        raise RuntimeError(refusal)
    server = Server(f"{path}.new", owner)
    os.rename(f"{path}.new", path)
    # Whoever starts it waits for the end of that process; what goes on is nobody's child.
    pid = os.fork()
    if pid:
        with open(f"{path}.pid", "w", encoding="ascii") as file:
            file.write(str(pid))
        os._exit(0)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return server.serve()


if __name__ == "__main__":
    job = main()
    if job is not None:
        passed = job.become()
        sys.argv[1:] = [*job.arguments, *map(str, passed)]
        runpy.run_path(job.script, run_name="__main__")
