"""Scheduling with pytest-xdist: tests that need the facts of a variant share a process.

The other tests run anywhere. Workers, artifact and loaded model exist once per process. xdist's own
groups would do (`--dist loadgroup`), but they rely on a private attribute that pytest 9.2 no longer
has, and then silently spread the tests. Scheduling is a public hook.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

_KEY = "vcp_facts"
_GROUP = "vcp"


class Distribution:
    """Hooks of the process that distributes the tests.

    Only a worker knows which tests need the facts, and writes that to a file; without a file,
    because the worker runs on another machine, all tests stay together.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vcp-xdist-"))
        node.workerinput[_KEY] = str(self._folder / node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        if config.getoption("dist") in ("no", "each"):
            return None
        return _scheduling(config, log, self)

    @cached_property
    def together(self) -> dict[str, str] | None:
        """The group of each test that needs the facts, by node id; None where unknown."""
        files = list(self._folder.iterdir()) if self._folder is not None else []
        if not files:
            return None
        groups: dict[str, str] = {}
        for file in files:
            groups.update(json.loads(file.read_text("utf-8")))
        return groups

    def close(self) -> None:
        """Remove the files that the workers wrote."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def write_groups(
    config: pytest.Config,
    items: Sequence[pytest.Item],
    group_of: Callable[[pytest.Item], str | None],
) -> None:
    """Write, in a worker, which tests need the facts, and the group of each."""
    path = getattr(config, "workerinput", {}).get(_KEY)
    if path is not None:
        groups = {item.nodeid: group for item in items if (group := group_of(item))}
        with contextlib.suppress(OSError):  # On another machine the folder does not exist.
            Path(path).write_text(json.dumps(groups), encoding="utf-8")


def _scheduling(config: pytest.Config, log: Any, distribution: Distribution) -> Any:
    """Create xdist's scheduler by scope, with our own scopes, as its documentation shows."""
    scheduling = import_module("xdist.scheduler").LoadScopeScheduling(config, log)

    def split_scope(nodeid: str) -> str:
        together = distribution.together
        if together is None:
            return _GROUP
        if nodeid in together:
            return together[nodeid]
        return _scope(nodeid, config.getoption("dist"))

    scheduling._split_scope = split_scope
    return scheduling


def _scope(nodeid: str, mode: str) -> str:
    """Return the scope that xdist's own scheduler for this `--dist` mode keeps together."""
    if mode == "loadscope":
        return nodeid.rpartition("::")[0]
    if mode == "loadfile":
        return nodeid.partition("::")[0]
    if mode == "loadgroup" and nodeid.rfind("@") > nodeid.rfind("]"):
        return nodeid.rpartition("@")[2]
    return nodeid
