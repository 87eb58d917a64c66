"""MLflow's calls to pyenv, answered by pyenv itself, or by a stand-in if it is not installed.

MLflow has pyenv install the Python of a model under a new root each time, which would download and
compile one. Instead, it gets the interpreter that the run has already chosen.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "pyenv"

# The calls that MLflow 3.1 makes: check for pyenv, list the installable versions, install one.
_STAND_IN = """\
#!/bin/sh
# Stands in for pyenv, which this machine has not, while one command of MLflow runs.
set -e
case "$1" in
    --version) echo "pyenv 0 (stand-in)" ;;
    root) echo "$PYENV_ROOT" ;;
    install)
        if [ "$2" = "--list" ]; then
            echo "  {version}"
            exit 0
        fi
        for version; do :; done
        if [ "$version" != "{version}" ]; then
            echo "the stand-in for pyenv has Python {version}, and not $version" >&2
            exit 1
        fi
        mkdir -p "$PYENV_ROOT/versions/$version/bin"
        ln -sf {interpreter} "$PYENV_ROOT/versions/$version/bin/python"
        ;;
    *) echo "the stand-in for pyenv does not know: pyenv $*" >&2; exit 1 ;;
esac
"""


def variables(
    folder: Path, version: str, interpreter: Path, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables with which MLflow gets `interpreter` as Python `version`.

    `environ` are the other variables of the command; `folder` is for files that it needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_on_path(PROGRAM, environ):
        return _write_definition(folder, version, interpreter)
    stand_in = folder / PROGRAM
    stand_in.write_text(
        _STAND_IN.format(version=version, interpreter=shlex.quote(str(interpreter))),
        encoding="utf-8",
    )
    stand_in.chmod(0o755)
    path = environ.get("PATH", os.defpath)
    return {"PATH": os.pathsep.join([str(folder), path])}


def _write_definition(folder: Path, version: str, interpreter: Path) -> dict[str, str]:
    """Write a python-build definition that provides the chosen interpreter as this version."""
    (folder / version).write_text(
        'mkdir -p "$PREFIX_PATH/bin"\n'
        f'ln -s {shlex.quote(str(interpreter))} "$PREFIX_PATH/bin/python"\n',
        encoding="utf-8",
    )
    known = os.environ.get("PYTHON_BUILD_DEFINITIONS")
    return {"PYTHON_BUILD_DEFINITIONS": os.pathsep.join(filter(None, [str(folder), known]))}


def is_on_path(program: str, environ: Mapping[str, str]) -> bool:
    """Return whether a program is found on PATH."""
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(Path(folder, program), os.X_OK) for folder in folders if folder)
