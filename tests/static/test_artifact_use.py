"""Which artifacts loading reads in every case, and that they are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from pytest_vcp.rules.outcomes import Violation
from tests.static.judging import StaticSettings, judge
from tests.static.written import WRAPPER, violation

# Bodies of load_context, and the keys that they read in every case.
BODIES: dict[str, tuple[str, ...]] = {
    "self.a = context.artifacts['a']": ("a",),
    "self.a, self.b = open(context.artifacts['a']), context.artifacts['b']": ("a", "b"),
    "with open(context.artifacts['a']) as file:\n    self.b = context.artifacts['b']": ("a", "b"),
    "paths = context.artifacts\nself.a = paths['a']": ("a",),
    "self.a = context.artifacts.get('a')": (),
    "if 'a' in context.artifacts:\n    self.a = context.artifacts['a']": (),
    "self.a = context.artifacts['a'] if context.model_config else None": (),
    "try:\n    self.a = context.artifacts['a']\nexcept KeyError:\n    pass": (),
    "for name in context.artifacts:\n    self.a = context.artifacts[name]": (),
    "if context.model_config:\n    return\nself.a = context.artifacts['a']": (),
    "self.load = lambda: context.artifacts['a']": (),
    "def later():\n    return context.artifacts['a']\nself.load = later": (),
    "self.artifacts = {'a': 1}\nself.a = self.artifacts['a']": (),
    "name = 'a'\nself.a = context.artifacts[name]": (),
}


def loading(package: Path, body: str) -> None:
    """Give the model class another load_context."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    name = "PbmcPcaMLflowModel"
    append_text(
        package / WRAPPER,
        f"\n\nclass {name}({name}):\n    def load_context(self, context):\n{lines}\n",
    )


@pytest.mark.parametrize(("body", "keys"), BODIES.items())
def test_what_is_read_in_every_case_is_given(
    reference: Path, body: str, keys: tuple[str, ...]
) -> None:
    loading(reference, body)
    settings = StaticSettings(reference)
    if not keys:
        assert judge(settings)["VCP117"] is None
        return
    told = violation(settings, "VCP117")
    assert told.expected == f"an artifact named {keys[0]}, which load_context reads"
    assert told.found.startswith("checkpoint")
    all_given = tuple((key, "pcs50") for key in keys)
    assert judge(replace(settings, artifacts=all_given))["VCP117"] is None


def test_one_artifact_is_demanded(reference: Path) -> None:
    outcome = judge(StaticSettings(reference, artifacts=()))["VCP117"]
    assert isinstance(outcome, Violation)
    assert outcome.found == "none"


def test_two_names_for_one_path_are_legal(reference: Path) -> None:
    both = (("checkpoint", "pcs50"), ("again", "pcs50"))
    assert judge(StaticSettings(reference, artifacts=both))["VCP115"] is None


@pytest.mark.parametrize(
    ("parameters", "needs"),
    [
        ("self", None),
        ("self, model_config=None", None),
        ("self, *args, **kwargs", None),
        ("self, model_config", "model_config"),
        ("self, a, b=1", "a"),
        ("self, *, depth", "depth"),
        ("self, *, depth=3", None),
    ],
)
def test_a_constructor_without_required_arguments(
    reference: Path, parameters: str, needs: str | None
) -> None:
    name = "PbmcPcaMLflowModel"
    append_text(
        reference / WRAPPER,
        f"\n\nclass {name}({name}):\n    def __init__({parameters}):\n        super().__init__()\n",
    )
    if needs is None:
        assert judge(StaticSettings(reference))["VCP118"] is None
    else:
        assert f"needs {needs}" in violation(StaticSettings(reference), "VCP118").found


READS = (
    "self.weights = np.load(context.artifacts['weights'])\n"
    "self.genes = json.load(open(context.artifacts['genes']))"
)
SWAPPED: dict[str, tuple[str, tuple[tuple[str, str], ...], bool]] = {
    "what reads them": (READS, (("weights", "genes.json"), ("genes", "pca.npz")), True),
    "with a third": (
        f"{READS}\nself.a = context.artifacts['a']",
        (("a", "a"), ("weights", "deep/genes.json"), ("genes", "deep/pca.npz")),
        True,
    ),
    "their names": (
        "self.net = Net(context.artifacts['encoder'], context.artifacts['decoder'])",
        (("encoder", "decoder.pt"), ("decoder", "encoder.pt")),
        False,
    ),
}
NOT_SWAPPED: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "as they are read": (READS, (("weights", "pca.npz"), ("genes", "genes.json"))),
    "one of a name of its own": (READS, (("weights", "pca.npz"), ("genes", "genes.txt"))),
    "both of names of their own": (READS, (("weights", "one.dat"), ("genes", "two.dat"))),
    "one reader is not known": (
        READS.replace("np.load", "read"),
        (("weights", "genes.json"), ("genes", "pca.npz")),
    ),
    "one file for both": (READS, (("weights", "all.npz"), ("genes", "all.npz"))),
    "one is named as the other": (
        "self.net = Net(context.artifacts['encoder'], context.artifacts['decoder'])",
        (("encoder", "decoder.pt"), ("decoder", "decoder.pt")),
    ),
}


@pytest.mark.parametrize("case", SWAPPED)
def test_two_that_are_swapped_are_told(reference: Path, case: str) -> None:
    body, artifacts, binds = SWAPPED[case]
    loading(reference, body)
    told = judge(StaticSettings(reference, artifacts=artifacts))["VCP117"]
    assert isinstance(told, Violation)
    assert told.remedy == "swap the two paths"
    assert told.binds is binds
    assert str(told.where).startswith(WRAPPER)


@pytest.mark.parametrize("case", NOT_SWAPPED)
def test_two_that_are_not_swapped_are_sound(reference: Path, case: str) -> None:
    body, artifacts = NOT_SWAPPED[case]
    loading(reference, body)
    assert judge(StaticSettings(reference, artifacts=artifacts))["VCP117"] is None
