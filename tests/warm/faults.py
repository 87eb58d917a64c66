"""Shows that warm runs see what cold ones see: ``python -m tests.warm.faults [NUMBER...]``.

Breaks the plugin in one place at a time, in the checkout that it is started in, and has the tests
that are about that place run warm, as CI does, and cold. Prints a table, and ends with 1 where a
fault is caught by cold tests alone. A checkout with changes is refused; each fault is taken back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MUTANTS = "tests/mutations/test_mutations.py"
_REFERENCE = "tests/mutations/test_references.py"
_HANG_SECONDS = 1200


@dataclass(frozen=True)
class Fault:
    """One thing broken: `old` in `file` becomes `new`. `tests` are arguments of pytest."""

    title: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def mutants(*rules: str) -> tuple[str, ...]:
    """The mutants of these rules that start from the package without torch."""
    return (_MUTANTS, "-k", " or ".join(rules))


FAULTS: tuple[Fault, ...] = (
    # The process: how it starts, what it is handed, how it ends.
    Fault(
        "a child that the model forks keeps the worker's connection",
        "worker/server/server.py",
        "os.register_at_fork(after_in_child=lambda: _close(requests, answers))",
        "pass",
        ("tests/worker", "tests/misbehaviour/test_misbehaviour.py"),
    ),
    Fault(
        "a request's exception ends the worker",
        "worker/server/server.py",
        "    except BaseException as error:  # noqa: BLE001\n        answer[",
        "    except ValueError as error:\n        answer[",
        ("tests/worker", "tests/misbehaviour/test_misbehaviour.py"),
    ),
    Fault(
        "what the model prints is kept back",
        "worker/server/server.py",
        "            stream.flush()",
        "            pass",
        ("tests/worker", "tests/misbehaviour/test_misbehaviour.py"),
    ),
    Fault(
        "a worker leads no session of its own",
        "worker/launching.py",
        "start_new_session=True",
        "start_new_session=False",
        ("tests/worker", "tests/misbehaviour/test_misbehaviour.py"),
    ),
    Fault(
        "a worker has the caller's HOME",
        "worker/conditions.py",
        '            "HOME": str(self.home.absolute()),\n',
        "",
        mutants("VCP720"),
    ),
    Fault(
        "a worker has the caller's TMPDIR",
        "worker/conditions.py",
        '            "TMPDIR": tmp,\n            "TMP": tmp,\n            "TEMP": tmp,\n',
        "",
        ("tests/worker", "tests/plugin/test_artifact_places.py", "tests/report"),
    ),
    Fault(
        "a worker has the caller's variables of Python",
        "worker/conditions.py",
        '    "PYTHON",\n    "VIRTUAL_ENV",\n',
        '    "VIRTUAL_ENV",\n',
        ("tests/worker/test_isolation.py", "tests/plugin/test_surroundings.py"),
    ),
    Fault(
        "programs of the environment are not on PATH",
        "worker/conditions.py",
        '"PATH": os.pathsep.join(programs)',
        '"PATH": programs[1]',
        ("tests/worker/test_isolation.py", "tests/strangers/test_habits.py"),
    ),
    Fault(
        "the environment's own path entries are lost behind editable ones",
        "worker/server/isolation.py",
        "    sys.path[:] = [*first, *(entry for entry in sys.path if _of_environment(entry))]",
        "    sys.path[:] = [*first, *sys.path]",
        ("tests/worker", "tests/strangers/test_oddities.py"),
    ),
    # The conditions.
    Fault(
        "the source tree is not hidden",
        "worker/server/isolation.py",
        '    hidden = _spellings(conditions["hidden"])',
        '    hidden = _spellings([])\n    conditions = {**conditions, "hidden": []}',
        mutants("VCP701"),
    ),
    Fault(
        "the network is not off",
        "worker/server/isolation.py",
        'off = conditions["network"] == "off"',
        "off = False",
        mutants("VCP702"),
    ),
    Fault(
        "read-only places can be written",
        "worker/server/isolation.py",
        '    writable = conditions["writable"]',
        '    conditions = {**conditions, "read_only": [], "writable": None}\n'
        '    writable = conditions["writable"]\n    read_only = frozenset()',
        mutants("VCP703"),
    ),
    Fault(
        "no loopback in the namespace",
        "worker/server/namespaces.py",
        "    if plan.network:\n        _bring_up_loopback()",
        "    if False:\n        _bring_up_loopback()",
        ("tests/worker/test_isolation.py", "tests/strangers/test_pooled.py"),
    ),
    Fault(
        "what is written elsewhere is not noted",
        "worker/server/audit.py",
        "        _record(self._outside, path)\n",
        "",
        ("tests/worker", "tests/strangers/test_faulty.py"),
    ),
    # Packaging.
    Fault(
        "MLmodel holds the author's paths",
        "worker/server/packaging.py",
        'os.path.normpath(f"model_data/{path}")',
        'os.path.abspath(f"model_data/{path}")',
        (_MUTANTS, _REFERENCE, "-k", "VCP602 or pcs10"),
    ),
    Fault(
        "weights end up in the pickle",
        "worker/server/packaging.py",
        "    wrapper.load_context = lambda self, context: None  # type: ignore[attr-defined]\n",
        "",
        (_MUTANTS, _REFERENCE, "-k", "VCP610 or pcs10"),
    ),
    Fault(
        "the constructor gets no config",
        "worker/server/packaging.py",
        "for entry in named if entry.name in config}",
        "for entry in ()}",
        (
            "tests/strangers/test_oddities.py",
            "tests/strangers/test_strangers.py",
            "tests/strangers/test_habits.py",
        ),
    ),
    Fault(
        "the second artifact is the first",
        "worker/server/packaging.py",
        "    if not os.path.isfile(paths[0]):\n        return True",
        "    return False",
        mutants("VCP611"),
    ),
    # The forward pass.
    Fault(
        "the repeated pass is compared with itself",
        "worker/server/forward.py",
        'outputs.arrays(state["prediction"]), outputs.arrays(again), params["tolerance"]',
        'outputs.arrays(again), outputs.arrays(again), params["tolerance"]',
        mutants("VCP710"),
    ),
    Fault(
        "two processes always agree",
        "worker/server/forward.py",
        '    return {"difference": compare(here, there, params["tolerance"])}',
        '    return {"difference": compare(here, here, params["tolerance"])}',
        mutants("VCP710"),
    ),
    Fault(
        "the first result is the model's own buffer",
        "worker/server/outputs.py",
        "    return _map_arrays(prediction, lambda array: array.copy())",
        "    return prediction",
        (_MUTANTS, "tests/strangers", "-k", "VCP71 or strangers"),
    ),
    Fault(
        "every value is finite",
        "worker/server/outputs.py",
        '    reply: Reply = {"not_finite": bad}\n    if bad:',
        '    bad = 0\n    reply: Reply = {"not_finite": bad}\n    if bad:',
        mutants("VCP707"),
    ),
    Fault(
        "tolerances are a thousand times wider",
        "worker/server/comparing.py",
        'limits["absolute"] + limits["relative"] * numpy.abs(wanted)\n',
        '1e3 * (limits["absolute"] + limits["relative"] * numpy.abs(wanted))\n',
        mutants("VCP712", "VCP714", "VCP717"),
    ),
    Fault(
        "masked values travel",
        "worker/server/outputs.py",
        "        if masked := int(numpy.ma.count_masked(array)):",
        "        if masked := 0:",
        ("tests/report/test_causes.py", "-k", "masked"),
    ),
    Fault(
        "nobody listens to standard output",
        "worker/server/forward.py",
        "os.dup2(sink.fileno(), _STDOUT)",
        "sink.fileno()",
        mutants("VCP806"),
    ),
    Fault(
        "wrong params count as refused",
        "worker/server/params.py",
        "        self.passes += 1\n        return True",
        "        self.passes += 1\n        return False",
        mutants("VCP712", "VCP718"),
    ),
    Fault(
        "inputs that do not open are fine",
        "worker/server/inputs.py",
        '        found["problem"] = chunks.problem_of(error)',
        "        pass",
        mutants("VCP505"),
    ),
    Fault(
        "unreadable inputs are not tried",
        "worker/server/variations.py",
        '(("missing", None), ("unreadable", _garbage))',
        '(("missing", None), ("unreadable", None))',
        mutants("VCP715"),
    ),
    # The rules.
    Fault(
        "VCP705 does not look at fixed dimensions",
        "../conformance/test_forward.py",
        "            size > 0 if want == -1 else size == want",
        "            size > 0",
        mutants("VCP705"),
    ),
    Fault(
        "VCP701 does not look at what is left running",
        "../conformance/test_forward.py",
        "    if vcp_loading.leftovers:",
        "    if False and vcp_loading.leftovers:",
        ("tests/misbehaviour", _MUTANTS, "-k", "left or VCP701"),
    ),
    # What draws chance where the warm processes might all draw the same.
    Fault(
        "what another process returned is not waited for",
        "facts/forward.py",
        '        kept = validated.content is not None and validated.content["kept"]',
        "        kept = False",
        mutants("VCP710"),
    ),
)


def main(numbers: list[str]) -> int:
    """Try the faults, all of them or those with these numbers; 1 where warm tests miss one."""
    if _git("status", "--porcelain"):
        print("the checkout has changes; commit them first", file=sys.stderr)
        return 4
    chosen = [FAULTS[int(number) - 1] for number in numbers] or list(FAULTS)
    print("| fault | warm | cold |\n|---|---|---|", flush=True)
    missed = 0
    for fault in chosen:
        with _broken(fault):
            warm, cold = _caught(fault, cold=False), _caught(fault, cold=True)
        print(f"| {fault.title} | {_word(warm)} | {_word(cold)} |", flush=True)
        missed += cold and not warm
    return 1 if missed else 0


def _word(caught: bool) -> str:
    return "caught" if caught else "missed"


@contextmanager
def _broken(fault: Fault) -> Iterator[None]:
    path = (ROOT / "pytest_vcp" / fault.file).resolve()
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.title}: {fault.old!r} is in {path} {text.count(fault.old)} times")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def _caught(fault: Fault, *, cold: bool) -> bool:
    """Whether one of the tests fails. Raises RuntimeError where they could not be run."""
    environ = {name: value for name, value in os.environ.items() if name != "VCP_TEST_COLD"}
    if cold:
        environ["VCP_TEST_COLD"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "4", *fault.tests],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=_HANG_SECONDS,
        check=False,
    )
    # With -x and xdist, what was stopped ends with 2.
    if done.returncode not in (0, 1, 2):
        raise RuntimeError(f"{fault.title}: the tests ended with {done.returncode}\n{done.stdout}")
    return done.returncode != 0


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
