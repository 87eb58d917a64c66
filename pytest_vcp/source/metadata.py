"""Facts about the metadata file: the model's name, and its variants with the packager's arguments.

YAML is parsed into nodes, not into objects: that way a tag can't build anything, every entry has
its line, and duplicate names are noticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.packager_arguments import NotArguments, VariantArguments, read_arguments
from pytest_vcp.util import yaml_text

if TYPE_CHECKING:
    from pytest_vcp.settings.policy import Placeholders, Policy

_STANDARD = "tag:yaml.org,2002:"
_TEXT = "tag:yaml.org,2002:str"
_KINDS = {
    _TEXT: "a text",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:map": "a mapping",
    "tag:yaml.org,2002:seq": "a list",
}
_AS_TEXT = "write the arguments as one text, in the lines below NAME: >-"


@dataclass(frozen=True)
class VariantEntry:
    """One variant: its arguments as written, and as parsed.

    `problem` completes "found ..." if the arguments can't be parsed, and `remedy` says what to do;
    `arguments` then have no option set. `is_placeholder` is true for the content of the untouched
    template.
    """

    name: str
    where: Location
    text: str
    arguments: VariantArguments
    is_placeholder: bool
    problem: str | None = None
    remedy: str = ""

    @property
    def line(self) -> int | None:
        """The line of the variant's name in the metadata file."""
        return self.where.line


@dataclass(frozen=True)
class Metadata:
    """A metadata file. `problem`, with its `remedy`, says why it can't be read as one.

    `where` is the file, with the line of the problem, or of the key variants. `variants` are in the
    order of the file, each name once: of duplicates the last entry counts, as in YAML, and reports
    them.
    """

    path: Path
    where: Location
    model_name: str | None = None
    variants: tuple[VariantEntry, ...] = ()
    problem: str | None = None
    remedy: str = ""

    def variant(self, name: str) -> VariantEntry | None:
        """Return the variant of this name, or None."""
        return next((entry for entry in self.variants if entry.name == name), None)


def read_metadata(pkg_dir: Path, policy: Policy) -> Metadata | None:
    """Read the first existing one of the policy's metadata files; None without one."""
    for name in policy.metadata_files:
        path = pkg_dir / name
        if path.is_file():
            try:
                return _read(path, policy.placeholders)
            except _Unreadable as problem:
                where = Location(name, problem.line)
                return Metadata(path, where, problem=problem.what, remedy=problem.remedy)
    return None


class _Unreadable(Exception):
    def __init__(self, what: str, remedy: str, line: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.line = line


def _read(path: Path, placeholders: Placeholders) -> Metadata:
    document = _document(path)
    if document is None:
        raise _Unreadable("an empty file", "write model_name and variants into it")
    top = _entries(document, "the file", "write model_name: NAME and variants: below each other")
    name, variants = top.get("model_name"), top.get("variants")
    return Metadata(
        path=path,
        where=Location(path.name, _line(variants.key) if variants else None),
        model_name=name.value.value if name and isinstance(name.value, yaml.ScalarNode) else None,
        variants=tuple(_variants(variants, path.name, placeholders)) if variants else (),
    )


def _document(path: Path) -> yaml.Node | None:
    """Return the root node of the file's only document. Raises _Unreadable."""
    try:
        content = path.read_bytes()
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except OSError as problem:
        raise _Unreadable(
            f"a file that can't be read: {problem.strerror}", "make it readable"
        ) from None
    except yaml.MarkedYAMLError as problem:
        raise _syntax_error(problem) from None
    except yaml.reader.ReaderError as problem:
        line = content.count(b"\n", 0, problem.position) + 1
        raise _Unreadable(
            f"bytes that are no text: {problem.reason}", "save the file as UTF-8", line
        ) from None
    except RecursionError:
        raise _Unreadable("YAML that is nested too deeply", "keep it flat") from None


def _syntax_error(problem: yaml.MarkedYAMLError) -> _Unreadable:
    mark = problem.problem_mark or problem.context_mark
    line = mark.line + 1 if mark else None
    if problem.problem == "mapping values are not allowed here":
        # The usual cause: unquoted JSON with a space after a colon, on the line of the variant's
        # name.
        return _Unreadable(
            "a second ': ' in one line, which YAML takes for a key",
            "put the arguments, as they are, into the lines below NAME: >-",
            line,
        )
    if problem.problem and "'\\t'" in problem.problem:
        return _Unreadable(
            "a tab, which YAML does not take for a blank", "indent with spaces", line
        )
    fault = f"a fault in the YAML: {problem.problem}"
    return _Unreadable(fault, "correct this line, or the one above", line)


@dataclass(frozen=True)
class _Entry:
    """A key with its value, and the lines of earlier entries with the same key."""

    key: yaml.Node
    value: yaml.Node
    earlier: tuple[int, ...]


def _entries(node: yaml.Node, what: str, remedy: str) -> dict[str, _Entry]:
    """Return the entries of a mapping, by key. Raises _Unreadable if the node is no mapping."""
    if not isinstance(node, yaml.MappingNode):
        raise _Unreadable(f"{what} is {_kind(node)}", remedy, _line(node))
    found: dict[str, _Entry] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Unreadable(f"a name that is {_kind(key)}", "write it as a text", _line(key))
        before = found.pop(key.value, None)
        earlier = (*before.earlier, _line(before.key)) if before else ()
        found[key.value] = _Entry(key, value, earlier)
    return found


def _variants(variants: _Entry, file: str, placeholders: Placeholders) -> Iterator[VariantEntry]:
    if variants.earlier:
        raise _Unreadable(
            f"variants twice, first in line {variants.earlier[0]}",
            "put all variants under one",
            _line(variants.key),
        )
    if variants.value.tag == "tag:yaml.org,2002:null":
        return
    remedy = "write NAME: >- below it, and the arguments below that"
    for name, entry in _entries(variants.value, "the value of variants", remedy).items():
        where = Location(file, _line(entry.key))
        text = entry.value.value if isinstance(entry.value, yaml.ScalarNode) else ""
        untouched = text.strip() == placeholders.command
        is_placeholder = untouched or name == placeholders.variant
        try:
            _require_usable(name, entry)
            arguments = VariantArguments() if untouched else read_arguments(text)
            yield VariantEntry(name, where, text, arguments, is_placeholder)
        except NotArguments as problem:
            yield VariantEntry(
                name,
                where,
                text,
                VariantArguments(),
                is_placeholder,
                problem.what,
                problem.remedy,
            )


def _require_usable(name: str, entry: _Entry) -> None:
    if entry.earlier:
        lines = ", ".join(map(str, [*entry.earlier, _line(entry.key)]))
        raise NotArguments(
            f"the variant given twice, in lines {lines}", "give each variant its own name"
        )
    # The artifacts of several variants lie in folders of these names.
    if not name.strip() or name in (".", "..") or set("/\\") & set(name) or not name.isprintable():
        raise NotArguments(f"the name {name!r}, which no folder can have", "give it another name")
    if entry.value.tag != _TEXT:
        kind = _kind(entry.value)
        raise NotArguments(f"{kind} in place of the arguments", _AS_TEXT)


def _kind(node: yaml.Node) -> str:
    return _KINDS.get(node.tag, f"a value with the tag {node.tag.replace(_STANDARD, '!!')}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


# ------------------------------------------------------------------------------------ model card
#
# The model card beside the package: whether it says that the model needs a GPU.

_KEY = "compute_requirement"


def says_gpu(card: Path) -> bool:
    """Return whether the metadata of the card has ``compute_requirement: "GPU"``.

    A missing or unreadable card counts as no.
    """
    try:
        front_matter = yaml_text.load(card.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    requirement = front_matter.get(_KEY) if isinstance(front_matter, dict) else None
    return isinstance(requirement, str) and requirement.strip().upper() == "GPU"
