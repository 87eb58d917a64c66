"""The steps of locking: read, compile, have pip check uv's choice, render, and write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_vcp.environment import uv
from pytest_vcp.environment.build import prepare_tool
from pytest_vcp.environment.cache import explain_cache_errors, keep_log
from pytest_vcp.environment.installer import pip_environ, surroundings, try_out
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.watched import Progress
from pytest_vcp.locking.ages import Behind, find_outdated
from pytest_vcp.locking.companions import Companions, companions_of, without_notes
from pytest_vcp.locking.compilers import Compilation, pip_compile, uv_compile
from pytest_vcp.locking.declared import Unlockable, markers_of, options_to_carry, read_declared
from pytest_vcp.locking.rendering import Changes, changes, render, without_local_versions
from pytest_vcp.locking.settings import LockSettings
from pytest_vcp.requirements.lock import (
    DECLARED,
    PINNED,
    Lock,
    RequirementLine,
    parse_lines,
    read_lock,
)
from pytest_vcp.requirements.markers import applies, target_environment
from pytest_vcp.requirements.options import options_of
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util.files import write_atomic

_REMEDIES = {
    "resolver": f"loosen or drop one of them in {DECLARED}",
    "unavailable": f"ask for a version that there is, in {DECLARED}",
    "python": f"ask for a release for this Python in {DECLARED}, or choose another --vcp-python",
    "build": f"ask for a version with a wheel in {DECLARED}; pip's output is in {{log}}",
}


@dataclass(frozen=True)
class Locked:
    """The result of locking. `by` is the compiler, `note` why it was not uv although uv is present.

    `companions` are the constraints under which it was compiled. `outdated` are new pins that old
    ones hold back. `is_new`: no lock existed before; `is_written`: the file has changed. `dropped`
    are the options that only the old lock had.
    """

    by: str
    note: str | None
    changes: Changes
    is_new: bool
    is_written: bool
    dropped: tuple[str, ...]
    companions: Companions
    outdated: tuple[Behind, ...]


def make_lock(settings: LockSettings, interpreter: Interpreter, progress: Progress) -> Locked:
    """Write requirements.txt for the target Python; uv is used if it is on PATH.

    Raises Unlockable if requirements.in is at fault, ToolError if anything else is; whatever is
    raised, the old file stays unchanged.
    """
    declared = read_declared(settings.pkg_dir, settings.policy)
    options = options_to_carry(declared)
    source = (settings.pkg_dir / DECLARED).read_bytes()
    old = read_lock(settings.pkg_dir)
    python = resolver_python(interpreter, settings.cache_dir, progress)
    with tempfile.TemporaryDirectory(prefix="pytest-vcp-lock-") as scratch:
        job = Compilation(
            pkg_dir=settings.pkg_dir,
            python=python,
            base=interpreter.executable,
            output=Path(scratch, PINNED),
            log=Path(scratch, "compile.log"),
            environ=pip_environ(python),
            hashes=_has_hashes(old),
        )
        seed = "" if settings.upgrade else _pins_to_keep(old, settings.target_python)
        markers = markers_of(declared, settings.target_python)
        companions = companions_of(declared, settings.policy)
        if companions.taken:
            limits = Path(scratch, "companions.txt")
            limits.write_text(companions.text(), encoding="utf-8")
            job = replace(job, constraints=limits)
        try:
            text, by, note = _resolve(job, seed, options, settings, markers, progress)
        except (Unlockable, ToolError):
            if not companions.taken:
                raise
            # Another requirement may need other releases.
            job = replace(job, constraints=None)
            text, by, note = _resolve(job, seed, options, settings, markers, progress)
            forbidden = companions.contradicted + companions.taken
            companions = replace(companions, taken=(), contradicted=forbidden)
    if not job.hashes and not _serves_local_versions(options):
        asked_for = {line.name for line in declared if line.local_version and line.name}
        text = without_local_versions(text, asked_for)
    if (settings.pkg_dir / DECLARED).read_bytes() != source:
        raise ToolError(f"{DECLARED} was changed while it was locked", "run again")
    changed = changes(old.pinned, parse_lines(text, PINNED))
    return Locked(
        by=by,
        note=note,
        changes=changed,
        is_new=PINNED in old.missing,
        is_written=write_lock(settings.pkg_dir / PINNED, text),
        dropped=_list_dropped(old.pinned, options),
        companions=companions,
        # Without old pins, only requirements.in can hold anything back.
        outdated=find_outdated(changed.added, options, job.environ) if seed else (),
    )


def write_lock(path: Path, text: str) -> bool:
    """Write a lock atomically; return False if the file has this content already.

    The target of a link is replaced, not the link. Raises ToolError if it can't be written.
    """
    path = Path(os.path.realpath(path))
    try:
        if path.is_file() and path.read_bytes() == text.encode():
            return False
        write_atomic(path, text, sync=True)
    except OSError as problem:
        raise ToolError(
            f"{path} can't be written: {problem.strerror or problem}",
            "see to the rights of its directory, and the space there",
        ) from problem
    return True


def _resolve(
    job: Compilation,
    seed: str,
    options: Sequence[str],
    settings: LockSettings,
    markers: dict[str, str],
    progress: Progress,
) -> tuple[str, str, str | None]:
    """Return the text of the lock, the compiler that made it, and why that was not uv."""
    note = None
    program = uv.find()
    if program is not None:
        job.output.write_text(seed, encoding="utf-8")
        compiled, note = _by_uv(job, program, options, progress)
        if compiled is not None:
            text = without_notes(compiled)
            return render(text, options, settings.target_python, markers), "uv", None
    job.output.write_text(seed, encoding="utf-8")
    if not pip_compile(job, progress):
        raise _explain(job, settings, progress)
    compiled = without_notes(job.output.read_text(encoding="utf-8"))
    return render(compiled, options, settings.target_python), "pip-tools", note


def _by_uv(
    job: Compilation, program: str, options: Sequence[str], progress: Progress
) -> tuple[str | None, str | None]:
    """Return uv's result if pip accepts it, else None and why: uv ignores upper Python bounds."""
    if not uv_compile(job, program, progress):
        return None, "uv could not resolve it"
    compiled = job.output.read_text(encoding="utf-8")
    # Without hashes, for which pip would download every file.
    lines = [_unhashed(line) for line in parse_lines(compiled, PINNED)]
    checked = job.output.with_name("checked.txt")
    checked.write_text("\n".join([*options, *lines, ""]), encoding="utf-8")
    progress("checking with pip what uv chose")
    failure = try_out(job.python, checked, job.log.with_name("check.log"), progress)
    if failure is None:
        return compiled, None
    return None, f"pip refused what uv chose: {failure.headline}"


def _unhashed(line: RequirementLine) -> str:
    return str(line.requirement) if line.requirement is not None else line.text


def _explain(
    job: Compilation, settings: LockSettings, progress: Progress
) -> Unlockable | ToolError:
    """Ask pip itself, whose messages are known, why requirements.in can't be resolved."""
    progress("asking pip what is wrong")
    log = job.log.with_name("pip.log")
    failure = try_out(job.python, settings.pkg_dir / DECLARED, log, progress)
    with explain_cache_errors(settings.cache_dir):
        kept = keep_log(settings.cache_dir, log if failure is not None else job.log)
    if failure is None:
        return ToolError(
            f"pip-tools failed on {DECLARED}, which pip accepts",
            f"try --vcp-lock=upgrade, which keeps no pin, or see the end of {kept}",
        )
    problem = surroundings(failure, f"while {DECLARED} was resolved", kept)
    return problem or _unlockable(replace(failure, log=kept))


def _unlockable(failure: BuildFailure) -> Unlockable:
    contradict = f"requirements of {DECLARED} contradict each other"
    return Unlockable(
        contradict if failure.kind == "resolver" else failure.headline,
        _REMEDIES[failure.kind].format(log=failure.log),
        detail=failure.detail,
    )


def _pins_to_keep(old: Lock, python: tuple[int, int]) -> str:
    """Return a lock's exact pins that apply on a Python, as a file that compilers start from."""
    environment = target_environment(python)
    kept = [
        line.text
        for line in old.pinned
        if line.kind == "requirement"
        and line.exact_version is not None
        and applies(line.requirement, environment)
    ]
    return "".join(f"{text}\n" for text in kept)


def _serves_local_versions(options: Sequence[str]) -> bool:
    lines = parse_lines("\n".join(options), DECLARED)
    return any(option.serves_local_versions for line in lines for option in options_of(line))


def _has_hashes(old: Lock) -> bool:
    names = {option.name for line in old.pinned for option in options_of(line)}
    return any(line.hashes for line in old.pinned) or "--require-hashes" in names


def _list_dropped(old: Sequence[RequirementLine], options: Sequence[str]) -> tuple[str, ...]:
    """Return the index and other options that only the old lock has: nothing requires them."""
    kept = {
        option for line in parse_lines("\n".join(options), DECLARED) for option in options_of(line)
    }
    return tuple(
        line.short
        for line in old
        if line.kind == "option" and not kept.issuperset(options_of(line))
    )


# ------------------------------------------------------------------------------------- pip-tools
#
# The environment of the resolver: pip-tools and its pip, on the target Python.
#
# A resolver considers what its own Python accepts, so one on the plugin's Python would lock for
# that. The environment is built, cached and shared between runs like that of a model.

_LOCK = Path(__file__).with_name("pip-tools.txt")


def resolver_python(interpreter: Interpreter, cache_dir: Path, progress: Progress) -> Path:
    """Return the interpreter of the environment with pip-tools, building that if necessary.

    Raises ToolError if it can't be built: no package is to blame for that.
    """
    return prepare_tool("pip-tools", _LOCK, interpreter, cache_dir, progress).python
