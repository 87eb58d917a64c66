"""pip-compile and `uv pip compile`: one call each, isolated from settings that distort the result.

Both find distributions where the user's pip finds them. None of these sources is written into the
result: requirements.in states which of them the lock is to name.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.environment import pip_messages, uv, watched
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import DECLARED

_ASK_LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Compilation:
    """One requirements.in to compile: `output` holds the pins to keep, and then the result.

    `python` has pip-tools, `base` is the interpreter below it; `environ` has the user's package
    sources in pip's variables; `hashes` requests a hash of every file, `constraints` is a
    constraints file.
    """

    pkg_dir: Path
    python: Path
    base: Path
    output: Path
    log: Path
    environ: Mapping[str, str]
    hashes: bool
    constraints: Path | None = None

    @property
    def limits(self) -> list[str | Path]:
        """The option for the constraints, which is the same for both compilers."""
        return ["-c", self.constraints] if self.constraints is not None else []


def pip_compile(job: Compilation, progress: Progress) -> bool:
    """Compile with pip-tools and return whether that worked. On failure the log has the reason."""
    command: list[str | Path] = [
        *(job.python, "-I", "-u", "-m", "piptools", "compile"),
        *("--verbose", "--no-config", "--no-header", "--no-emit-options", "--newline=lf"),
        *("--allow-unsafe", "--strip-extras"),
        *("--cache-dir", _pip_cache(job)),
        *(["--generate-hashes"] if job.hashes else []),
        *job.limits,
        *("--output-file", job.output, DECLARED),
    ]
    doing = f"resolving {DECLARED} with pip-tools"
    return watched.run(command, job.environ, job.pkg_dir, job.log, progress, _news, doing) == 0


def uv_compile(job: Compilation, program: str, progress: Progress) -> bool:
    """Compile with uv, for pip-tools' interpreter and sources, and return whether that worked."""
    command: list[str | Path] = [
        *(program, "pip", "compile", "--no-header", *uv.options_of(job.environ)),
        *("--python", job.base),
        *(["--generate-hashes"] if job.hashes else []),
        *job.limits,
        *("--output-file", job.output, DECLARED),
    ]
    doing = f"resolving {DECLARED} with uv"
    environ = uv.environ_of(job.environ)
    return watched.run(command, environ, job.pkg_dir, job.log, progress, _news, doing) == 0


def _news(line: str) -> str | None:
    """Return the progress that a line of pip reports, or None; pip-compile indents it."""
    return pip_messages.progress_of(line.lstrip())


def _pip_cache(job: Compilation) -> str:
    """Return pip's own cache, so that files downloaded for resolving need no second download."""
    if "PIP_CACHE_DIR" in job.environ:
        return job.environ["PIP_CACHE_DIR"]
    try:
        output = subprocess.run(
            [job.python, "-I", "-m", "pip", "cache", "dir"],
            capture_output=True,
            check=True,
            env=job.environ,
            timeout=_ASK_LIMIT_SECONDS,
            stdin=subprocess.DEVNULL,
        ).stdout
    except subprocess.SubprocessError:  # switched off, for example
        return str(job.output.with_name("cache"))
    return os.fsdecode(output).strip()
