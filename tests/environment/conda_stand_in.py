"""Stands in for conda and micromamba, which not every machine has, nor the channels for them.

Takes the same arguments, reads the same file, prints much the same, and makes a real environment
at the prefix, with a real pip in it: only its Python is the running one. Run as a script with the
name of the command to be, and its arguments; `VCP_STAND_IN` says how to fail.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import yaml

FAILURE = "VCP_STAND_IN"


def install(folder: Path, name: str) -> Path:
    """Put a command of this name into a folder that goes on PATH."""
    folder.mkdir(exist_ok=True)
    command = folder / name
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
    command.chmod(0o755)
    return command


def main() -> None:
    """Make an environment as `conda env create` and `micromamba create` do."""
    name, *arguments = sys.argv[1:]
    verb = ["create", "--yes"] if name == "micromamba" else ["env", "create"]
    assert arguments[:2] == verb, arguments
    assert (arguments[2], arguments[4]) == ("-p", "-f"), arguments
    prefix, file = Path(arguments[3]), Path(arguments[5])
    assert not prefix.exists()
    specification = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert specification["channels"] == ["conda-forge"]
    python, _, pip = specification["dependencies"]
    print("Collecting package metadata (repodata.json): done", flush=True)
    failure = os.environ.get(FAILURE)
    if failure == "offline":
        end("CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://channel.example.org/x>")
    if failure == "crash":
        end("CorruptedEnvironmentError: the package cache is broken")
    wanted = python.removeprefix("python=").split(".")
    if platform.python_version_tuple()[: len(wanted)] != tuple(wanted):
        end(f"PackagesNotFoundError: The following packages are not available:\n  - {python}")
    print("Solving environment: done", flush=True)
    subprocess.run([sys.executable, "-m", "virtualenv", "--no-download", prefix], check=True)
    install_with_pip(name, prefix, file.parent, pip)


def install_with_pip(name: str, prefix: Path, folder: Path, pip: dict[str, Any]) -> None:
    """Hand the lines of the pip section to pip, and print what it says in the command's own way."""
    lock = folder / "condaenv.abc.requirements.txt"
    lock.write_text("\n".join(pip["pip"]), encoding="utf-8")
    python = str(prefix / "bin" / "python")
    command = [python, "-m", "pip", "install", "-U", "-r", str(lock)]
    if name == "micromamba":
        print(f"Installing pip packages: {', '.join(pip['pip'])}", flush=True)
        if subprocess.run(command, cwd=folder, check=False).returncode:
            end("critical libmamba pip failed to install packages")
        return
    print("Installing pip dependencies: ...working...", flush=True)
    command.append("--exists-action=b")
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    lock.unlink()
    print(f"Ran pip subprocess with arguments:\n{command}\nPip subprocess output:\n{done.stdout}")
    if done.returncode:
        print(f"Pip subprocess error:\n{done.stderr}\nfailed")
        end("CondaEnvException: Pip failed")
    print("done")


def end(words: str) -> NoReturn:
    """Fail as the command does: with its reason at the end."""
    print(f"\n{words}\n", flush=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
