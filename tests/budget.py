"""What a session of tests has cost: CPU seconds, and how its runs were started.

Not an assertion: CONTRIBUTING.md tells what the whole may cost, and where there is room.
"""

from __future__ import annotations

import os
import resource

import pytest

from tests.warm import session

# A file to which both sums are added, for whoever adds up several sessions. It is not for sessions
# that a test begins.
_file = os.environ.pop("VCP_TEST_SECONDS", None)


def report(reporter: pytest.TerminalReporter) -> None:
    """Print what was spent until now; part of the summary at the end."""
    pool = session.current()
    forked = 0.0 if pool is None else pool.cpu_seconds()
    reporter.section("CPU seconds")
    reporter.write_line(
        f"{_own() + forked:.0f}, of which {forked:.0f} in processes that were forked warm"
    )
    if pool is not None:
        counts = pool.counts().items()
        reporter.write_line(", ".join(f"{number} {what}" for what, number in counts))
    if _file:
        with open(_file, "a", encoding="ascii") as seconds:
            seconds.write(f"{_own():.1f} {forked:.1f}\n")


def _own() -> float:
    """This process, and all that were started by it, or by those, and have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
