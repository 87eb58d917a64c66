"""Section 7: the prediction against the one that was recorded in the package."""

from __future__ import annotations

from pytest_vcp.evaluation.expected import Expected
from pytest_vcp.rules.outcomes import Location, Violation
from pytest_vcp.rules.registry import rule


@rule("VCP714")
def test_vcp714_recorded_output_is_reproduced(vcp_expected: Expected) -> None:
    """The recorded output of the example is reproduced within tolerance."""
    if vcp_expected.refused:
        raise Violation(
            expected="an output that was recorded for this variant, signature and example",
            received=vcp_expected.refused,
            remedy="record it anew with --vcp-record-expected, or take back what was changed",
            where=Location(vcp_expected.file),
        )
    if vcp_expected.difference:
        raise Violation(
            expected=f"what was recorded ({vcp_expected.origin}), within tolerance",
            received=vcp_expected.difference,
            remedy="find out what changed: weights, code or pins; where it is meant, record anew "
            "with --vcp-record-expected",
            where=Location(vcp_expected.file),
        )
