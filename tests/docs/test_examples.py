"""Every example of the pages is run by a test, or read as its reader would, or says why not.

An example is a block with a language; one without is what something prints, or a list of names.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.pages import DOCS, blocks, commands
from tests.plugin.conftest import Configure, configure, package
from tests.runs import run_vcp

__all__ = ["configure", "package"]
pytest_plugins = ["pytester"]

ROOT = DOCS.parent
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))
    if "_build" not in path.relative_to(ROOT).parts
)
HOW_TO = "docs/how-to"

# How many blocks of a page and a language are run, and by which tests.
RUN = {
    ("README.md", "console"): (1, "tests/docs/test_readme.py"),
    ("README.md", "ini"): (1, "tests/docs/test_readme.py"),
    ("README.md", "yaml"): (1, "tests/docs/test_readme.py"),
    (f"{HOW_TO}/attestation.md", "console"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/ci.md", "ini"): (1, "tests/docs/test_ci.py"),
    (f"{HOW_TO}/ci.md", "yaml"): (3, "tests/docs/test_ci.py"),
    (f"{HOW_TO}/environments.md", "console"): (2, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/environments.md", "yaml"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/expected.md", "console"): (3, "tests/docs/test_expected.py"),
    (f"{HOW_TO}/expected.md", "yaml"): (1, "tests/docs/test_expected.py"),
    (f"{HOW_TO}/figures.md", "console"): (1, "tests/docs/test_figures.py"),
    (f"{HOW_TO}/gatekeeper.md", "console"): (2, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/lock.md", "console"): (2, "tests/locking/test_page.py"),
    (f"{HOW_TO}/own-tests.md", "console"): (3, "tests/docs/test_own_tests.py"),
    (f"{HOW_TO}/own-tests.md", "ini"): (1, "tests/docs/test_own_tests.py"),
    (f"{HOW_TO}/own-tests.md", "python"): (6, "tests/docs/test_own_tests.py"),
    (f"{HOW_TO}/policy.md", "console"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/policy.md", "yaml"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/pythons.md", "console"): (2, "tests/docs/test_pythons.py"),
    (f"{HOW_TO}/pythons.md", "ini"): (1, "tests/docs/test_pythons.py"),
    (f"{HOW_TO}/pythons.md", "json"): (1, "tests/docs/test_pythons.py"),
    (f"{HOW_TO}/pythons.md", "yaml"): (1, "tests/docs/test_pythons.py"),
    (f"{HOW_TO}/submitting.md", "console"): (1, "tests/docs/test_ci.py"),
    (f"{HOW_TO}/tracking.md", "console"): (1, "tests/docs/test_tracking_page.py"),
    (f"{HOW_TO}/tracking.md", "python"): (1, "tests/docs/test_tracking_page.py"),
    (f"{HOW_TO}/variants.md", "console"): (2, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/variants.md", "python"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/variants.md", "yaml"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/waivers.md", "console"): (2, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/waivers.md", "ini"): (1, "tests/docs/test_pages_for_hubs.py"),
    (f"{HOW_TO}/waivers.md", "yaml"): (1, "tests/docs/test_pages_for_hubs.py"),
    ("docs/rules/VCP109.md", "yaml"): (2, "tests/docs/test_examples.py"),
}
# Commands whose settings are resolved as a run does it, and that go no further.
RESOLVED = {
    (f"{HOW_TO}/ci.md", "pytest --vcp-require-gpu"): "needs a GPU",
    (f"{HOW_TO}/environments.md", "pytest --vcp-env-manager=conda"): "needs conda",
    (f"{HOW_TO}/environments.md", "pytest --vcp-env-manager=local"): "needs MLflow beside pytest",
    (f"{HOW_TO}/tracking.md", "pytest --vcp-tracking-uri"): "a server runs for tests/tracking",
    ("docs/rules/VCP714.md", "pytest --vcp-variant=pcs50"): "runs for the page expected.md",
}
# What is neither run nor read, by page and first words.
LEFT = {
    ("README.md", "python -m pip install tox"): "is the demo and the tests; .ci/run runs it",
    ("CONTRIBUTING.md", "python -m pip install tox"): "is the tests themselves",
    ("CONTRIBUTING.md", "python -m tox run -e docs"): "is an environment of the tests themselves",
    (f"{HOW_TO}/attestation.md", "cosign attest-blob"): "needs an identity at a service outside",
    (f"{HOW_TO}/attestation.md", "python -m pip install sigstore"): "needs an identity, too",
    ("docs/rules/VCP102.md", "type Matrix"): "shows what an older Python does not parse",
    ("docs/rules/VCP803.md", "mlflow models predict"): "is what the rule itself runs",
    ("docs/rules/VCP907.md", "python -c"): "asks the torch of a model's environment",
}
# Fragments before and after the remedy of a rule: each is parsed, and needs the rest of a package.
FRAGMENTS = "docs/rules/VCP"


class Example(NamedTuple):
    """One block with a language."""

    page: str
    language: str
    text: str

    def is_in(self, known: dict[tuple[str, str], str]) -> bool:
        return any(self.page == page and self.text.startswith(first) for page, first in known)


def examples() -> Iterator[Example]:
    for path in PAGES:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        for language in sorted(set(re.findall(r"^```([a-z]+)$", text, re.MULTILINE))):
            yield from (Example(name, language, found) for found in blocks(path, language))


ALL = tuple(examples())
READ = [
    pytest.param(entry, id=f"{entry.page}-{number}")
    for number, entry in enumerate(ALL)
    if entry.page.startswith(FRAGMENTS)
    and entry.language in ("python", "json")
    and not entry.is_in(LEFT)
]


def test_every_example_is_accounted_for() -> None:
    told = {**RESOLVED, **LEFT}
    fragments = {entry for parameters in READ for entry in parameters.values}
    rest = [entry for entry in ALL if entry not in fragments and not entry.is_in(told)]
    found = Counter((entry.page, entry.language) for entry in rest)
    assert found == {key: number for key, (number, _) in RUN.items()}


def test_no_account_is_of_what_is_gone() -> None:
    for page, first in (*RESOLVED, *LEFT):
        assert any(entry.is_in({(page, first): ""}) for entry in ALL), (page, first)
    for (page, _), (_, tests) in RUN.items():
        assert Path(page).name in (ROOT / tests).read_text(encoding="utf-8"), (page, tests)


@pytest.mark.parametrize("example", READ)
def test_a_fragment_of_a_rule_is_of_its_language(example: Example) -> None:
    if example.language == "json":
        json.loads(example.text)
    else:
        ast.parse(textwrap.dedent(example.text))


@pytest.mark.parametrize(("page", "first"), RESOLVED, ids=lambda text: text)
def test_the_settings_of_a_command(configure: Configure, page: str, first: str) -> None:
    found = [words for words in commands(ROOT / page) if " ".join(words).startswith(first)]
    for words in found:
        by_variant = any(word.startswith("--vcp-variant") for word in words)
        settings = configure(*words[1:], **({"model_class": ""} if by_variant else {}))
        given = {word.partition("=")[0].removeprefix("--vcp-") for word in words[1:]}
        assert {settings.sources[name] for name in given} == {"option"}
    assert found


def test_the_variants_of_a_metadata_file(package: Path) -> None:
    before, after = blocks(DOCS / "rules" / "VCP109.md", "yaml")
    (package / "model_data" / "pcs50").rename(package / "model_data" / "human")
    for text, outcome in ((before, "failed"), (after, "passed")):
        (package / "metadata.yaml").write_text(text, encoding="utf-8")
        run = run_vcp(package, ["--vcp-variant=human", "-k", "vcp109"])
        assert run.outcomes["VCP109"] == outcome, run.output
