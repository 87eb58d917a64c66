"""report.html: the verdict with all its details, for people, in one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import FileSystemLoader, StrictUndefined, Template
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from pytest_vcp import __version__
from pytest_vcp.report.drawings import draw
from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.rules.suite import page

if TYPE_CHECKING:
    pass

# The template and the style lie beside this module.
HERE = Path(__file__).parent
_TEMPLATE = "report.html.jinja"
_WORDS = {
    "conformant": "Every required rule holds, apart from those listed as unverified.",
    "unverified": "Nothing is broken, but a rule that has to be judged could not be.",
    "nonconformant": "A required rule is broken.",
    "error": "The tool or its surroundings failed: nothing is said about the package.",
}
# By the first digit of an id.
_SECTIONS = {
    "1": "Layout",
    "2": "Requirements",
    "3": "Environment",
    "4": "Signature",
    "5": "Example",
    "6": "Artifact",
    "7": "Forward pass",
    "8": "Serving",
    "9": "Device",
}
# A rule is shown with the first of these outcomes that it has for a variant.
WORST = ("error", "failed", "advice", "waived", "skipped", "unverified", "passed")
_BROKEN = WORST[:2]
# Parts that are shown once where variants do not differ in them.
_OFTEN_THE_SAME = ("unverified", "signature")


@dataclass(frozen=True)
class RuleEntry:
    """A rule with its outcome for each variant, or one without a name where all are the same."""

    id: str
    title: str
    level: str
    kind: str
    outcomes: tuple[tuple[str, Mapping[str, str]], ...]


@dataclass(frozen=True)
class Section:
    """The rules of one section of the standard, and the number of rules with each outcome."""

    title: str
    rules: tuple[RuleEntry, ...]

    @property
    def counts(self) -> list[tuple[str, int]]:
        return _count([rule.kind for rule in self.rules])

    @property
    def is_open(self) -> bool:
        """Whether the section is initially expanded: one of its rules is broken."""
        return any(rule.kind in _BROKEN for rule in self.rules)


def render(report: Mapping[str, Any], more: Mapping[str, Mapping[str, Any]]) -> str:
    """Render the page from `report`, the content of report.json, and `more` on each variant.

    `more` has the model's name, the rules that prevent conformance (`broken`) in order of repair,
    the work that is certain to follow (`foreseen`), `gaps`, the results of `describe_variant`, and
    the `pictures`.
    """
    values = {
        "report": report,
        "variants": _variants(report["variants"], more),
        "lock": _shared_fact(more, "lock"),
        "environment": _shared_fact(more, "environment"),
    }
    return template().render(
        **values,
        parts=_parts(values),
        several=len(report["variants"]) > 1,
        sections=_sections(report["variants"]),
        page=rule_page,
        words=_WORDS,
        version=__version__,
    )


@cache
def template() -> Template:
    """Load and compile the template of the page."""
    environment = jinja2.Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=format_bytes, seconds=format_seconds)
    return environment.get_template(_TEMPLATE)


def _parts(page: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles of the parts of the page that have content, by id."""
    variants = page["variants"]

    def has(*keys: str) -> bool:
        return any(variant[key] for variant in variants for key in keys)

    parts = {
        "to-do": ("To do", has("has_to_do")),
        "advice": ("Advice", has("advice")),
        "waived": ("Waived", has("waived")),
        "waivers": ("About the waivers", bool(page["report"]["waivers"])),
        "unverified": ("Unverified", has("unverified")),
        "rules": ("Rules", True),
        "signature": ("Signature and params", has("signature", "outputs")),
        "pictures": ("Pictures of the output", has("pictures")),
        "artifact": ("Files of the artifact", has("files")),
        "environment": ("Environment and lock", bool(page["lock"] or page["environment"])),
        "figures": ("Figures", has("figures")),
    }
    return {id_: title for id_, (title, is_there) in parts.items() if is_there}


def _variants(
    variants: Mapping[str, Mapping[str, Any]], more: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Prepare each variant for the page; a finding is shown in full for the first with it."""
    found: list[dict[str, Any]] = []
    known: list[Mapping[str, str]] = []
    for name, values in variants.items():
        variant = _variant(name, values, more[name])
        to_do = variant["to_do"]
        variant["as_above"] = [entry["id"] for entry in to_do if entry in known]
        variant["to_do"] = [entry for entry in to_do if entry not in known]
        known += to_do
        variant["same"] = {key: _first_with(found, key, variant[key]) for key in _OFTEN_THE_SAME}
        found.append(variant)
    return found


def _first_with(variants: Sequence[Mapping[str, Any]], key: str, value: Any) -> str:
    """Return the name of the first variant with this value; empty without a variant or value."""
    same = (variant["name"] for variant in variants if value and variant[key] == value)
    return next(same, "")


def _variant(name: str, values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Combine all fields of the report on a variant with lists derived from them."""
    rules = values["rules"]
    named = {rule: {**entry, "id": rule} for rule, entry in rules.items()}
    others = [entry for rule, entry in named.items() if rule not in more["broken"]]
    figures = values["figures"]
    return {
        **values,
        **more,
        "name": name,
        "has_to_do": bool(more["broken"] or more["gaps"]),
        "counts": _count([entry["outcome"] for entry in rules.values()]),
        "to_do": [named[rule] for rule in more["broken"]],
        "advice": [entry for entry in others if entry["outcome"] == "advice"],
        "waived": [entry for entry in others if entry["outcome"] == "waived"],
        "unverified": _by_reason(rules),
        "pictures": _pictures(more["pictures"]),
        "signature": more.get("signature"),
        "tree": more.get("tree"),
        "files": file_tree(more["tree"]["files"]) if "tree" in more else None,
        "bars": figure_groups(figures, values["commands"]) if figures else [],
        "other_figures": list(other_figures(figures)) if figures else [],
    }


def _pictures(drawn: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return pictures and remarks, with a drawing of each picture that is a plot."""
    if drawn is None:
        return None
    pictures = [{**picture, "drawing": draw(picture)} for picture in drawn["pictures"]]
    return {**drawn, "pictures": pictures}


def _by_reason(rules: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Group the unverified rules by reason."""
    found: dict[str, list[str]] = {}
    for rule, entry in rules.items():
        if entry["outcome"] == "unverified":
            found.setdefault(entry["message"], []).append(rule)
    return found


def _sections(variants: Mapping[str, Mapping[str, Any]]) -> list[Section]:
    rules = [_rule(rule, variants) for rule in BY_ID]
    return [
        Section(title, tuple(rule for rule in rules if rule.id.startswith(f"VCP{digit}")))
        for digit, title in _SECTIONS.items()
    ]


def _rule(rule: str, variants: Mapping[str, Mapping[str, Any]]) -> RuleEntry:
    outcomes = {name: values["rules"][rule] for name, values in variants.items()}
    found = list(outcomes.values())
    differ = any(entry != found[0] for entry in found)
    kinds = {entry["outcome"] for entry in found}
    return RuleEntry(
        id=rule,
        title=BY_ID[rule].title,
        level=found[0]["level"],
        kind=next(kind for kind in WORST if kind in kinds),
        outcomes=tuple(outcomes.items()) if differ else (("", found[0]),),
    )


def _count(kinds: Sequence[str]) -> list[tuple[str, int]]:
    """Count the outcomes of each kind, the worst first."""
    return [(kind, kinds.count(kind)) for kind in WORST if kind in kinds]


def _shared_fact(more: Mapping[str, Mapping[str, Any]], key: str) -> Any:
    """Return a fact that all variants share, from the first that has it; None without one."""
    found: Iterator[Any] = (entry[key] for entry in more.values() if key in entry)
    return next(found, None)


# ------------------------------------------------------------------------------------ bar charts
#
# Figures as rows with bars, each in proportion to the largest of its group.

_SECONDS = {
    "import_seconds": "import",
    "load_seconds": "load",
    "forward_seconds": "first forward pass",
    "second_forward_seconds": "second forward pass",
}
_BYTES = {
    "peak_rss_bytes": "peak memory",
    "peak_device_bytes": "peak memory on the GPU",
    "artifact_bytes": "artifact",
}
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True)
class Bar:
    """One row: its label, the figure with its unit, the length of the bar in per cent."""

    label: str
    told: str
    share: float


@dataclass(frozen=True)
class Group:
    """Rows that share a scale."""

    title: str
    bars: tuple[Bar, ...]


def figure_groups(figures: Mapping[str, Any], commands: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Group the figures on time, memory, scaling and commands, without those not measured."""
    steps = figures["scaling"]
    found = (
        Group("Time", _bars_of(_name_figures(_SECONDS, figures), format_seconds)),
        Group("Memory and size", _bars_of(_name_figures(_BYTES, figures), format_bytes)),
        Group("Scaling: time of a pass", _bars_of(_of_steps(steps, "seconds"), format_seconds)),
        Group(
            "Scaling: most memory until then",
            _bars_of(_of_steps(steps, "peak_rss_bytes"), format_bytes),
        ),
        Group(
            "Scaling: memory on the GPU",
            _bars_of(_of_steps(steps, "peak_device_bytes"), format_bytes),
        ),
        Group(
            "Commands of MLflow",
            _bars_of([(entry["command"], entry["seconds"]) for entry in commands], format_seconds),
        ),
    )
    return [group for group in found if group.bars]


def other_figures(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the figures that are not compared with each other, each with its label."""
    rate = figures["rows_per_second"]
    if rate is not None:
        yield "rows per second", f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"
    yield "model loads", str(figures["model_loads"])
    yield "forward passes", str(figures["forward_passes"])


def format_seconds(figure: float) -> str:
    """Format a time for people."""
    return f"{figure:.2f} s" if figure < 100 else f"{figure:.0f} s"


def format_bytes(figure: float) -> str:
    """Format a number of bytes for people."""
    for unit, name in _UNITS:
        if figure >= unit:
            return f"{figure / unit:.{0 if figure >= 100 * unit else 1}f} {name}"
    return f"{figure:.0f} B"


def _name_figures(names: Mapping[str, str], figures: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(label, figures[key]) for key, label in names.items() if figures[key] is not None]


def _of_steps(steps: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, float]]:
    return [
        (f"{step['observations']} observations", step[key])
        for step in steps
        if step[key] is not None
    ]


def _bars_of(entries: Sequence[tuple[str, float]], format_figure: Any) -> tuple[Bar, ...]:
    greatest = max((figure for _, figure in entries), default=0.0)
    return tuple(
        Bar(label, format_figure(figure), round(100 * figure / greatest, 1) if greatest else 0.0)
        for label, figure in entries
    )


# ------------------------------------------------------------------------------------- file tree
#
# The files of an artifact as a tree of folders.


@dataclass
class Entry:
    """A file with its digest, or a folder, without a digest but with its entries."""

    name: str
    bytes: int = 0
    sha256: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)


def file_tree(files: Iterable[Mapping[str, Any]]) -> Entry:
    """Return the folder that holds all `files`, which have name, bytes and sha256."""
    root = Entry("")
    for file in files:
        *folders, name = file["name"].split("/")
        folder_entry = root
        folder_entry.bytes += file["bytes"]
        for folder in folders:
            folder_entry = folder_entry.entries.setdefault(folder, Entry(f"{folder}/"))
            folder_entry.bytes += file["bytes"]
        folder_entry.entries[name] = Entry(name, file["bytes"], file["sha256"])
    return root


# ------------------------------------------------------------------------------------ rule pages
#
# The pages of the rules as HTML that can be embedded in another page.

# The page of a rule is embedded below four levels of headings; its own title is not repeated.
_LEVEL = {"h2": "h5", "h3": "h6"}


@cache
def _parser() -> MarkdownIt:
    """Create a parser that takes HTML in a page as text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


@cache
def rule_page(rule: str) -> Markup:
    """Render the page of a rule without its title; of its links, those to other rules remain."""
    parser = _parser()
    tokens = parser.parse(page(rule).read_text(encoding="utf-8"))
    if tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]  # Its opening, text and closing.
    for token in tokens:
        token.tag = _LEVEL.get(token.tag, token.tag)
        if token.children:
            token.children = list(_links_within(token.children))
    # The renderer escapes everything, since HTML in Markdown is disabled.
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _links_within(tokens: list[Token]) -> Iterator[Token]:
    """Remove all links but those to rules, since other pages are not in this file."""
    leads_on = False
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrGet("href")).removesuffix(".md")
            leads_on = target in BY_ID
            token.attrSet("href", f"#{target}")
        if token.type not in ("link_open", "link_close") or leads_on:
            yield token
