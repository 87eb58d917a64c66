"""What all tests rely on."""

from __future__ import annotations

import signal

import pytest

from tests import budget, runs, seeds
from tests.warm import session

# Some CI systems start their jobs with Ctrl-C ignored. Processes inherit that, and a run that
# ignores it can't be tested for what it does then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        seeds.prepare()
    session.begin(config, runs.environment())


# Fixtures of several tests that run the plugin, by where they are: in a folder, or in a module.
RUNS_OF_FOLDERS = frozenset({"broken", "hostile", "packaged", "sound", "variants"})
RUNS_OF_MODULES = frozenset({"conformant", "three"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a run in one process of pytest-xdist."""
    for item in items:
        fixtures = frozenset(getattr(item, "fixturenames", ()))
        if fixtures & RUNS_OF_FOLDERS:
            item.add_marker(pytest.mark.xdist_group(item.path.parent.name))
        elif fixtures & RUNS_OF_MODULES:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    budget.report(terminalreporter)
