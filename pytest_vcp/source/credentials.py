"""Credentials in the files to package: code, requirements, metadata, and small text files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import (
    CODE,
    DATA,
    ModelPackage,
    SourceModule,
    decode,
    files_below,
    is_binary,
)

_AT_THE_TOP = re.compile(r"(?:model_spec\.py|requirements.*\.(?:in|txt))")
# In model_data only files that people write, and only tokens: vocabularies contain every word.
_DATA_SUFFIXES = frozenset((".cfg", ".conf", ".csv", ".env", ".ini", ".json", ".md", ".toml"))
_DATA_SUFFIXES |= {".txt", ".tsv", ".yaml", ".yml"}
# Calls that take a name and a value for it, or a default value.
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
    """A secret: its kind, with the value masked, and its location."""

    kind: str
    where: Location


@dataclass(frozen=True)
class Credentials:
    """The secrets found. `complete` is false if there were too many files to read them all."""

    found: tuple[Credential, ...]
    complete: bool


def read_credentials(package: ModelPackage, metadata_files: tuple[str, ...]) -> Credentials:
    """Look for secrets, at most one for each line."""
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
        if (path.suffix or path.name).lower() in _DATA_SUFFIXES:  # `.env` has no suffix
            yield path


def _is_data(path: Path, pkg_dir: Path) -> bool:
    return path.relative_to(pkg_dir).parts[0] == DATA


def _secrets(path: Path, module: SourceModule | None, is_data: bool) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of every secret in one file."""
    try:
        content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b"\0"
    except OSError:  # a broken link, or no permission
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
                yield line, _find_given(found["name"], found["value"])


def _assigned(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for name, value in _named_values(node):
            text = _text(value)
            if value is not None and is_secret(name, text):
                yield value.lineno, _find_given(name, text)


def _named_values(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names to which a piece of code assigns values, with the values."""
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


def _find_given(name: str, value: str) -> str:
    return f"a value for {name[:40]}, {mask(value)}"


# --------------------------------------------------------------------------------- secret shapes
#
# The signs of a credential in a text: the shape of a token, or the name it is assigned to.


class _Shape(NamedTuple):
    """Tokens of one kind: `sign` is in all of them, and cheap to search for.

    `mixed` means that they have upper and lower case letters at random.
    """

    kind: str
    sign: str
    body: str
    mixed: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9_-])(?:{self.body})(?![A-Za-z0-9_-])")


_SHAPES = (
    _Shape("an AWS access key", "AKIA", r"AKIA[A-Z0-9]{16}"),
    _Shape("an AWS access key", "ASIA", r"ASIA[A-Z0-9]{16}"),
    _Shape("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,}", mixed=True),
    _Shape("a GitHub token", "gh", r"gh[opsur]_[A-Za-z0-9]{36,}", mixed=True),
    _Shape("a GitHub token", "github_pat_", r"github_pat_\w{50,}", mixed=True),
    _Shape("a GitLab token", "glpat-", r"glpat-[\w-]{20,}", mixed=True),
    _Shape("a Slack token", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    _Shape("an API key", "sk-", r"sk-[\w-]{20,}", mixed=True),
    _Shape("a Google API key", "AIza", r"AIza[\w-]{35}", mixed=True),
    _Shape("a PyPI token", "pypi-", r"pypi-[\w-]{50,}", mixed=True),
)
# The header alone also occurs in code that reads a key.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:\\[rn]|[\s\"'+\\])*(?:Proc-Type|[A-Za-z0-9+/]{16})"
)
_IN_URL = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"<>]*:(?P<secret>[^\s/:@'\"]+)@(?P<host>[\w.-]+)"
)
_ANY_HOST = re.compile(
    r"(?:.*\.)?(?:example(?:\.\w+)?|host(?:name)?|localhost|server)|sha256|127\.0\.0\.1"
)
_PASSWORD = re.compile(r"(?:^|_)(?:password|passwd|passphrase|secret)$")
_KEY = re.compile(
    r"(?:^|_)(?:api_?key|(?:access|secret|private|auth)_key|client_secret)$"
    r"|^token$"
    r"|(?:^|_)(?:access|api|auth|bearer|gh|github|gitlab|hf|hub|huggingface|oauth|personal|refresh"
    r"|secret|session|user|wandb)_token$"
)
_STAND_IN = re.compile(
    r"x+|\*+|\.+|(?:my|your|the|some|an?)[-_ ].*|\w*here|.*\*\*.*|.*(?:example|dummy|placeholder"
    r"|changeme|change_me|fixme|todo|redacted|insert|replace).*"
    r"|none|null|test|fake|secret|pass(?:wd|word)?\d*|pwd|token|string",
    re.IGNORECASE,
)
_FILLED_IN_LATER = re.compile(r"^\$|\$\{|\{.*\}|<.*>|^\[.*\]$|%\(|%s")
# Names, such as gene_token_dict_v1: words, at most with a number behind them.
_WORDS = re.compile(r"(?:[^\W\d_]{0,16}\d*(?:[\W_]|$))+")
_SHORT_WORD = re.compile(r"[^\W\d_][a-z]{1,5}")
_LEAST_PASSWORD = 4
_LEAST_KEY = 12
_LEAST_VARIETY = 6
# A mask that shows the beginning of a short secret would show most of it.
_LEAST_SHOWN = 16


class Secret(NamedTuple):
    """A secret in a text: `kind` in words, with enough of it for the author to identify it."""

    kind: str
    position: int


def tokens(text: str) -> Iterator[Secret]:
    """Yield tokens of a known shape, private keys, and passwords in URLs."""
    for shape in _SHAPES:
        if shape.sign in text:
            for found in shape.pattern.finditer(text):
                if _is_random(found[0], shape):
                    yield Secret(f"{shape.kind}, {mask(found[0])}", found.start())
    if "PRIVATE KEY-----" in text:
        for found in _PRIVATE_KEY.finditer(text):
            yield Secret("a private key", found.start())
    if "://" in text:
        for found in _IN_URL.finditer(text):
            is_short = len(found["secret"]) < _LEAST_PASSWORD
            if not (
                is_short or _is_stand_in(found["secret"]) or _ANY_HOST.fullmatch(found["host"])
            ):
                yield Secret(f"a password in a URL, {mask(found['secret'])}", found.start())


def is_secret(name: str, value: str) -> bool:
    """Return whether a literal for a name is likely a password or key, and not words or a path."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    is_password, is_key = _PASSWORD.search(snake), _KEY.search(snake)
    if not (is_password or is_key) or _is_stand_in(value):
        return False
    same = re.sub(r"\W", "_", value).lower() in (snake, snake.rpartition("_")[2])
    if same or re.search(r"\s", value) or re.match(r"[./~]|[a-z]+://", value):
        return False
    if re.fullmatch(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", value):  # the name of a variable
        return False
    if is_password:
        return len(value) >= _LEAST_PASSWORD and not _SHORT_WORD.fullmatch(value)
    has_both = re.search(r"\d", value) and re.search(r"[A-Za-z]", value)
    is_one = has_both and re.fullmatch(rf"[\w.=+/~-]{{{_LEAST_KEY},}}", value)
    return bool(is_one) and not _WORDS.fullmatch(value)


def mask(secret: str) -> str:
    """Return the beginning of a long secret, and nothing of a short one."""
    return f"{secret[:4]}****" if len(secret) >= _LEAST_SHOWN else "****"


def _is_random(token: str, shape: _Shape) -> bool:
    """Return whether it looks random: peptides and words have no digits, stand-ins repeat."""
    body = token[len(shape.sign) :]
    is_mixed = body != body.upper() and body != body.lower()
    return (
        any(sign.isdigit() for sign in body)
        and len(set(body)) > _LEAST_VARIETY
        and (is_mixed or not shape.mixed)
        and not token.upper().endswith("EXAMPLE")
    )


def _is_stand_in(value: str) -> bool:
    return not value or bool(_FILLED_IN_LATER.search(value) or _STAND_IN.fullmatch(value))
