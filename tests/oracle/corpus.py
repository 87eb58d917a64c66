"""What the platform's own way and this tool say of every package there is.

Not collected with the other tests, since it takes more than half an hour: `table` runs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from fixtures.mutants import Mutation
from fixtures.mutations import MUTATIONS, environ, options, reference
from fixtures.references import PACKAGES, REFERENCES, Reference
from pytest_vcp.mlflow_cli.commands import SERVER_RULES
from tests.gpus import skip_on_another_python
from tests.mutations.judging import RECORDED
from tests.mutations.test_mutations import title
from tests.oracle.platform_way import follow
from tests.runs import PREDICT_RULES, Run, run_vcp
from tests.strangers.building import Stranger
from tests.strangers.conftest import environment_python
from tests.strangers.test_strangers import STRANGERS

__all__ = ["environment_python"]  # A fixture.
Recorder = Callable[[str, object], None]


# The sections whose defects may show in an environment that MLflow has made itself.
_ABOUT_ENVIRONMENTS = ("3", "8")


def sound_lock(mutation: Mutation) -> Path:
    """The lock of the package that the mutation starts from."""
    return PACKAGES / reference(mutation).package / "mlflow_pkg" / "requirements.txt"


@pytest.mark.parametrize("sound", REFERENCES, ids=lambda sound: sound.name)
def test_reference(sound: Reference, tmp_path: Path, record_property: Recorder) -> None:
    skip_on_another_python(sound)
    package = sound.copy(tmp_path, recorded=True)
    _go_both_ways(package, sound.options, record_property, PREDICT_RULES)


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_stranger(
    stranger: Stranger,
    tmp_path: Path,
    environment_python: Path,
    record_property: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = stranger.build(tmp_path, environment_python)
    for name, value in stranger.variables.items():
        monkeypatch.setenv(name, value.format(package=package))
    _go_both_ways(package, stranger.options, record_property, PREDICT_RULES)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=title)
def test_mutant(
    mutation: Mutation,
    tmp_path: Path,
    record_property: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_on_another_python(reference(mutation))
    for name, value in environ(mutation).items():
        monkeypatch.setenv(name, value)
    package = reference(mutation).copy(tmp_path, recorded=mutation.rule == RECORDED)
    mutation.apply(package)
    same = (PREDICT_RULES, SERVER_RULES)
    commands = next((rules for rules in same if mutation.rule in rules), ())
    # The environments of broken locks are of no use to other tests.
    lock = package / "requirements.txt"
    differs = not lock.is_file() or lock.read_bytes() != sound_lock(mutation).read_bytes()
    own_cache = [f"--vcp-cache-dir={tmp_path / 'cache'}"] if differs else []
    anew = differs or mutation.rule[3] in _ABOUT_ENVIRONMENTS
    chosen = (*options(mutation), *own_cache)
    _go_both_ways(package, chosen, record_property, commands, anew=anew)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


def _go_both_ways(
    package: Path,
    given: tuple[str, ...],
    record_property: Recorder,
    commands: Collection[str],
    *,
    anew: bool = True,
) -> None:
    """Record what each says of a package, each with a copy of its own."""
    scratch = package.parent / "way"
    theirs = scratch / package.name
    shutil.copytree(package, theirs, symlinks=True)
    said = follow(theirs, given, scratch, anew=anew)
    run = run_vcp(package, given, commands=commands)
    shutil.rmtree(scratch)
    record_property("refused_by", said.refused_by or "")
    record_property("line", said.line.replace(str(scratch), "…"))
    for word in ("failed", "advice", "error"):
        record_property(word, " ".join(_rules(run, word)))
    record_property("verdict", run.report["verdict"] if run.report else f"exit code {run.code}")


def _rules(run: Run, word: str) -> Iterator[str]:
    return (rule for rule, found in run.outcomes.items() if found == word)
