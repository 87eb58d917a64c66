"""The command `pytest --vcp-lock`: write the lock instead of running tests, report the changes."""

from __future__ import annotations

import sys
import time

import pytest

from pytest_vcp import activation
from pytest_vcp.environment import interpreters
from pytest_vcp.locking.companions import Companions
from pytest_vcp.locking.declared import Unlockable
from pytest_vcp.locking.make import Locked, make_lock
from pytest_vcp.locking.settings import LockSettings, resolve_lock
from pytest_vcp.report.outcomes import ERROR_EXIT, NONCONFORMANT_EXIT
from pytest_vcp.requirements.lock import DECLARED, PINNED
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util.progress import Progress


def lock(config: pytest.Config, asked: str) -> int:
    """Lock the package and return the exit code: 0, 1 if the package is at fault, 10 otherwise.

    Raises pytest.UsageError for a wrong setting.
    """
    settings = resolve_lock(config, asked)
    activation.as_interrupt(config)
    progress = Progress(sys.stdout, quiet=config.getoption("verbose", 0) < 0)
    begun = time.monotonic()
    try:
        interpreter = interpreters.find(settings.python)
        done = make_lock(settings, interpreter, progress.reporter())
    except KeyboardInterrupt:
        _say(progress, [f"interrupted; {PINNED} is as it was"])
        return pytest.ExitCode.INTERRUPTED
    except Unlockable as problem:
        title = f"{DECLARED} can't be locked for Python {_dotted(settings)}"
        _say(progress, [title, *problem.lines()])
        return NONCONFORMANT_EXIT
    except interpreters.InterpreterNotFound as problem:
        _say(progress, [f"error: {problem}"])
        return ERROR_EXIT
    except (ToolError, OSError) as problem:
        _say(progress, [*_error(problem), f"{PINNED} is as it was"])
        return ERROR_EXIT
    finally:
        progress.close()
    _say(progress, _format_result(done, settings, time.monotonic() - begun))
    return 0


def _error(problem: ToolError | OSError) -> list[str]:
    if isinstance(problem, ToolError):
        return [f"error: {problem.problem}", f"  do  {problem.remedy}"]
    return [f"error: {problem}", "  do  see to the rights of this file, and the space there"]


def _format_result(done: Locked, settings: LockSettings, seconds: float) -> list[str]:
    total = done.changes.total
    pins = f"{total} pin{'s' * (total != 1)} for Python {_dotted(settings)}"
    by = f"by {done.by} in {seconds:.1f} s"
    lines = [f"{PINNED}: {pins}, {by}"]
    if done.note is not None:
        lines.append(f"  note     {done.note}; locked by {done.by}")
    lines += _of_companions(done.companions)
    lines += [
        f"  dropped  {option}: only {PINNED} had it; an option to keep belongs into {DECLARED}"
        for option in done.dropped
    ]
    lines += [
        f"  behind   {pin.line()}: existing pins were kept; --vcp-lock=upgrade keeps none"
        for pin in done.outdated
    ]
    if done.is_new:
        return [*lines, f"  new      there was no {PINNED}"]
    if not done.is_written:
        return [*lines, "  nothing changed"]
    return [*lines, *(done.changes.lines() or ["  no pin changed"])]


def _of_companions(found: Companions) -> list[str]:
    works = f"with which MLflow {found.mlflow} works in all of its parts"
    lines = [f"  within   {', '.join(found.taken)}, {works}"] if found.taken else []
    if found.contradicted:
        lines.append(f"  not in   {', '.join(found.contradicted)}: {DECLARED} asks for others")
    return lines


def _dotted(settings: LockSettings) -> str:
    return ".".join(map(str, settings.target_python))


def _say(progress: Progress, lines: list[str]) -> None:
    """Print the lines, beginning on a new line if progress was printed before."""
    print("\n" * (progress.lines > 0) + "\n".join(lines))
