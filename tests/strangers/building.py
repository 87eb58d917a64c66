"""Complete packages that share nothing with the reference packages but their lock.

A stranger is a set of source files and a script. The script runs in the environment of the lock,
with the package as working directory, and writes the weights and the inputs: they are real
although this side has no numerical library.
"""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fixtures.references import PACKAGES

# All strangers live on this lock, so that one environment serves them all.
LOCK_FROM = PACKAGES / "pbmc_pca" / "mlflow_pkg"

# For those that bring no licence of their own.
_LICENCE = "MIT License\n\nCopyright (c) 2025 The strangers\n"

SPEC_HEAD = """
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
"""


@dataclass(frozen=True)
class Stranger:
    """A package by its sources.

    `files` map paths to text, which is dedented. `make` is the script that writes weights and
    inputs. `options` are pytest options, `variables` those of the environment of the run, with
    ``{package}`` for the package. `advice` are the rules of that level that it does not follow.
    `before` and `after` change the folder before the script runs and when everything is there.
    `place` is where the package lies, if not where it is judged: then a link leads to it.
    """

    name: str
    files: Mapping[str, str]
    make: str
    options: tuple[str, ...]
    advice: frozenset[str] = frozenset()
    before: Callable[[Path], None] = lambda folder: None
    after: Callable[[Path], None] = lambda folder: None
    variables: Mapping[str, str] = field(default_factory=dict)
    place: str | None = None

    def build(self, parent: Path, python: Path, lock_from: Path = LOCK_FROM) -> Path:
        """Write the package into `parent` and return the path of its mlflow_pkg.

        `lock_from` is the package that its requirements are those of.
        """
        package = parent / "mlflow_pkg"
        self._write(parent / self.place if self.place else package, python, lock_from)
        if self.place:
            package.symlink_to(self.place)
        return package

    def sources(self) -> dict[str, str]:
        """The files without the indentation that they have here."""
        return {name: textwrap.dedent(text).lstrip("\n") for name, text in self.files.items()}

    def write_sources(self, folder: Path, lock_from: Path = LOCK_FROM) -> None:
        """Write everything but weights and inputs."""
        (folder / "model_data").mkdir(parents=True)
        for name in ("requirements.in", "requirements.txt"):
            shutil.copy(lock_from / name, folder)
        (folder / "LICENSE").write_text(_LICENCE, encoding="utf-8")
        for name, text in self.sources().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    def _write(self, folder: Path, python: Path, lock_from: Path) -> None:
        self.write_sources(folder, lock_from)
        self.before(folder)
        if self.make:
            isolated = (str(python), "-I", "-B", "-X", "utf8", "-c")
            script = textwrap.dedent(self.make)
            subprocess.run([*isolated, script], cwd=folder, check=True, stdin=subprocess.DEVNULL)
        self.after(folder)
