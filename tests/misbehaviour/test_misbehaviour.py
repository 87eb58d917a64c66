"""Models that crash, hang, exit and shout, through the whole plugin: one clear failure each."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fixtures.mutants import Change, append_text
from fixtures.mutants.forward.outputs import PCA, derived, loading, returning
from tests.mutations.judging import assert_accepted, assert_rejected
from tests.place import Place

SEGFAULT = "import ctypes\nctypes.string_at(0)"
EXIT = "import os\nos._exit(0)"
# Python code that goes on for ever, at no cost to whatever else is running.
LOOP = "import time\nwhile True:\n    time.sleep(0.01)"
POLITE_EXIT = "import sys\nsys.exit(3)"
KILLED = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
CHILD = "import subprocess\nsubprocess.Popen(['sleep', '600'])"
# In a session of its own and without the environment by which its kind is known.
ORPHAN = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True, env={})"

FIFTY_MEGABYTES = "for _ in range(500):\n    print('x' * 99_999)"
NOT_UTF_8 = r"""
import os, sys
os.write(1, b"raw \xff\xfe bytes\n")
sys.stdout.buffer.write(b"\xc3")
print("\udcff")
os.write(2, b"\x80\x1b[31m")
""".strip()


def at_import(statements: str) -> Change:
    return lambda package: append_text(package / PCA.file, f"\n\n{statements}\n")


def in_constructor(statements: str) -> Change:
    lines = "\n".join(f"    {line}" for line in statements.splitlines())
    return derived(PCA, f"def __init__(self):\n{lines}")


def in_predict(statements: str) -> Change:
    return returning(f"{statements}\nreturn scores")


@dataclass(frozen=True)
class Part:
    """A part of the model that can misbehave, and the rule that is about it."""

    name: str
    spoilt: Callable[[str], Change]
    rule: str


IMPORT = Part("import", at_import, "VCP306")
CONSTRUCTOR = Part("constructor", in_constructor, "VCP601")
LOAD = Part("load_context", loading, "VCP701")
PREDICT = Part("predict", in_predict, "VCP704")
PARTS = (IMPORT, CONSTRUCTOR, LOAD, PREDICT)


@dataclass(frozen=True)
class Case:
    """One misbehaviour in one part, and what the author is told."""

    part: Part
    kind: str
    statements: str
    told: str
    is_placed: bool = True
    options: tuple[str, ...] = ()
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.kind} in {self.part.name}"


def _cases() -> tuple[Case, ...]:
    found = [Case(part, "crash", SEGFAULT, "SIGSEGV (segmentation fault)") for part in PARTS]
    for part in PARTS:
        end = "ended with exit status 0 without an answer (os._exit?)"
        found.append(Case(part, "end", EXIT, end, is_placed=False))
        # Imports of libraries count too, and may be slow, where they come before.
        options = ("--vcp-timeout=15",)
        found.append(Case(part, "loop", LOOP, "no answer within 15 s", options=options))
    for part in (IMPORT, CONSTRUCTOR, PREDICT):
        found.append(Case(part, "exit", POLITE_EXIT, "sys.exit(3) was called"))
    found += [
        _child_left(IMPORT, CHILD),
        _child_left(LOAD, ORPHAN),
        _child_left(PREDICT, CHILD),
        Case(PREDICT, "kill", KILLED, "SIGKILL (out of memory, or ended from outside)", False),
    ]
    return tuple(found)


def _child_left(part: Part, statements: str) -> Case:
    """Whichever part started it: it is seen when the process ends that packaged and loaded."""
    told = "left running: sleep 600 (pid "
    return Case(part, "child left", statements, told, is_placed=False, rule="VCP701")


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_a_misbehaving_model_is_one_failure(case: Case, place: Place) -> None:
    case.part.spoilt(case.statements)(place.package)

    run = place.run(*case.options, cold=case.kind == "child left")

    rule = case.rule or case.part.rule
    assert_rejected(run, rule)
    entry = run.variant["rules"][rule]
    assert case.told in entry["found"], entry
    assert entry["where"].startswith(f"{PCA.file}:") == case.is_placed, entry
    place.assert_nothing_left()
    place.assert_nothing_staged()
    place.assert_old_artifact()


@pytest.mark.parametrize("noise", [FIFTY_MEGABYTES, NOT_UTF_8], ids=["50 MB", "not UTF-8"])
def test_noise_alone_is_no_failure(place: Place, noise: str) -> None:
    for part in PARTS:
        part.spoilt(noise)(place.package)

    run = place.run()

    # What is printed is only printed, and told as that.
    assert_accepted(run, advice=frozenset({"VCP806"}), recorded=False)
    assert len(run.output) < 10_000
    place.assert_nothing_left()
    place.assert_nothing_staged()
    logs = list((place.package / ".vcp" / "logs").iterdir())
    assert {path.name for path in logs} == {"default-packager.log", "default-loader.log"}
    assert all(path.stat().st_size < 3_000_000 for path in logs)


@pytest.mark.parametrize("noise", [FIFTY_MEGABYTES, NOT_UTF_8], ids=["50 MB", "not UTF-8"])
def test_the_last_words_of_a_crash_are_told(place: Place, noise: str) -> None:
    in_predict(f"{noise}\nprint('reading the index')\n{SEGFAULT}")(place.package)

    run = place.run()

    assert_rejected(run, "VCP704")
    received = run.variant["rules"]["VCP704"]["found"]
    assert "SIGSEGV" in received
    assert "reading the index" in received
    assert len(received) < 400
    place.assert_nothing_left()
    place.assert_nothing_staged()
    place.assert_old_artifact()


# Reserved and never touched: it costs nothing where the limit should fail to work.
GREEDY = "hoard = np.empty(1 << 36, np.uint8)"
ADDRESS_SPACE = 16 << 30


@pytest.mark.parametrize("part", [CONSTRUCTOR, LOAD, PREDICT], ids=lambda part: part.name)
def test_memory_that_runs_out_is_one_failure(place: Place, part: Part) -> None:
    part.spoilt(GREEDY)(place.package)
    before = resource.getrlimit(resource.RLIMIT_AS)
    # A process that is started inherits the limit.
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, before[1]))
    try:
        run = place.run(cold=True)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

    assert_rejected(run, part.rule)
    received = run.variant["rules"][part.rule]["found"]
    assert "MemoryError: Unable to allocate 64.0 GiB" in received
    place.assert_nothing_left()
    place.assert_nothing_staged()
    place.assert_old_artifact()
