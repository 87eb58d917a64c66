"""Runs the plugin as its users do: one pytest process in a copy of a package directory."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.environments import CACHE_VARIABLE, cache_dir
from pytest_vcp.mlflow_cli.commands import PREDICT_RULE, SERVER_RULES
from tests.schema import assert_valid
from tests.warm import runs, session

# Ends a run that hangs; no test measures time with it.
HANG_SECONDS = 900
_BYTE_CODE = Path(__file__).parents[1] / ".tox" / "byte-code"
REPORT_DIR = "--vcp-report-dir"
# Where the reports of all runs of the tests are saved, to be compared with those of another commit.
REPORTS_VARIABLE = "VCP_TEST_REPORTS"
# The rules for which MLflow's own commands are run.
PREDICT_RULES = (PREDICT_RULE,)
COMMAND_RULES = (*PREDICT_RULES, *SERVER_RULES)
# An option that has MLflow keep a run; by default, those of the tests are not kept.
TRACKED = ("--vcp-tracking", "--vcp-register")
_NOT_SELECTED = "not selected in this run"


@dataclass(frozen=True)
class Run:
    """What a run left: exit code, all that it printed, and report.json where it wrote one.

    `outcomes` maps the id of each rule in the report to its outcome; empty without a report.
    """

    code: int
    output: str
    report: dict[str, Any] | None
    outcomes: dict[str, str]

    @property
    def variant(self) -> dict[str, Any]:
        """The part of the report about the one variant that was judged."""
        assert self.report is not None, f"the run wrote no report:\n{self.output}"
        (variant,) = self.report["variants"].values()
        assert isinstance(variant, dict)
        return variant

    @property
    def not_passed(self) -> dict[str, str]:
        """The outcomes other than `passed`, but for what `run_vcp` left out by itself."""
        return {
            rule: word
            for rule, word in self.outcomes.items()
            if word != "passed" and rule not in self.left_out
        }

    @property
    def left_out(self) -> frozenset[str]:
        """The rules that run MLflow's own commands, where this run did not."""
        rules = self.variant["rules"] if self.report else {}
        return frozenset(
            rule for rule in COMMAND_RULES if rules.get(rule, {}).get("message") == _NOT_SELECTED
        )


def run_vcp(
    pkg_dir: Path,
    options: Iterable[str],
    *extra: str,
    env: Mapping[str, str] | None = None,
    commands: Collection[str] = (),
    cold: bool = False,
    pictures: bool = False,
) -> Run:
    """Run pytest with the plugin in `pkg_dir`; `env` is added to the environment.

    MLflow's own commands cost more than all the rest: of the rules for which they are run, only
    those in `commands` are judged. Imports come next: the processes of a run are forked from such
    as have done them (`tests/warm`), unless it is to be `cold`. Drawing comes after that: the
    report has `pictures` where somebody looks.
    """
    arguments = [*options, *extra]
    if not {"-k", "-m", "--collect-only"} & set(arguments):
        arguments += without_commands(commands)
    if not pictures:
        arguments += ["-o", "vcp_no_pictures=true"]
    report_file = _report_file(pkg_dir, arguments)
    before = _identity(report_file)
    code, output = _run(command(arguments), pkg_dir, environment(env), cold)
    # A report of an earlier run says nothing about this one.
    written = _identity(report_file) not in (None, before)
    report = json.loads(report_file.read_text(encoding="utf-8")) if written else None
    if report is not None:
        assert_valid(report)
        _save(report)
    return Run(code, output, report, _outcomes(report))


def _save(report: Mapping[str, Any]) -> None:
    """Save the report for `tests.mutations.reports`, where somebody asked for it."""
    folder, test = os.environ.get(REPORTS_VARIABLE), os.environ.get("PYTEST_CURRENT_TEST", "")
    if folder:
        name = re.sub(r"[^\w.-]+", "_", test.rpartition("::")[2].partition(" ")[0])
        number = sum(1 for _ in Path(folder).glob(f"{name}.*.json"))
        path = Path(folder, f"{name}.{number}.json")
        path.write_text(json.dumps(report, indent=1), encoding="utf-8")


def _run(words: list[str], cwd: Path, environ: Mapping[str, str], cold: bool) -> tuple[int, str]:
    """Exit code and all that was printed."""
    pool = None if cold else session.current()
    if pool is not None and runs.can_be_warm(pool, words[3:], environ):
        code, printed = runs.run_pytest(pool, cache_dir(), words[3:], cwd, environ, HANG_SECONDS)
        return code, _text(printed)
    if pool is not None and "-n" in words:
        words, environ = runs.with_warm_workers(pool, cache_dir(), words, environ)
    started = subprocess.run(
        words,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=HANG_SECONDS,
        check=False,
    )
    return started.returncode, _text(started.stdout)


def _text(printed: bytes) -> str:
    """As subprocess gives it: every end of line is a newline."""
    return io.TextIOWrapper(io.BytesIO(printed), encoding="utf-8", errors="replace").read()


def without_commands(wanted: Collection[str] = ()) -> list[str]:
    """The arguments with which pytest leaves out what runs MLflow's own commands, but for these."""
    left_out = [rule for rule in COMMAND_RULES if rule not in wanted]
    return ["-k", f"not ({' or '.join(left_out).lower()})"] if left_out else []


def command(arguments: Iterable[str]) -> list[str]:
    """The command line of a run, for tests that start it themselves."""
    cache = os.environ.get(CACHE_VARIABLE)
    given = list(arguments)
    # What looks after a cache is never to look after the one of the tests.
    if cache and not any(argument.startswith("--vcp-cache") for argument in given):
        given.append(f"--vcp-cache-dir={cache}")
    # MLflow takes its time to keep a run, which is for tests of that alone.
    if not any(argument.startswith(TRACKED) for argument in given):
        given += ["-o", "vcp_no_tracking=true"]
    return [sys.executable, "-m", "pytest", *given]


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a run: without what surrounds the pytest that runs the tests."""
    # pytest keeps its cache where tox says, which is not where the run is. On a runner of GitHub,
    # what a test breaks on purpose is not to be annotated.
    foreign = ("PYTEST", "TOX_", "GITHUB_", session.POOL_VARIABLE)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # A width at which pytest cuts no line that a test wants to read; and byte-code kept from run
    # to run, as it is where the plugin was installed, but out of the checkout.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    own = {"COLUMNS": "200", "PYTHONPYCACHEPREFIX": str(_BYTE_CODE)}
    return {**inherited, **own, **(env or {})}


def _report_file(pkg_dir: Path, arguments: list[str]) -> Path:
    return pkg_dir / (_value(arguments, REPORT_DIR) or ".vcp") / "report.json"


def _value(arguments: list[str], flag: str) -> str | None:
    """The value of an option, given as ``flag=value`` or as two arguments."""
    for position, argument in enumerate(arguments):
        if argument == flag and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _outcomes(report: Mapping[str, Any] | None) -> dict[str, str]:
    if report is None:
        return {}
    return {
        rule: entry["outcome"]
        for variant in report["variants"].values()
        for rule, entry in variant["rules"].items()
    }
