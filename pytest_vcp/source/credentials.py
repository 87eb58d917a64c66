"""Credentials in what would be packaged: the code, the requirements, the metadata, small texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pytest_vcp.rulebook.violations import Location
from pytest_vcp.source.package import CODE, DATA, ModelPackage, SourceModule, files_below
from pytest_vcp.source.secret_shapes import is_secret, mask, tokens
from pytest_vcp.source.texts import decode, is_binary

_AT_THE_TOP = re.compile(r"(?:model_spec\.py|requirements.*\.(?:in|txt))")
# In model_data only files that people write, and only tokens: vocabularies have every word.
_DATA_SUFFIXES = frozenset((".cfg", ".conf", ".csv", ".env", ".ini", ".json", ".md", ".toml"))
_DATA_SUFFIXES |= {".txt", ".tsv", ".yaml", ".yml"}
# Calls that are given a name and a value for it, or a value for want of one.
_WITH_VALUE = ("get", "getenv", "putenv", "setdefault")
_MOST_BYTES = 1_000_000
_MOST_FILES = 2_000
_PAIRS = (
    re.compile(r"""["'](?P<name>[\w-]+)["']\s*:\s*["'](?P<value>[^"'\n]+)["']"""),
    re.compile(
        r"""^\s*(?:export\s+)?(?P<name>[\w-]+)\s*[:=]\s*(?P<quote>["']?)"""
        r"""(?P<value>(?!#)[^"'\s]+)(?P=quote)\s*(?:(?<=\s)#.*)?$""",
        re.MULTILINE,
    ),
)


@dataclass(frozen=True)
class Credential:
    """A secret: what kind, masked, and where it stands."""

    kind: str
    where: Location


@dataclass(frozen=True)
class Credentials:
    """What was found. `complete` is false where there were too many files to read them all."""

    found: tuple[Credential, ...]
    complete: bool


def read_credentials(package: ModelPackage, metadata_files: tuple[str, ...]) -> Credentials:
    """Look for secrets, one for each line at most."""
    modules = {module.path: module for module in (*package.modules, package.spec_module) if module}
    files = _files(package.pkg_dir, metadata_files)
    found: dict[tuple[str, int], Credential] = {}
    for path in islice(files, _MOST_FILES):
        for line, kind in _secrets(path, modules.get(path), _is_data(path, package.pkg_dir)):
            where = Location.within(package.pkg_dir, path, line)
            found.setdefault((where.path, line), Credential(kind, where))
    return Credentials(tuple(found.values()), complete=next(files, None) is None)


def _files(pkg_dir: Path, metadata_files: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(pkg_dir.iterdir()):
        if path.is_file() and (path.name in metadata_files or _AT_THE_TOP.fullmatch(path.name)):
            yield path
    # Reading a named pipe would not end.
    yield from filter(Path.is_file, files_below(pkg_dir / CODE))
    for path in filter(Path.is_file, files_below(pkg_dir / DATA)):
        if (path.suffix or path.name).lower() in _DATA_SUFFIXES:  # `.env` is all name
            yield path


def _is_data(path: Path, pkg_dir: Path) -> bool:
    return path.relative_to(pkg_dir).parts[0] == DATA


def _secrets(path: Path, module: SourceModule | None, is_data: bool) -> Iterator[tuple[int, str]]:
    """Line and kind of every secret in one file."""
    try:
        content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b"\0"
    except OSError:  # a broken link, or not the author's to read
        return
    if is_binary(content):
        return
    text = decode(content)
    for token in tokens(text):
        yield text.count("\n", 0, token.position) + 1, token.kind
    if is_data:
        return
    if module is not None and module.tree is not None:
        yield from _assigned(module.tree)
    elif path.suffix != ".py":
        for found in (match for pattern in _PAIRS for match in pattern.finditer(text)):
            if is_secret(found["name"], found["value"]):
                line = text.count("\n", 0, found.start("name")) + 1
                yield line, _given_to(found["name"], found["value"])


def _assigned(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for name, value in _named_values(node):
            text = _text(value)
            if value is not None and is_secret(name, text):
                yield value.lineno, _given_to(name, text)


def _named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a piece of code gives values to, with the values."""
    if isinstance(node, ast.Assign):
        yield from ((name, node.value) for target in node.targets if (name := _name(target)))
    elif isinstance(node, ast.AnnAssign):
        yield _name(node.target), node.value
    elif isinstance(node, ast.keyword):
        yield node.arg or "", node.value
    elif isinstance(node, ast.Dict):
        yield from ((_text(key), value) for key, value in zip(node.keys, node.values, strict=True))
    elif isinstance(node, ast.arguments):
        named = [*node.posonlyargs, *node.args]
        yield from _defaults(named[len(named) - len(node.defaults) :], node.defaults)
        yield from _defaults(node.kwonlyargs, node.kw_defaults)
    elif isinstance(node, ast.Call) and _name(node.func) in _WITH_VALUE and len(node.args) > 1:
        yield _text(node.args[0]), node.args[1]
    elif isinstance(node, ast.Call) and _name(node.func) == "login":
        yield from (("api_key", word.value) for word in node.keywords if word.arg == "key")


def _defaults(
    arguments: list[ast.arg], defaults: list[ast.expr] | list[ast.expr | None]
) -> Iterator[tuple[str, ast.expr | None]]:
    yield from ((argument.arg, value) for argument, value in zip(arguments, defaults, strict=True))


def _name(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript):
        return _text(target.slice)
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _text(node: ast.expr | None) -> str:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else ""


def _given_to(name: str, value: str) -> str:
    return f"a value for {name[:40]}, {mask(value)}"
