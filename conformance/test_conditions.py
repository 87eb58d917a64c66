"""Section 7, surroundings: no network, nothing to write to but what is temporary."""

from __future__ import annotations

from pytest_vcp.evaluation.prediction import ProcessChange
from pytest_vcp.evaluation.relaxation import Requirement, Writing
from pytest_vcp.rules.outcomes import Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others


@rule("VCP702")
def test_vcp702_model_needs_no_network(vcp_network_requirement: Requirement | None) -> None:
    """The artifact loads and predicts with the network off."""
    if vcp_network_requirement is not None:
        raise Violation(
            expected="the artifact loads and predicts with the network off",
            received=told(vcp_network_requirement, "asked for"),
            remedy="put what is downloaded into model_data/ and declare it as an artifact",
            where=vcp_network_requirement.where,
        )


@rule("VCP703")
def test_vcp703_model_writes_to_temporary_places_only(vcp_writing: Writing) -> None:
    """The artifact loads and predicts from read-only files, and writes only temporary ones."""
    requirement, changed, shared = vcp_writing.requirement, vcp_writing.changed, vcp_writing.shared
    if requirement is not None:
        raise Violation(
            expected="loading and predicting where only temporary directories can be written to",
            received=told(requirement, "tried to write"),
            remedy="write into a directory from the tempfile module",
            where=requirement.where,
        )
    if changed:
        raise Violation(
            expected="the artifact is after a prediction what it was before",
            received=f"{changed[0]}, which the model changed{and_others(len(changed))}",
            remedy="write into a directory from the tempfile module",
        )
    if shared:
        raise Violation(
            expected="temporary files in a directory of the process's own",
            received=f"{shared[0]}, which two processes would both write{and_others(len(shared))}",
            remedy="write into a directory from the tempfile module",
            binds=False,
        )


@rule("VCP720")
def test_vcp720_model_needs_no_home(vcp_home_requirement: Requirement | None) -> None:
    """The artifact loads and predicts without a writable home directory."""
    if vcp_home_requirement is not None:
        raise Violation(
            expected="the artifact loads and predicts with a home directory that is read-only",
            received=told(vcp_home_requirement, "tried to write"),
            remedy="set the library's cache to tempfile.mkdtemp() at the top of "
            "model_code/__init__.py",
            where=vcp_home_requirement.where,
        )


@rule("VCP721")
def test_vcp721_the_process_is_left_as_it_was(
    vcp_process_changes: tuple[ProcessChange, ...],
) -> None:
    """Loading and predicting leave the process as it was.

    Environment variables, signal handlers, filters of warnings, and the defaults of numpy and torch
    had better be, too.
    """
    if vcp_process_changes:
        first = vcp_process_changes[0]
        raise Violation(
            expected=f"{first.what} as it was before {first.step}: {first.old}",
            received=f"{first.new}{and_others(len(vcp_process_changes))}",
            remedy=f"do without the change, or take it back before {first.step} returns",
            binds=first.binds,
        )


def told(requirement: Requirement, did: str) -> str:
    """What the model said, and what it wanted where that does not tell."""
    if not requirement.wanted or any(name in requirement.said for name in requirement.wanted):
        return requirement.said
    return (
        f"{requirement.said}; it {did} {requirement.wanted[0]}{and_others(len(requirement.wanted))}"
    )
