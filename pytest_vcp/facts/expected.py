"""Facts about the recorded output of the example."""

from __future__ import annotations

import os

from pytest_vcp.evaluation import expected
from pytest_vcp.evaluation.packaging_session import request_as_given
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.forward import ForwardFacts
from pytest_vcp.rules.outcomes import Unverified

# An output of another form, or one that differs each time, is reported by these rules first.
_FIRST = ("VCP705", "VCP706", "VCP707", "VCP709", "VCP710")


class ExpectedFacts(ForwardFacts):
    """Facts about the recorded output of the example."""

    def _want_expected(self) -> None:
        recorded = expected.expected_path(self.settings)
        if not self.settings.record_expected and not os.path.lexists(recorded):
            raise Unverified("no expected output was recorded; --vcp-record-expected records it")

    @fact(after="prediction", when="_want_expected", holds=_FIRST)
    def expected(self) -> expected.Expected:
        """The comparison with the recorded output; a run that records makes it for the next run."""
        session, policy = self.evaluated_session, self.settings.policy
        tolerance = policy.in_force(policy.expected_tolerance, self.precision)
        belongs_to = expected.describe_owner(
            self.settings,
            self.spec.signature,
            request_as_given(self.settings, session.artifact),
            self.digests,
        )
        if self.settings.record_expected:
            device = self.prediction.device
            self._variant.recording = expected.record(session, belongs_to, device, tolerance)
            raise Unverified("the output is recorded by this run; the next one has to reproduce it")
        return expected.replay(session, belongs_to, tolerance)
