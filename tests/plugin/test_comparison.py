"""`pytest --vcp-compare`: reports side by side, and how far a package comes on each Python."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.pip_messages import BuildFailure, FailureKind
from pytest_vcp.report.json import SCHEMA_VERSION, add_outcomes, summarize_installation
from pytest_vcp.report.outcomes import Kind, Outcome
from tests.runs import Run, run_vcp

ALL = {"resolves": True, "installs": True, "loads": True, "predicts": True}
NONE: dict[str, bool | None] = dict.fromkeys(ALL)
REFUSED = {
    "outcome": "failed",
    "title": "every pin admits the Python",
    "message": "expected this; found that",
    "expected": "this",
    "found": "scipy==1.8.1, which requires Python <3.11",
    "where": "requirements.txt:7",
    "remedy": "lock again",
}
FIX = "VCP207: requirements.txt:7: scipy==1.8.1, which requires Python <3.11; lock again"


def variant(version: str, verdict: str, **values: Any) -> dict[str, Any]:
    """One variant of a report, as far as it is compared."""
    steps = values.pop("steps", ALL)
    lock = values.pop("lock", "a")
    return {
        "verdict": verdict,
        "fix_first": None,
        "python": {"version": version, "lock": lock, **steps},
        "rules": {"VCP207": REFUSED},
        **values,
    }


def write(folder: Path, variants: dict[str, Any], age: int = 0) -> Path:
    """A report.json that is so many seconds old."""
    folder.mkdir(parents=True)
    path = folder / "report.json"
    path.write_text(json.dumps({"schema": SCHEMA_VERSION, "verdict": "any", "variants": variants}))
    os.utime(path, (1_700_000_000 - age,) * 2)
    return path


def words(run: Run) -> list[str]:
    """The lines, with single spaces between the cells."""
    return [" ".join(line.split()) for line in run.output.splitlines()]


def test_a_line_for_each_python_and_variant(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "new", {"a": variant("3.12.1", "conformant")})
    old = {
        "b": variant(
            "3.9.2", "nonconformant", fix_first="VCP207", steps={**NONE, "resolves": False}
        ),
        "a": variant("3.9.2", "unverified", steps={**ALL, "predicts": None}),
    }
    write(tmp_path / "runs" / "old", old)
    run = run_vcp(tmp_path, ["--vcp-compare", "runs"])
    assert run.code == 1, run.output
    assert words(run) == [
        "Python variant verdict resolves installs loads predicts fix first",
        "3.9.2 a unverified yes yes yes -",
        f"3.9.2 b nonconformant no - - - {FIX}",
        "3.12.1 a conformant yes yes yes yes",
    ]
    title, *rows = run.output.splitlines()
    column = title.index("resolves")
    assert [row[column : column + 3].strip() for row in rows] == ["yes", "no", "yes"], run.output
    assert not any(line.endswith(" ") for line in run.output.splitlines())


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("conformant", "unverified"), 0),
        (("conformant", "nonconformant"), 1),
        (("nonconformant", "error"), 10),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    tmp_path: Path, verdicts: tuple[str, ...], code: int
) -> None:
    paths = [
        write(tmp_path / word, {"default": variant(f"3.{10 + number}.1", word)})
        for number, word in enumerate(verdicts)
    ]
    # A report and its directory are one and the same.
    run = run_vcp(tmp_path, ["--vcp-compare", *map(str, paths), str(paths[0].parent)])
    assert run.code == code, run.output
    assert len(run.output.splitlines()) == 1 + len(verdicts)


def test_an_error_is_told_by_its_message(tmp_path: Path) -> None:
    told = {**REFUSED, "found": "", "message": "no index answers"}
    broken = variant("3.12.1", "error", fix_first="VCP207", rules={"VCP207": told})
    run = run_vcp(tmp_path, ["--vcp-compare", str(write(tmp_path / "a", {"default": broken}))])
    assert words(run)[1].endswith("VCP207: no index answers")


def test_an_older_lock_is_pointed_out(tmp_path: Path) -> None:
    write(tmp_path / "a", {"default": variant("3.10.1", "conformant", lock="old")}, age=60)
    write(tmp_path / "b", {"default": variant("3.11.1", "conformant", lock="new")}, age=10)
    write(tmp_path / "c", {"default": variant("3.12.1", "conformant", lock="new")}, age=0)
    run = run_vcp(tmp_path, ["--vcp-compare", "."])
    assert run.code == 0, run.output
    assert words(run)[-1] == (
        "note 3.10.1 judged another requirements.txt than 3.12.1, "
        "whose report is the latest; run again"
    )


BAD = {
    "nothing": (None, "there is no report.json; name a report, its directory"),
    "no JSON": ("{", "it can't be read: "),
    "another schema": ('{"schema": 1}', "its schema is 1, not 2; run again"),
    "an older release": (
        '{"schema": 2, "variants": {"default": {"verdict": "conformant"}}}',
        "it is no report of this release; run again",
    ),
    "a list": ("[]", "it is no report of this release; run again"),
    "an unknown verdict": (
        json.dumps({"schema": SCHEMA_VERSION, "variants": {"default": variant("3.12.1", "fine")}}),
        "its verdict is 'fine'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_report(tmp_path: Path, case: str) -> None:
    text, problem = BAD[case]
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    run = run_vcp(tmp_path, ["--vcp-compare", "."])
    assert run.code == 4, run.output
    assert "--vcp-compare: " in run.output
    assert problem in run.output
    assert "Traceback" not in run.output


def test_it_wins_over_a_run(tmp_path: Path) -> None:
    write(tmp_path / "a", {"default": variant("3.12.1", "conformant")})
    run = run_vcp(tmp_path, ["--vcp-model-class=model_code.a:B", "--vcp-compare", "a"])
    assert run.code == 0, run.output
    assert "test session starts" not in run.output


# ------------------------------------------------------------------------ what a report tells of it


def environment(kind: FailureKind | None = None, *, resolved: bool = False) -> Environment:
    failure = BuildFailure(kind, "headline", (), Path("log"), resolved) if kind else None
    return Environment("virtualenv", Path("env"), Path("python"), "3.12.1", failure=failure)


@pytest.mark.parametrize(
    ("built", "resolves", "installs"),
    [
        (None, None, None),
        (environment(), True, True),
        (environment("resolver"), False, None),
        (environment("python"), False, None),
        (environment("unavailable"), False, None),
        (environment("build"), None, False),
        (environment("build", resolved=True), True, False),
        (Environment("local", Path("env"), Path("python"), "3.12.1"), None, None),
    ],
)
def test_how_far_installing_came(
    built: Environment | None, resolves: bool | None, installs: bool | None
) -> None:
    assert summarize_installation(built) == {"resolves": resolves, "installs": installs}


@pytest.mark.parametrize(
    ("kinds", "loads", "predicts"),
    [
        ({}, None, None),
        ({"VCP701": "passed", "VCP704": "passed"}, True, True),
        ({"VCP701": "passed", "VCP704": "failed"}, True, False),
        ({"VCP701": "failed", "VCP704": "skipped"}, False, None),
        ({"VCP701": "waived", "VCP704": "passed"}, False, True),
        ({"VCP701": "unverified", "VCP704": "passed"}, True, True),
        ({"VCP701": "error", "VCP704": "unverified"}, None, None),
    ],
)
def test_how_far_the_model_came(
    kinds: dict[str, Kind], loads: bool | None, predicts: bool | None
) -> None:
    outcomes = {rule: Outcome(rule, "default", kind) for rule, kind in kinds.items()}
    told = add_outcomes({"version": "3.12.1"}, outcomes)
    assert told == {"version": "3.12.1", "loads": loads, "predicts": predicts}
