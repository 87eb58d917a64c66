"""All facts about one variant, each gathered once, in the order of their dependencies.

Each class adds the facts of one stage to those of the stages before. The fixtures of `session`
provide them under the same names with the prefix `vcp_`; the gates use them directly. A fact of a
later stage raises `Blocked` if an earlier rule is broken.
"""

from __future__ import annotations

from pytest_vcp.evaluation.model import LoadedModel
from pytest_vcp.facts.device import DeviceFacts
from pytest_vcp.facts.fact import fact


class Facts(DeviceFacts):
    """All facts about one variant, including the model for tests that a user writes."""

    @fact(after="evaluated_session", requires="VCP704")
    def model(self) -> LoadedModel:
        return LoadedModel(self.evaluated_session, self.settings)
