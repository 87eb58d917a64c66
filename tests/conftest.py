"""What all tests rely on."""

from __future__ import annotations

import os
import signal

import pytest

from pytest_vcp.report.xdist import Distribution, write_groups
from tests import budget, runs, seeds
from tests.warm import session

# Some CI systems start their jobs with Ctrl-C ignored. Processes inherit that, and a run that
# ignores it can't be tested for what it does then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Threads of a library for linear algebra that have nothing to do turn for a while before they
# sleep, and there are some in each of a thousand processes.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Fixtures of several tests that run the plugin, by where they are: in a folder, or in a module.
RUNS_OF_FOLDERS = frozenset({"any_of_them", "broken", "hostile", "packaged", "sound", "variants"})
RUNS_OF_MODULES = frozenset({"built", "conformant", "three"})


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        seeds.prepare()
        distribution = Distribution()
        config.add_cleanup(distribution.close)
        config.pluginmanager.register(distribution, "shared-runs")
        session.begin(config, runs.environment())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that share a run in one process of pytest-xdist."""
    write_groups(config, items, group_of)


def group_of(item: pytest.Item) -> str | None:
    """What a test shares a run with; None where it has its own."""
    marked = item.get_closest_marker("xdist_group")
    if marked is not None:
        return str(marked.args[0])
    fixtures = frozenset(getattr(item, "fixturenames", ()))
    if fixtures & RUNS_OF_FOLDERS:
        return item.path.parent.name
    return item.path.stem if fixtures & RUNS_OF_MODULES else None


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    budget.report(terminalreporter)
