"""What must be seen when a run rejects a package for one reason, or accepts it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pytest_vcp.rules.registry import BY_ID, RULES, earlier_stages
from tests.levels import level_of
from tests.runs import Run

ARTIFACT = "mlflow_model_artifact"
# What a run may leave in the package directory whatever its verdict: its report, pytest's cache.
LEFT_BEHIND = (".vcp", ".pytest_cache")
MOST_LINES = 6
# The rule that stays open for a package without a recorded output.
RECORDED = "VCP714"
# What stays open here for a sound package: no output was recorded, and there is no GPU.
OPEN_HERE = frozenset({RECORDED, *(entry.id for entry in RULES if entry.stage == "device")})
_NEED_A_SERVER = frozenset({"VCP805", "VCP807"})
_BROKEN = ("failed", "error", "advice")


def entries(package: Path) -> frozenset[str]:
    """Every file and directory of the package, but for what any run may leave."""
    found = (path.relative_to(package) for path in package.rglob("*"))
    return frozenset(path.as_posix() for path in found if path.parts[0] not in LEFT_BEHIND)


def assert_rejected(run: Run, rule: str, advice: frozenset[str] = frozenset()) -> None:
    """The rule failed, it alone, and the author is told so in a few lines.

    A run on a mutant of advice is strict, so that advice fails it as well. `advice` are the rules
    of that level that the sound package does not follow.
    """
    if level_of(rule) == "advice":
        found = {name: word for name, word in run.outcomes.items() if word in _BROKEN}
        assert {name: found[name] for name in found.keys() - advice} == {rule: "advice"}, run.output
    else:
        assert _required(run, "failed", "error") == {rule: "failed"}, run.output
    assert run.outcomes.keys() == BY_ID.keys(), run.output
    assert run.code == 1, run.output
    assert run.report is not None
    assert run.report["verdict"] == run.variant["verdict"] == "nonconformant", run.output
    assert run.variant["artifact"] is None, run.output
    _assert_stages_passed(run, rule, advice)
    _assert_skips_are_explained(run, rule)
    _assert_message_is_short(run, rule)


def assert_accepted(
    run: Run, advice: frozenset[str] = frozenset(), *, recorded: bool = True
) -> None:
    """Nothing failed, nothing was waived, and only a missing GPU leaves anything open.

    `advice` are the rules of that level that the package does not follow; `recorded` is whether
    it carries the recorded output, without which the rule on that stays open too.
    """
    # A lock that does not serve leaves nothing more to say of serving.
    unserved = _NEED_A_SERVER if "VCP804" in advice else frozenset[str]()
    not_passed = {rule: word for rule, word in run.not_passed.items() if rule not in unserved}
    open_ones = {rule for rule, word in not_passed.items() if word == "unverified"}
    assert (RECORDED in open_ones) is not recorded, run.output
    assert {BY_ID[rule].stage for rule in open_ones - {RECORDED}} <= {"device"}, run.output
    assert {rule for rule, word in not_passed.items() if word == "advice"} == advice, run.output
    assert not_passed.keys() == open_ones | advice, run.output
    assert run.outcomes.keys() == BY_ID.keys(), run.output
    assert run.code == 0, run.output
    assert run.report is not None
    assert run.report["verdict"] == run.variant["verdict"] == "conformant", run.output
    assert run.variant["artifact"]["sha256"], run.output


def _assert_stages_passed(run: Run, rule: str, advice: frozenset[str]) -> None:
    before = earlier_stages(BY_ID[rule].stage)
    words = {
        entry.id: run.outcomes[entry.id]
        for entry in RULES
        if entry.stage in before and level_of(entry.id) == "required"
    }
    words = {name: word for name, word in words.items() if name not in run.left_out | advice}
    if words.get(RECORDED) == "unverified":
        del words[RECORDED]
    assert set(words.values()) <= {"passed"}, f"{words}\n{run.output}"


def _assert_skips_are_explained(run: Run, rule: str) -> None:
    """A rule is only left out because of the one that failed."""
    for skipped in (name for name, word in run.outcomes.items() if word == "skipped"):
        message = run.variant["rules"][skipped]["message"]
        assert message == f"fix {rule} first", f"{skipped}: {message}\n{run.output}"


def _assert_message_is_short(run: Run, rule: str) -> None:
    entry = run.variant["rules"][rule]
    # What the author's own code raised may have a cure that nobody else knows.
    parts = ("expected", "found") if entry["traceback"] else ("expected", "found", "remedy")
    for part in parts:
        assert entry[part].strip(), f"{rule} says nothing under {part!r}\n{run.output}"
    assert "Traceback" not in run.output, run.output
    told = _failure_text(run.output.splitlines(), rule)
    assert 0 < len(told) <= MOST_LINES, run.output
    # The report says CACHE where the terminal names the place.
    remedy = re.escape(entry["remedy"]).replace("CACHE/", r"/\S+/")
    assert re.search(remedy, "\n".join(told)), run.output


def _failure_text(lines: Iterable[str], rule: str) -> list[str]:
    """The lines under the rule's title in pytest's section of failures."""
    told: list[str] = []
    for line in lines:
        if line.startswith(f"{rule}: "):
            told = [line]
        elif told and line[:1] not in ("=", "_", ""):
            told.append(line)
        elif told:
            break
    return told


def _required(run: Run, *words: str) -> dict[str, str]:
    return {
        rule: word
        for rule, word in run.outcomes.items()
        if word in words and level_of(rule) == "required"
    }
