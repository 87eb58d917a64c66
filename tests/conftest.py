"""What all tests rely on."""

from __future__ import annotations

import signal

import pytest

from tests import budget, runs
from tests.warm import session

# Some CI systems start their jobs with Ctrl-C ignored. Processes inherit that, and a run that
# ignores it can't be tested for what it does then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    session.begin(config, runs.environment())


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    budget.report(terminalreporter)
