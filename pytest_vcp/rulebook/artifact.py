"""Section 6: the packaged artifact."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP601",
        "artifact",
        "packaging succeeds and leaves the files of an MLflow model",
        "without them there is nothing to submit",
        scope="variant",
    ),
    Rule(
        "VCP602",
        "artifact",
        "python_env.yaml, conda.yaml and MLmodel name the target Python",
        "the hub builds the interpreter that these files name",
        scope="variant",
    ),
    Rule(
        "VCP603",
        "artifact",
        "the artifact's requirements are the package's lock",
        "the hub installs what the artifact says, not what the package says",
        scope="variant",
    ),
    Rule(
        "VCP604",
        "artifact",
        "the weights in the artifact are byte for byte those of model_data/",
        "a changed weight is another model",
        scope="variant",
    ),
    Rule(
        "VCP605",
        "artifact",
        "all of model_code is in the artifact, and no byte-code or version-control litter",
        "a missing file fails where the source tree is not there; litter tells of the author",
        scope="variant",
    ),
    Rule(
        "VCP606",
        "artifact",
        "no path of the building machine stands in the artifact's metadata",
        "such a path exists nowhere else, and tells strangers about the author's machine",
        scope="variant",
    ),
    Rule(
        "VCP607",
        "artifact",
        "no link in the artifact leads out of it",
        "what such a link points to is not there at the consumer's",
        scope="variant",
    ),
    Rule(
        "VCP608",
        "artifact",
        "the pickled wrapper holds code by reference, and neither weights nor paths",
        "weights in the pickle are shipped twice, and pickled code breaks on another Python",
        scope="variant",
    ),
    Rule(
        "VCP609",
        "artifact",
        "no pickle in the weights does more than build tensors",
        "loading any other pickle can run any code, and needs the library version that wrote it",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP610",
        "artifact",
        "the model config and the tags are recorded as given",
        "the model is loaded with what MLmodel says, and found by its tags",
        scope="variant",
    ),
    Rule(
        "VCP611",
        "serving",
        "packaging twice gives the same artifact, time stamps and ids aside",
        "only then can the hub tell from a digest whether anything has changed",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP612",
        "artifact",
        "the example shipped with the artifact is the declared one",
        "the hub tries the artifact with the example inside it",
        scope="variant",
    ),
)
