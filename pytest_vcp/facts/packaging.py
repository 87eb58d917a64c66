"""Facts about the packaged artifact; none of it is loaded for them."""

from __future__ import annotations

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.artifact.pickles import PickleFacts, WeightPickle, read_pickle, read_weight_pickles
from pytest_vcp.evaluation.prediction import Packaging, Repackaging, read_repackaging
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.spec import SpecFacts
from pytest_vcp.rules.outcomes import Blocked


class PackagingFacts(SpecFacts):
    """The same, and what was packaged."""

    @fact(after="packaging_session", stage="artifact")
    def packaging(self) -> Packaging:
        """The packaging of the model: what failed, what is missing in what it left."""
        packaging_session = self.packaging_session
        reply = packaging_session.package()
        missing = packaging_session.missing_files() if reply.failure is None else ()
        problem = None
        if reply.failure is None and not missing:
            try:
                _ = self._variant.artifact
            except (OSError, ValueError) as unreadable:
                problem = str(unreadable)
        return Packaging(reply.failure, missing, problem)

    @fact(after="packaging", requires="VCP601")
    def artifact(self) -> ModelArtifact:
        return self._variant.artifact

    @fact
    def pickle(self) -> PickleFacts:
        """The pickled wrapper, read without loading it."""
        return read_pickle(self.artifact.path / "python_model.pkl")

    @fact
    def weight_pickles(self) -> tuple[WeightPickle, ...]:
        """The pickles among the weights, read without loading them."""
        artifact = self.artifact
        paths = (file.path for file in artifact.files if file.path.startswith("artifacts/"))
        return read_weight_pickles(artifact.path, paths)

    @fact(after="packaging_session", stage="serving", holds="VCP608")
    def repackaging(self) -> Repackaging:
        """What came of packaging a second time."""
        # It is asked for early, and waited for late. What should not be in the pickle at all need
        # not be the same twice.
        return read_repackaging(self.packaging_session.package_again())

    @fact
    def without_arguments(self) -> str | None:
        """What the class raises where it is called without arguments that it does not demand."""
        again = self.repackaging
        try:
            self._gates.require(self, "VCP118")
        except Blocked:
            return None  # The signature tells more.
        return again.without_arguments
