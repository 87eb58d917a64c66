"""The search for the Python on which an environment is to be based.

The order is virtualenv's own (the running interpreter, PATH, pyenv's shims, uv), followed by the
versions that pyenv has installed but not activated: their shims refuse to run, although the
interpreter exists.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

_ASK = (
    "import json, platform, sys; "
    "print(json.dumps([sys.version_info[:3], platform.python_implementation()]))"
)
_ASK_LIMIT_SECONDS = 30.0


@dataclass(frozen=True)
class Interpreter:
    """A Python on which environments can be based.

    `version` is (major, minor, micro), `implementation` is a name such as "CPython", and `platform`
    names operating system, machine and C library: together they decide which wheels fit.
    """

    executable: Path
    version: tuple[int, int, int]
    implementation: str
    platform: str

    def __str__(self) -> str:
        return f"{self.implementation} {'.'.join(map(str, self.version))}"


class InterpreterNotFound(Exception):
    """No interpreter matches `spec`; `found` lists the installed versions."""

    def __init__(self, spec: str, found: tuple[str, ...]) -> None:
        self.spec = spec
        self.found = found
        self.remedy = (
            f"install it (for example `pyenv install {spec}`) or put its directory on PATH"
        )
        there = ", ".join(found) if found else "none"
        super().__init__(f"there is no Python {spec} here (found: {there}); {self.remedy}")


def find(spec: str | None) -> Interpreter:
    """Return the interpreter for `spec`: a version ("3.12", "3.12.1"), or None for this one.

    None means the interpreter that the running virtual environment is based on. Raises
    `InterpreterNotFound`.
    """
    here = find_running()
    if spec is None or _fits(here.version, spec):
        return here
    executable = _found_by_virtualenv(spec) or _found_in_pyenv(spec)
    found = _ask_interpreter(executable) if executable else None
    if found is None:
        raise InterpreterNotFound(spec, _known_versions())
    return found


def find_running() -> Interpreter:
    """Return the interpreter below the running one, following links of virtual environments."""
    return Interpreter(
        executable=Path(os.path.realpath(sys.executable)),
        version=sys.version_info[:3],
        implementation=platform.python_implementation(),
        platform=_platform(),
    )


def clean_environ(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables, without those that change the behaviour of a Python.

    Those of virtualenv are removed, too, except the folder for its own data: they change what it
    builds.
    """
    clean = {
        key: value
        for key, value in (os.environ if environ is None else environ).items()
        if key == "VIRTUALENV_OVERRIDE_APP_DATA"
        or not key.startswith(("PYTHON", "VIRTUALENV_", "__PYVENV_LAUNCHER__"))
    }
    clean["VIRTUALENV_CONFIG_FILE"] = os.devnull
    return clean


def _platform() -> str:
    libc = ""
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    return "-".join(part for part in (sys.platform, platform.machine(), libc) if part)


def _fits(version: tuple[int, int, int], spec: str) -> bool:
    wanted = spec.split(".")
    return [str(part) for part in version][: len(wanted)] == wanted


def _found_by_virtualenv(spec: str) -> Path | None:
    virtualenv = import_module("virtualenv")  # 0.1 s to import, and seldom needed
    try:
        # Nothing is created: a session only plans, but it insists on a writable destination.
        nowhere = os.path.join(tempfile.gettempdir(), f"pytest-vcp-{os.getpid()}")
        session = virtualenv.session_via_cli(
            ["--python", spec, "--no-periodic-update", nowhere],
            setup_logging=False,
            env=clean_environ(),
        )
        info = session.interpreter
    except (RuntimeError, SystemExit):
        return None
    return Path(info.system_executable or info.executable)


def _pyenv_versions() -> Iterator[Path]:
    """Yield the versions that pyenv has installed, newest first."""
    roots = [os.environ.get("PYENV_ROOT"), os.path.expanduser("~/.pyenv")]
    for root in dict.fromkeys(root for root in roots if root):
        try:
            entries = list(Path(root, "versions").iterdir())
        except OSError:  # It is not there, or it is another user's.
            continue
        numbered = [path for path in entries if re.match(r"\d+(\.\d+)+$", path.name)]
        yield from sorted(numbered, key=_version_key, reverse=True)


def _version_key(path: Path) -> list[int]:
    return [int(part) for part in path.name.split(".")]


def _found_in_pyenv(spec: str) -> Path | None:
    for home in _pyenv_versions():
        python = home / "bin" / "python"
        if (home.name == spec or home.name.startswith(f"{spec}.")) and python.exists():
            return Path(os.path.realpath(python))
    return None


def _ask_interpreter(executable: Path) -> Interpreter | None:
    """Ask an interpreter for its version and implementation; None if it does not answer."""
    try:
        answer = subprocess.run(
            [executable, "-I", "-S", "-c", _ASK],
            capture_output=True,
            timeout=_ASK_LIMIT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
        (major, minor, micro), implementation = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(executable, (major, minor, micro), implementation, _platform())


def _known_versions() -> tuple[str, ...]:
    """Return the installed versions for an error message: this one, and those of pyenv."""
    here = ".".join(map(str, sys.version_info[:3]))
    return tuple(dict.fromkeys([here, *(path.name for path in _pyenv_versions())]))
