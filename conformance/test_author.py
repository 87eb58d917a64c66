"""Section 1, continued: what the author writes beside the code: the licence and the variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vcp.rules.outcomes import Location, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.source.licence import Licence
from pytest_vcp.source.metadata import Metadata, VariantEntry
from pytest_vcp.source.packager_arguments import short

if TYPE_CHECKING:
    from pytest_vcp.settings.resolved import Settings

# Characters of a value that a message has room for.
_WIDEST = 105
_EXAMPLE = "--model-class model_code.my_model:MyModel --artifact weights=weights"


@rule("VCP107")
def test_vcp107_there_is_a_licence(vcp_settings: Settings, vcp_licence: Licence) -> None:
    """A completed licence file is present."""
    wanted = vcp_settings.policy.licence_files[0]
    if not vcp_licence.files:
        near = f"rename {vcp_licence.near[0]} to {wanted}" if vcp_licence.near else ""
        raise Violation(
            expected=f"a licence in the package directory, as {wanted}",
            received=f"{vcp_licence.near[0]}, a name that the hub does not look for"
            if vcp_licence.near
            else "no licence file",
            remedy=near or f"write the licence of the code and the weights into {wanted}",
            where=Location(vcp_licence.near[0] if vcp_licence.near else wanted),
        )
    for file in vcp_licence.files:
        if file.is_empty:
            raise Violation(
                expected="the text of a licence",
                received="an empty file",
                remedy="write the licence of the code and the weights into it",
                where=file.where,
            )
        if file.placeholder is not None:
            raise Violation(
                expected="a licence that is filled in: who holds the copyright, and since when",
                received=f"{file.placeholder.text!r}, which is the template's",
                remedy="write what belongs there: the year, the holder, the text of the licence",
                where=file.placeholder.where,
            )


@rule("VCP109")
def test_vcp109_every_variant_can_be_packaged(
    vcp_settings: Settings, vcp_metadata: Metadata | None
) -> None:
    """The metadata file parses, and each variant in it names a class and at least one artifact.

    One without variants is sound: the run is told elsewhere what to package.
    """
    if vcp_metadata is None:
        return
    if vcp_metadata.problem is not None:
        raise Violation(
            expected="a metadata file that can be read",
            received=vcp_metadata.problem,
            remedy=vcp_metadata.remedy,
            where=vcp_metadata.where,
        )
    for entry in vcp_metadata.variants:
        _require_usable(entry)
    if vcp_settings.metadata_problems:
        place, problem = vcp_settings.metadata_problems[0]
        value, _, said = problem.partition(" is not usable; ")
        why, _, remedy = said.rpartition("; ")
        found = f"{_cut(value, _WIDEST - len(why) - 2)}: {why}" if why else _cut(value)
        raise Violation(
            expected="arguments that the packager can use, in every variant",
            received=f"{_cut(found)}{and_others(len(vcp_settings.metadata_problems))}",
            remedy=_cut(remedy) or "correct it, or delete the variant",
            where=Location(place),
        )
    for entry in vcp_metadata.variants:
        if entry.arguments.skip_inference:
            raise Violation(
                expected="arguments that leave no forward pass out",
                received=f"--skip-inference for {short(entry.name)}, which is not heeded here",
                remedy="delete it: the hub predicts with every model",
                where=entry.where,
                binds=False,
            )


def _require_usable(entry: VariantEntry) -> None:
    said = entry.arguments
    expected = f"a class and at least one artifact for the variant {short(entry.name)}"
    if entry.is_placeholder:
        found = "the placeholder of the template"
        remedy = f"name the variant, and write what it needs: {_EXAMPLE}"
    elif entry.problem is not None:
        expected = f"arguments that the packager can read, for the variant {short(entry.name)}"
        found, remedy = entry.problem, entry.remedy
    elif said.model_class is None:
        found, remedy = "no --model-class", "add --model-class MODULE:CLASS"
    elif not said.artifacts:
        found = "no --artifact"
        remedy = "add --artifact NAME=PATH; PATH begins below model_data/, as in weights=pcs50"
    else:
        return
    raise Violation(
        expected=expected,
        received=found,
        remedy=remedy,
        where=entry.where,
    )


def _cut(text: str, widest: int = _WIDEST) -> str:
    return text if len(text) <= widest else f"{text[: max(widest, 40) - 3]}..."
