"""Facts about the package directory: its layout and the source of model_code, nothing imported."""

from __future__ import annotations

import ast
import codecs
import io
import os
import sys
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_vcp.rules.outcomes import Blocked, Location, Unverified

CODE = "model_code"
DATA = "model_data"
DIRECTORIES = (CODE, DATA)
SPEC = "model_spec.py"
FILES = (SPEC, "requirements.in", "requirements.txt")


@dataclass(frozen=True)
class MissingEntry:
    """A missing name of the layout; `found` says what exists instead, if anything."""

    name: str
    found: str | None = None


@dataclass(frozen=True)
class SourceModule:
    """One module of the package: its source parsed for the target Python, or the problem with it.

    `certain` is false if the available parser is older than the target Python, so that what it
    refuses may be newer syntax.
    """

    path: Path
    name: str
    where: Location
    tree: ast.Module | None = field(repr=False)
    problem: str | None = None
    certain: bool = True

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def locate(self, node: ast.AST) -> Location:
        """Return the location of `node` in this module."""
        return Location(self.where.path, getattr(node, "lineno", None))


@dataclass(frozen=True)
class ModelPackage:
    """The content of the package directory, as far as it is known without running any of it."""

    pkg_dir: Path
    target_python: tuple[int, int]
    missing: tuple[MissingEntry, ...]
    is_package: bool
    modules: tuple[SourceModule, ...]
    spec_module: SourceModule | None = None

    @property
    def unparsed(self) -> tuple[SourceModule, ...]:
        """The modules that do not parse, in the order of their names."""
        return tuple(module for module in self.modules if module.problem is not None)

    def lacks(self, name: str) -> bool:
        """Return whether this name of the layout is missing."""
        return any(entry.name.rstrip("/") == name for entry in self.missing)


def read_package(pkg_dir: Path, target_python: tuple[int, int]) -> ModelPackage:
    """Read the layout and parse every module of model_code as `target_python` would."""
    spec = pkg_dir / SPEC
    return ModelPackage(
        pkg_dir=pkg_dir,
        target_python=target_python,
        missing=tuple(_missing_entries(pkg_dir)),
        is_package=(pkg_dir / CODE / "__init__.py").is_file(),
        modules=tuple(
            _read_module(path, pkg_dir, target_python) for path in _module_files(pkg_dir / CODE)
        ),
        spec_module=_read_module(spec, pkg_dir, target_python) if spec.is_file() else None,
    )


def _missing_entries(pkg_dir: Path) -> Iterator[MissingEntry]:
    entries = sorted(os.listdir(pkg_dir)) if pkg_dir.is_dir() else []
    by_lower = {entry.lower(): entry for entry in entries}
    for name in DIRECTORIES + FILES:
        path, is_directory = pkg_dir / name, name in DIRECTORIES
        if path.is_dir() if is_directory else path.is_file():
            continue
        shown = f"{name}/" if is_directory else name
        if path.exists():
            yield MissingEntry(shown, "a file" if is_directory else "a directory")
        elif path.is_symlink():
            yield MissingEntry(shown, "a link that leads nowhere")
        else:
            # A name in another letter case is found by the author's file system, not by the hub's.
            yield MissingEntry(shown, by_lower.get(name.lower()))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and behind its links, without hidden folders and byte-code.

    Those are litter of editors and interpreters. A broken link counts as a file.
    """
    seen = set()
    for inner, names, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(inner)
        if real in seen:  # a link to a parent folder
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(n for n in names if not n.startswith(".") and n != "__pycache__")
        yield from (Path(inner, name) for name in sorted(files))


def _module_files(code: Path) -> Iterator[Path]:
    """Yield every module below `code`, also in folders without `__init__.py` and behind links."""
    for path in files_below(code):
        if path.name.endswith(".py") and not path.name.startswith("."):
            yield path


def _read_module(path: Path, pkg_dir: Path, target: tuple[int, int]) -> SourceModule:
    parts = path.relative_to(pkg_dir).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    where = Location.within(pkg_dir, path)
    try:
        source = path.read_bytes()
    except OSError as error:
        return SourceModule(path, name, where, None, f"can't be read: {error.strerror}")
    try:
        _require_decodable(source)
        return SourceModule(path, name, where, _parse(source, path, target))
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{source[error.start]:02x} is not {error.encoding}"
        return SourceModule(path, name, Location(where.path, line), None, problem)
    except SyntaxError as error:
        problem, where = error.msg, Location(where.path, error.lineno)
    except (ValueError, RecursionError, MemoryError) as error:
        # Python before 3.12 refuses null bytes with a ValueError.
        problem = str(error) or "nested too deeply for the parser"
    certain = target <= sys.version_info[:2]
    return SourceModule(path, name, where, None, problem, certain)


def _parse(source: bytes, path: Path, target: tuple[int, int]) -> ast.Module:
    """Parse bytes, so that Python itself applies the declared encoding and the line ends.

    `feature_version` refuses statements newer than the target as far as CPython checks them
    (`except*`, `type X = …`, type parameters). It accepts some newer expressions, such as quotes
    reused within an f-string: only the import in the environment finds those.
    """
    with warnings.catch_warnings():
        # An invalid escape is a warning; under -W error it would look like a syntax error.
        warnings.simplefilter("ignore")
        return ast.parse(source, filename=str(path), feature_version=target)


def _require_decodable(source: bytes) -> None:
    """Refuse bytes outside the declared encoding (UTF-8 if none is), also within comments.

    Some releases of CPython overlook them there; others, and every tool that shows the source,
    do not.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    except SyntaxError:
        source.decode("utf-8")  # reports which byte; an unknown encoding is raised below
        raise
    source.decode(encoding)


# -------------------------------------------------------------------------------- readable files
#
# The preconditions of rules on the source; if one is missing, another rule reports that.


def require_code(package: ModelPackage) -> None:
    """Raise Blocked without model_code."""
    if package.lacks(CODE):
        raise Blocked("VCP101")


def require_data(package: ModelPackage) -> None:
    """Raise Blocked without model_data."""
    if package.lacks(DATA):
        raise Blocked("VCP101")


def require_parsed(package: ModelPackage) -> None:
    """Raise Blocked if a module of model_code can't be parsed, Unverified if it can't be here."""
    require_code(package)
    if any(not module.certain for module in package.unparsed):
        raise Unverified("a module of model_code is in syntax newer than the Python that looks")
    if package.unparsed:
        raise Blocked("VCP102")


# ------------------------------------------------------------------------------------ text files
#
# The decoding of text files, in the encodings that editors and shells write.

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BEGINNING = 1024


def decode(content: bytes) -> str:
    """Decode the content of a file; invalid bytes become replacement characters."""
    if content.startswith(_UTF_16):  # what a Windows shell's redirect writes
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


def is_binary(beginning: bytes) -> bool:
    """Return whether a file with this beginning is binary: it has null bytes and is not UTF-16."""
    return b"\0" in beginning[:_BEGINNING] and not beginning.startswith(_UTF_16)
