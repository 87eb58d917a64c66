"""Facts about model_spec.py: the signature and the example, as MLflow sees them."""

from __future__ import annotations

from typing import Any

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.spec import (
    FILE,
    Description,
    Enforcement,
    ExampleInput,
    ModelSpec,
    Opening,
    read_description,
    read_enforcement,
    read_inputs,
    read_openings,
)
from pytest_vcp.facts.environment import EnvironmentFacts
from pytest_vcp.facts.fact import fact
from pytest_vcp.rules.outcomes import Blocked, Unverified
from pytest_vcp.source.payload import read_payload


class SpecFacts(EnvironmentFacts):
    """Facts about model_spec.py: the signature and the example."""

    @fact
    def description(self) -> Description:
        """The description of model_spec.py, or why there is none."""
        return read_description(
            self.packaging_session.describe_spec(), self.settings.pkg_dir / FILE
        )

    @fact
    def spec(self) -> ModelSpec:
        if self.description.spec is None:
            raise Blocked("VCP401")
        return self.description.spec

    @property
    def source_spec(self) -> ModelSpec:
        """The spec, for comparing the artifact with model_spec.py itself."""
        return self.spec

    def _examine(self, doing: str, method: str, params: dict[str, Any]) -> Reply:
        """Ask the process that has described the signature and the example."""
        return self.packaging_session.examine(doing, method, params)

    @fact(holds=("VCP402", "VCP501", "VCP502"))
    def inputs(self) -> tuple[ExampleInput, ...]:
        """The inputs that the example names, with their sizes."""
        column, root = self.settings.policy.input_column, self.settings.pkg_dir
        found = read_inputs(self.spec.example, column, root)
        if found is None:
            raise Blocked("VCP504")
        return found

    @fact
    def openings(self) -> tuple[Opening, ...]:
        """The results of opening the inputs in the model's environment."""
        paths = [str(entry.path) for entry in self.inputs]
        reply = self._examine(
            "opening the inputs of the example", "inputs.open_all", {"paths": paths}
        )
        return read_openings(self.inputs, reply.content, reply.failure)

    @fact
    def payload(self) -> Enforcement | None:
        """The result of MLflow's checks on the payload file; None without one."""
        return None if self.settings.payload is None else self._enforced_payload

    @fact(holds=("VCP401", "VCP402"))
    def _enforced_payload(self) -> Enforcement:
        assert self.settings.payload is not None
        params = {"payload": read_payload(self.settings.payload)}
        reply = self._examine("checking the payload", "spec.enforce_payload", params)
        if reply.content is None:
            raise Unverified(f"checking the payload failed: {reply.failure}")
        return read_enforcement(reply.content)
