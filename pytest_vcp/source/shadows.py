"""Modules at the top of the package directory that hide others of the same name.

The package directory precedes the standard library and the installed distributions on the path, for
every module that imports anything. A folder without `__init__.py` hides nothing: Python uses it
only if it finds nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.imported import import_names

# The platform's own names.
_OWN = frozenset({"model_code", "model_spec", "mlflow_packager", "generate_requirements_txt"})
# An extension module may name the interpreter it was built for: `name.cpython-311-….so`.
_MODULE = re.compile(r"(?P<name>\w+)(?:\.pyc?|(?:\.(?:cpython-|cp\d|abi3)[\w-]*)?\.(?:so|pyd))")
# Modules by the version of Python that added or removed them, since 3.10.
_SINCE = {"tomllib": (3, 11)}
_UNTIL = {
    "binhex": (3, 11),
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), (3, 12)),
    **dict.fromkeys(
        (
            *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap"),
            *("msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau"),
            *("telnetlib", "uu", "xdrlib"),
        ),
        (3, 13),
    ),
}


@dataclass(frozen=True)
class Shadow:
    """A module of the package that is imported in place of another; `of` names that one."""

    name: str
    of: str
    where: Location


def shadows(
    pkg_dir: Path, pinned: Iterable[str], target_python: tuple[int, int]
) -> tuple[Shadow, ...]:
    """Compare the modules of the package directory with the names of pinned and standard ones.

    `pinned` are canonical names of distributions, `target_python` determines the standard library.
    """
    taken = {module: name for name in pinned for module in import_names(name)}
    taken |= dict.fromkeys(_standard_library(target_python), "")
    return tuple(
        Shadow(
            name,
            f"the pinned {taken[name]}" if taken[name] else "Python's own module",
            Location.within(pkg_dir, path),
        )
        for name, path in _modules(pkg_dir)
        if name in taken and name not in _OWN
    )


def _modules(pkg_dir: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(pkg_dir.iterdir()):
        if (path / "__init__.py").is_file():
            yield path.name, path
        elif (module := _MODULE.fullmatch(path.name)) and path.is_file():
            yield module["name"], path


def _standard_library(target: tuple[int, int]) -> frozenset[str]:
    known = sys.stdlib_module_names | _SINCE.keys() | _UNTIL.keys()
    gone = {name for name, since in _SINCE.items() if target < since}
    gone |= {name for name, until in _UNTIL.items() if target >= until}
    return frozenset(known - gone)
