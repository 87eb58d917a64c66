"""The command ``pytest-vcp``: subcommands for the actions that replace a test run.

Each subcommand is another spelling of one pytest option, and pytest does the work: `pytest-vcp
lock` is `pytest --vcp-lock`. All of pytest's options, and its ini files, therefore apply here, too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import pytest

from pytest_vcp.options import (
    ATTESTATION,
    CACHE,
    COMPARE_FLAG,
    DOCTOR_FLAG,
    LOCK_FLAG,
    RULES_FLAG,
)

_EPILOG = (
    "Other options, such as --vcp-cache-dir, are handed to pytest. A package is judged by pytest "
    "itself: pytest --vcp-model-class=MODULE:CLASS"
)


class _Parser(argparse.ArgumentParser):
    """A parser that exits with pytest's exit code for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(pytest.ExitCode.USAGE_ERROR, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return pytest's exit code."""
    plugin = ["-p", "pytest_vcp.plugin"] if "PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ else []
    return pytest.main([*plugin, *pytest_options(arguments)])


def pytest_options(arguments: Sequence[str] | None) -> list[str]:
    """Return the pytest options for a command line. Raises SystemExit for a wrong one."""
    given, others = _parser().parse_known_args(arguments)
    return [*_options(given), *others]


def _options(given: argparse.Namespace) -> list[str]:
    match given.command:
        case "rules":
            return [f"{RULES_FLAG}={given.rule}"]
        case "lock":
            return [f"{LOCK_FLAG}={given.how}"]
        case "cache":
            return [f"{CACHE.flag}={given.action}"]
        case "doctor":
            return [DOCTOR_FLAG]
        case "compare":
            return [COMPARE_FLAG, *given.reports]
        case _:
            artifact = f"--vcp-verify-artifact={given.artifact}"
            return [f"{ATTESTATION.flag}={given.attestation}", artifact]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pytest-vcp",
        description="What pytest-vcp does besides judging a package.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    rules = commands.add_parser("rules", help="print the table of rules, or the page of one")
    rules.add_argument("rule", nargs="?", default="", metavar="RULE")

    lock = commands.add_parser("lock", help="write requirements.txt from requirements.in")
    lock.add_argument("how", nargs="?", default="", choices=("", "upgrade"), metavar="upgrade")

    cache = commands.add_parser("cache", help="show, prune or clear the cache of environments")
    actions = ("show", "prune", "clear")
    cache.add_argument("action", nargs="?", default="show", choices=actions)

    commands.add_parser("doctor", help="tell what this machine has of what a run can use")

    compare = commands.add_parser("compare", help="compare the reports of several runs")
    compare.add_argument("reports", nargs="+", metavar="REPORT")

    verify = commands.add_parser("verify", help="compare an artifact with its attestation")
    verify.add_argument("attestation", metavar="ATTESTATION")
    verify.add_argument("artifact", metavar="ARTIFACT")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
