"""Section 6: the files in the artifact, weights and code."""

from __future__ import annotations

from pytest_vcp.artifact.artifact import ModelArtifact, stray_links
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.artifact.weights import Code, Weights
from pytest_vcp.rules.outcomes import Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.worker.server.packaging import litter_in


@rule("VCP604")
def test_vcp604_weights_are_those_of_the_package(
    vcp_artifact: ModelArtifact, vcp_weights: Weights, vcp_digests: FileDigests
) -> None:
    """The weights in the artifact are those of model_data/, byte for byte."""
    inside = (file for file in vcp_artifact.files if file.path.startswith("artifacts/"))
    packaged = {file.path: file for file in inside}
    for file in vcp_weights.files:
        where = Location(file.target)
        found = packaged.pop(file.target, None)
        if found is None:
            raise Violation(
                expected=f"a copy of model_data/ with all its files, {file.source.name} among them",
                received="no such file in the artifact",
                remedy="check what model_code does with model_data/ while it is imported",
                where=where,
            )
        if not file.is_unchanged() or found.sha256 != vcp_digests.of(file.source):
            raise Violation(
                expected="weights that stay as they were when the run began",
                received=f"{file.source.name} was written to during the run",
                remedy="don't write into model_data/ or context.artifacts from model_code",
                where=where,
            )
    for path in packaged:
        raise Violation(
            expected="nothing in artifacts/ but what model_data/ holds",
            received="a file that model_data/ does not have",
            remedy="don't write into context.artifacts from model_code",
            where=Location(path),
        )


@rule("VCP605")
def test_vcp605_code_is_complete_and_clean(
    vcp_artifact: ModelArtifact, vcp_code: Code | None, vcp_digests: FileDigests
) -> None:
    """The artifact contains every file of model_code, and none that tools left behind."""
    litter = [file.path for file in vcp_artifact.files if litter_in(file.path)]
    if litter:
        raise Violation(
            expected="neither byte-code nor files of version control, desktops or other tools",
            received=f"{litter_in(litter[0])}{and_others(len(litter))}",
            remedy="delete it where it comes from: model_data/, or a run that loaded the artifact",
            where=Location(litter[0]),
        )
    if vcp_code is None:
        raise Unverified("the artifact alone is judged, without its source package")
    packaged = {file.path: file.sha256 for file in vcp_artifact.files}
    for file in vcp_code.files:
        found, kept = packaged.get(file.target), file.is_unchanged()
        if found is None or not kept or found != vcp_digests.of(file.source):
            raise Violation(
                expected=f"model_code as it was when the run began, {file.source.name} included",
                received="another content" if found else "no such file in the artifact",
                remedy="check what model_code changes in MLflow or shutil while it is imported"
                if kept
                else "let nothing write into model_code while it is imported and packaged",
                where=Location(file.target),
            )


@rule("VCP607")
def test_vcp607_links_stay_inside(vcp_artifact: ModelArtifact) -> None:
    """No symbolic link in the artifact leads out of it, or nowhere."""
    strays = stray_links(vcp_artifact.path)
    if strays:
        raise Violation(
            expected="files, or relative links to files in the artifact",
            received=f"a link to {strays[0].target}{and_others(len(strays))}",
            remedy="put what the link points to in its place, in the package, and package again",
            where=Location(strays[0].path),
        )
