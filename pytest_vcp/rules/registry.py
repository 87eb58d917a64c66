"""The registry of rules: one row per rule, in the order of their ids.

An id never changes its meaning. The stages are judged in the order of `STAGES`; a required rule
that fails in one stage blocks the stages after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

__all__ = [
    "ARTIFACT_STAGES",
    "BY_ID",
    "RULES",
    "SECTIONS",
    "STAGES",
    "Level",
    "Rule",
    "Scope",
    "Stage",
    "earlier_stages",
    "rule",
]

Level = Literal["required", "advice"]
Stage = Literal["static", "environment", "spec", "artifact", "forward", "serving", "device"]
Scope = Literal["package", "variant"]

STAGES: tuple[Stage, ...] = (
    "static",
    "environment",
    "spec",
    "artifact",
    "forward",
    "serving",
    "device",
)
# The order for a finished artifact.
ARTIFACT_STAGES: tuple[Stage, ...] = (
    "static",
    "artifact",
    "environment",
    "spec",
    "forward",
    "serving",
    "device",
)


@dataclass(frozen=True)
class Rule:
    """One rule of the standard.

    `title` completes the sentence "in a conforming package ..."; its page explains why it must
    hold. A rule whose `scope` is the package does not depend on the variant, and is judged once. A
    rule that is judged `on_demand` costs so much time that it may be left out: no rule of a later
    stage requires it unless the run judges it.
    """

    id: str
    stage: Stage
    title: str
    level: Level = "required"
    scope: Scope = "package"
    on_demand: bool = False


# The section of a rule by the first digit of its id: the stem of the conformance module that
# judges it, and of the module of its mutants.
SECTIONS = {
    "1": "layout",
    "2": "requirements",
    "3": "environment",
    "4": "signature",
    "5": "example",
    "6": "artifact",
    "7": "forward",
    "8": "serving",
    "9": "device",
}

RULES: tuple[Rule, ...] = (
    # 1xx layout: the package directory
    Rule(
        "VCP101",
        "static",
        "the package directory contains model_code/, model_data/, model_spec.py, "
        "requirements.in and requirements.txt",
    ),
    Rule(
        "VCP102",
        "static",
        "model_code is a package, and each of its modules parses on the target Python",
    ),
    Rule(
        "VCP103",
        "static",
        "the module that --vcp-model-class names defines or re-exports the model class",
        scope="variant",
    ),
    Rule(
        "VCP104",
        "static",
        "the model class has load_context and predict, finished, and callable as MLflow calls them",
        scope="variant",
    ),
    Rule(
        "VCP105",
        "static",
        "every artifact is a relative path in model_data/ that exists and does not lead outside",
        scope="variant",
    ),
    Rule(
        "VCP106",
        "static",
        "every artifact contains weights, and no pointer to them",
        scope="variant",
    ),
    Rule("VCP107", "static", "a completed licence file is present"),
    Rule("VCP108", "static", "the model config is one JSON object", scope="variant"),
    Rule(
        "VCP109",
        "static",
        "the metadata file parses, and each variant in it names a class and at least one artifact",
    ),
    Rule("VCP110", "static", "the code contains no path of the author's machine", level="advice"),
    Rule("VCP111", "static", "no device is used without a check that it is there", level="advice"),
    Rule(
        "VCP112",
        "static",
        "no module beside model_code has the name of one of Python's or of a pinned distribution",
    ),
    Rule("VCP113", "static", "model_code contains code, and no weights", level="advice"),
    Rule("VCP114", "static", "what would be packaged contains no credentials", level="advice"),
    Rule(
        "VCP115",
        "static",
        "no two artifacts of different content share a base name",
        scope="variant",
    ),
    Rule(
        "VCP116",
        "static",
        "every key of the model config is read in model_code",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP117",
        "static",
        "at least one artifact is given, and one under each name that load_context reads",
        scope="variant",
    ),
    Rule(
        "VCP118",
        "static",
        "the model class can be called without arguments",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP119",
        "static",
        "no artifact path contains what MLflow reads as part of a URI",
        scope="variant",
    ),
    # 2xx requirements: what the package requires
    Rule(
        "VCP201",
        "static",
        "requirements.in contains the platform's requirements, unchanged and uncontradicted",
    ),
    Rule("VCP202", "static", "every requirement in requirements.txt is an exact == pin"),
    Rule(
        "VCP203",
        "static",
        "requirements.txt names nothing that only the author's machine has, or that moves",
    ),
    Rule("VCP204", "static", "a local version such as +cu118 comes with the index that serves it"),
    Rule("VCP205", "static", "no distribution is pinned by two lines that apply at once"),
    Rule(
        "VCP206",
        "static",
        "every requirement of requirements.in is met by its pin in requirements.txt",
    ),
    Rule(
        "VCP207",
        "environment",
        "the Requires-Python of every pin, upper bound included, admits the target Python",
    ),
    Rule("VCP208", "environment", "pip's resolver accepts the whole of requirements.txt"),
    Rule("VCP209", "environment", "everything that a pinned requirement needs is pinned as well"),
    Rule(
        "VCP210",
        "environment",
        "every pin is declared in requirements.in, or needed by what is",
        level="advice",
    ),
    Rule(
        "VCP211", "static", "no option changes what pip installs, and no line contains credentials"
    ),
    Rule("VCP212", "environment", "no pinned release was yanked", level="advice"),
    Rule(
        "VCP213",
        "environment",
        "a pin provides each third-party module that model_code and model_spec.py import",
    ),
    Rule("VCP214", "static", "either every line of requirements.txt has hashes, or none has"),
    Rule(
        "VCP215",
        "static",
        "what is pinned works with all parts of the platform's MLflow",
        level="advice",
    ),
    Rule("VCP216", "static", "no distribution has a second line with other markers"),
    # 3xx environment: the environment that the requirements produce
    Rule("VCP301", "static", "the target Python is one that the platform accepts"),
    Rule("VCP302", "environment", "the environment builds from requirements.txt"),
    Rule("VCP303", "environment", "pip check finds no broken requirement in the environment"),
    Rule("VCP304", "environment", "what is installed is what requirements.txt pins"),
    Rule(
        "VCP305",
        "environment",
        "the MLflow in the environment is the platform's version, and complete",
    ),
    Rule(
        "VCP306",
        "environment",
        "model_code and model_spec import with only the package directory on the path",
        scope="variant",
    ),
    # 4xx signature: what model_spec.py declares
    Rule("VCP401", "spec", "MODEL_SIGNATURE is a ModelSignature with inputs and outputs"),
    Rule("VCP402", "spec", "the first input is a required string column named input_uri"),
    Rule("VCP403", "spec", "every further input is a named column, and no name occurs twice"),
    Rule(
        "VCP404",
        "spec",
        "there is at least one output, each is a TensorSpec, and several have distinct names",
    ),
    Rule(
        "VCP405",
        "spec",
        "every output shape has rank 1 or more, and dimensions that are positive or -1",
    ),
    Rule("VCP406", "spec", "every param has a default of its own declared type"),
    Rule("VCP407", "spec", "no param has the name of an input column"),
    Rule("VCP408", "spec", "MLflow reads the same signature from the JSON that it writes"),
    Rule(
        "VCP409",
        "artifact",
        "the saved MLmodel contains exactly the declared signature",
        scope="variant",
    ),
    Rule("VCP410", "spec", "arrays of every declared output dtype survive JSON"),
    Rule(
        "VCP411",
        "spec",
        "every output of rank 2 or more declares the size of at least one dimension",
        level="advice",
    ),
    # 5xx example: the input example
    Rule(
        "VCP501",
        "spec",
        "INPUT_EXAMPLE is a pair of a DataFrame with at least one row and a dict of params",
    ),
    Rule(
        "VCP502", "spec", "the example's frame passes MLflow's own enforcement of the input schema"
    ),
    Rule(
        "VCP503",
        "spec",
        "every param of the example is declared in the signature, and of its declared type",
    ),
    Rule(
        "VCP504",
        "spec",
        "every input of the example is a relative path to something inside the package",
    ),
    Rule(
        "VCP505", "spec", "every input of the example opens as what its name says, and is not empty"
    ),
    Rule(
        "VCP506",
        "spec",
        "the inputs of the example are no larger than the policy allows",
        level="advice",
    ),
    Rule("VCP507", "spec", "the example survives serving JSON and back"),
    Rule(
        "VCP508",
        "spec",
        "a payload file passes MLflow's own enforcement of the signature",
        scope="variant",
    ),
    # 6xx artifact: the packaged model
    Rule(
        "VCP601",
        "artifact",
        "packaging succeeds and leaves every file of an MLflow model with an example",
        scope="variant",
    ),
    Rule(
        "VCP602",
        "artifact",
        "python_env.yaml, conda.yaml and MLmodel name the target Python",
        scope="variant",
    ),
    Rule(
        "VCP603",
        "artifact",
        "the artifact's requirements are the lines of the lock that apply",
        scope="variant",
    ),
    Rule(
        "VCP604",
        "artifact",
        "the weights in the artifact are those of model_data/, byte for byte",
        scope="variant",
    ),
    Rule(
        "VCP605",
        "artifact",
        "the artifact contains every file of model_code, and none that tools left behind",
        scope="variant",
    ),
    Rule(
        "VCP606",
        "artifact",
        "the artifact's metadata contains no path of the building machine",
        scope="variant",
    ),
    Rule(
        "VCP607",
        "artifact",
        "no symbolic link in the artifact leads out of it, or nowhere",
        scope="variant",
    ),
    Rule(
        "VCP608",
        "artifact",
        "the pickled wrapper refers to its code, and contains neither weights nor paths",
        scope="variant",
    ),
    Rule(
        "VCP609",
        "artifact",
        "no pickle in the weights needs more than tensors, arrays and plain collections",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP610",
        "artifact",
        "MLmodel records the model config and the tags as they were given",
        scope="variant",
    ),
    Rule(
        "VCP611",
        "serving",
        "packaging twice gives the same artifact, time stamps and ids aside",
        level="advice",
        scope="variant",
    ),
    Rule("VCP612", "artifact", "the example in the artifact is INPUT_EXAMPLE", scope="variant"),
    # 7xx forward: the forward pass of the finished artifact
    Rule(
        "VCP701",
        "forward",
        "the artifact loads in a fresh process, in another directory, without the source tree",
        scope="variant",
    ),
    Rule(
        "VCP702", "forward", "the artifact loads and predicts with the network off", scope="variant"
    ),
    Rule(
        "VCP703",
        "forward",
        "the artifact loads and predicts from read-only files, and writes only temporary ones",
        scope="variant",
    ),
    Rule(
        "VCP704",
        "forward",
        "predict returns one numpy array, or a dict of numpy arrays for several outputs",
        scope="variant",
    ),
    Rule(
        "VCP705",
        "forward",
        "the output has the declared rank and fixed dimensions, and free dimensions are not empty",
        scope="variant",
    ),
    Rule("VCP706", "forward", "the output has the declared dtype", scope="variant"),
    Rule("VCP707", "forward", "every value of the output is finite", scope="variant"),
    Rule(
        "VCP708",
        "forward",
        "the values of an output are not all the same, and neither are its rows",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP709",
        "forward",
        "for AnnData inputs, a free first dimension counts the observations",
        scope="variant",
    ),
    Rule(
        "VCP710",
        "forward",
        "the same input gives the same output within tolerance",
        scope="variant",
    ),
    Rule(
        "VCP711",
        "forward",
        "without params, the model predicts as with the declared defaults",
        scope="variant",
    ),
    Rule(
        "VCP712",
        "forward",
        "every declared param is accepted at its default, and a value of another type is refused",
        scope="variant",
    ),
    Rule(
        "VCP713",
        "forward",
        "another batch_size gives the same output within tolerance",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP714",
        "forward",
        "the recorded output of the example is reproduced within tolerance",
        scope="variant",
    ),
    Rule(
        "VCP715",
        "forward",
        "a missing input raises an error that names it, and an unreadable one raises an error",
        scope="variant",
    ),
    Rule(
        "VCP716",
        "forward",
        "loading and the forward pass of the example stay within the policy's time and memory",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP717",
        "forward",
        "the output for an observation does not depend on the others in the input",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP718", "forward", "a value given for a declared param reaches the model", scope="variant"
    ),
    Rule(
        "VCP719",
        "forward",
        "an AnnData input with no feature that the model knows is refused",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP720",
        "forward",
        "the artifact loads and predicts without a writable home directory",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP721", "forward", "loading and predicting leave the process as it was", scope="variant"
    ),
    # 8xx serving: the model behind MLflow's own commands
    Rule(
        "VCP801",
        "serving",
        "the shipped serving example passes MLflow's own validate_serving_input",
        scope="variant",
    ),
    Rule(
        "VCP802",
        "serving",
        "predictions are strict JSON and equal the array within float tolerance",
        scope="variant",
    ),
    Rule(
        "VCP803",
        "serving",
        "mlflow models predict, in an environment of its own making, gives the same predictions",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP804",
        "serving",
        "mlflow models serve gives the same predictions, rejects malformed requests, and "
        "shuts down",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP805",
        "serving",
        "repeated and concurrent requests get the same predictions",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP806",
        "serving",
        "nothing is printed on standard output while predicting",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP807",
        "serving",
        "the first request is answered within the time-out of the server",
        level="advice",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP808",
        "serving",
        "the platform's own packager can save the model too",
        level="advice",
        scope="variant",
    ),
    # 9xx device: the forward pass on a GPU
    Rule(
        "VCP901",
        "forward",
        "the artifact loads and predicts where no GPU is visible, unless it declares "
        "that it needs one",
        scope="variant",
    ),
    Rule("VCP902", "device", "with a GPU visible, the forward pass runs on it", scope="variant"),
    Rule(
        "VCP903",
        "device",
        "the output computed on a GPU is on the host, of the declared rank, shape and dtype",
        scope="variant",
    ),
    Rule(
        "VCP904",
        "device",
        "a GPU and a CPU compute the same output, within the tolerance of the precision in use",
        scope="variant",
    ),
    Rule(
        "VCP905",
        "device",
        "repeated predictions hold no more GPU memory than the first",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP906",
        "device",
        "where another GPU alone is visible, the forward pass runs on that one",
        scope="variant",
    ),
    Rule(
        "VCP907",
        "device",
        "the pinned torch ships kernels for the GPU present, and for those that the policy names",
    ),
    Rule(
        "VCP908",
        "device",
        "each documented precision keeps the declared output dtype",
        level="advice",
        scope="variant",
    ),
)

BY_ID: dict[str, Rule] = {entry.id: entry for entry in RULES}


def rule(rule_id: str) -> pytest.MarkDecorator:
    """Mark a conformance test as the judge of one rule."""
    return pytest.mark.vcp_rule(BY_ID[rule_id].id)


def earlier_stages(stage: Stage) -> frozenset[Stage]:
    """Return the stages whose required rules must hold before one of `stage` is judged."""
    return frozenset(STAGES[: STAGES.index(stage)])
