"""Facts about the packaged artifact that do not require loading it."""

from __future__ import annotations

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.artifact.pickles import PickleFacts, WeightPickle, read_pickle, read_weight_pickles
from pytest_vcp.evaluation.prediction import Packaging, Repackaging, read_repackaging
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.spec import SpecFacts
from pytest_vcp.rules.outcomes import Blocked


class PackagingFacts(SpecFacts):
    """Facts about packaging and the packaged artifact."""

    @fact(after="packaging_session", stage="artifact")
    def packaging(self) -> Packaging:
        """The result of packaging the model: its failure, or what is wrong with the artifact."""
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
        """The result of packaging a second time."""
        # Requested early, awaited late. Content that should not be in the pickle at all need not
        # be the same twice.
        return read_repackaging(self.packaging_session.package_again())

    @fact
    def without_arguments(self) -> str | None:
        """The exception, if any, of calling the class without its optional arguments."""
        again = self.repackaging
        try:
            self._gates.require(self, "VCP118")
        except Blocked:
            return None  # The rule on the signature is more informative.
        return again.without_arguments
