"""Section 7, surroundings: no network, nothing to write to but what is temporary."""

from __future__ import annotations

from pytest_vcp.evaluation.prediction import ProcessChange
from pytest_vcp.evaluation.relaxation import Need, Writing
from pytest_vcp.rulebook.violations import Violation
from pytest_vcp.rulebook.wording import and_others
from pytest_vcp.rules import rule


@rule("VCP702")
def test_vcp702_model_needs_no_network(vcp_network_need: Need | None) -> None:
    """The artifact loads and predicts with the network off."""
    if vcp_network_need is not None:
        raise Violation(
            expected="the artifact loads and predicts with the network off",
            received=told(vcp_network_need, "asked for"),
            remedy="put what is downloaded into model_data/ and declare it as an artifact",
            where=vcp_network_need.where,
        )


@rule("VCP703")
def test_vcp703_model_writes_to_temporary_places_only(vcp_writing: Writing) -> None:
    """The artifact loads and predicts from files that it can't change, and leaves them alone."""
    need, changed, shared = vcp_writing.need, vcp_writing.changed, vcp_writing.shared
    if need is not None:
        raise Violation(
            expected="loading and predicting where only temporary directories can be written to",
            received=told(need, "tried to write"),
            remedy="write into a directory from the tempfile module",
            where=need.where,
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
def test_vcp720_model_needs_no_home(vcp_home_need: Need | None) -> None:
    """The artifact loads and predicts where there is no home directory to write to."""
    if vcp_home_need is not None:
        raise Violation(
            expected="the artifact loads and predicts with a home directory that is read-only",
            received=told(vcp_home_need, "tried to write"),
            remedy="set the library's cache to tempfile.mkdtemp() at the top of "
            "model_code/__init__.py",
            where=vcp_home_need.where,
        )


@rule("VCP721")
def test_vcp721_the_process_is_left_as_it_was(
    vcp_process_changes: tuple[ProcessChange, ...],
) -> None:
    """Working directory and umask are after loading and predicting what they were before.

    Environment variables, signal handlers, filters of warnings, and the defaults of numpy and
    torch had better be, too.
    """
    if vcp_process_changes:
        first = vcp_process_changes[0]
        raise Violation(
            expected=f"{first.what} as it was before {first.step}: {first.old}",
            received=f"{first.new}{and_others(len(vcp_process_changes))}",
            remedy=f"do without the change, or take it back before {first.step} returns",
            binds=first.binds,
        )


def told(need: Need, did: str) -> str:
    """What the model said, and what it wanted where that does not tell."""
    if not need.wanted or any(name in need.said for name in need.wanted):
        return need.said
    return f"{need.said}; it {did} {need.wanted[0]}{and_others(len(need.wanted))}"
