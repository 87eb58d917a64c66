"""All facts about one variant, each gathered once, in the order in which they rest on each other.

Each class adds the facts of a stage to those of the stages before. The fixtures of `session` hand
them out under the same names, with `vcp_` before; the gates take them from here. A fact of a later
stage raises `Blocked` while an earlier rule is broken.
"""

from __future__ import annotations

from pytest_vcp.evaluation.model import LoadedModel
from pytest_vcp.facts.device import DeviceFacts
from pytest_vcp.facts.fact import fact


class Facts(DeviceFacts):
    """The same, and the model, for tests that a user writes."""

    @fact(after="evaluated_session", requires="VCP704")
    def model(self) -> LoadedModel:
        return LoadedModel(self.evaluated_session, self.settings)
