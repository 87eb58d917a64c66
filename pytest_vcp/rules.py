"""The literal table of rules: what must hold, how binding it is, when it can be judged, why.

An id never changes its meaning. The stages are judged in the order of `STAGES`; a required rule
that fails in one stage blocks the stages after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

Level = Literal["required", "advice"]
Stage = Literal["static", "environment", "spec", "artifact", "forward", "serving", "device"]

STAGES: tuple[Stage, ...] = (
    "static",
    "environment",
    "spec",
    "artifact",
    "forward",
    "serving",
    "device",
)


@dataclass(frozen=True)
class Rule:
    """One rule of the standard.

    `title` completes the sentence "in a conforming package ...", `why` says what breaks on the
    hub or at the consumer's when it does not hold.
    """

    id: str
    stage: Stage
    title: str
    why: str
    level: Level = "required"


RULES: tuple[Rule, ...] = (
    # 1xx layout
    Rule(
        "VCP101",
        "static",
        "the package directory holds model_code/, model_data/, model_spec.py, requirements.in "
        "and requirements.txt",
        "the hub's packager looks for exactly these names",
    ),
    Rule(
        "VCP102",
        "static",
        "model_code is a package whose every module parses on the target Python",
        "code that does not parse can't be imported where the model is loaded",
    ),
    Rule(
        "VCP103",
        "static",
        "the module that --vcp-model-class names holds the model class",
        "the hub imports the class by this name",
    ),
    Rule(
        "VCP104",
        "static",
        "the model class has load_context and predict, finished, and callable as MLflow calls them",
        "MLflow calls both by fixed names and arguments; a hook left open fails on first use",
    ),
    Rule(
        "VCP105",
        "static",
        "every artifact is a path inside model_data/ that exists and does not lead outside",
        "only what lies in model_data/ reaches the hub",
    ),
    Rule(
        "VCP106",
        "static",
        "every artifact holds weights, not a stand-in for them",
        "a pointer file packages without complaint and fails when the model is loaded",
    ),
    Rule(
        "VCP108",
        "static",
        "the model config is one JSON object",
        "MLflow stores it as a mapping, and the wrapper receives it as a dictionary",
    ),
    Rule(
        "VCP115",
        "static",
        "no two artifacts share a base name",
        "MLflow copies artifacts by base name, and the last one silently replaces the others",
    ),
    # 2xx requirements
    Rule(
        "VCP201",
        "static",
        "the platform's section of requirements.in is intact",
        "the hub runs the model with its own MLflow version",
    ),
    Rule(
        "VCP202",
        "static",
        "every requirement in requirements.txt is an exact == pin",
        "an open range resolves to something else next month",
    ),
    Rule(
        "VCP203",
        "static",
        "requirements.txt names nothing that another machine can't fetch",
        "a path, an editable install or a moving branch exists only at the author's",
    ),
    Rule(
        "VCP205",
        "static",
        "no distribution is pinned twice",
        "two pins of one distribution contradict each other, or will",
    ),
    Rule(
        "VCP206",
        "static",
        "every requirement of requirements.in is met by its pin in requirements.txt",
        "a lock that was not compiled again installs something other than what was asked for",
    ),
    Rule(
        "VCP208",
        "environment",
        "pip's resolver accepts the whole of requirements.txt",
        "the hub installs with the resolver on; a conflict stops it there",
    ),
    # 3xx environment
    Rule(
        "VCP301",
        "static",
        "the target Python is one that the platform accepts",
        "downstream systems refuse older interpreters",
    ),
    Rule(
        "VCP302",
        "environment",
        "the environment builds from requirements.txt",
        "the hub builds the same environment before it loads the model",
    ),
    Rule(
        "VCP303",
        "environment",
        "pip check finds no broken requirement in the environment",
        "a missing or mismatched dependency fails later, at import or amid a prediction",
    ),
    Rule(
        "VCP304",
        "environment",
        "what is installed is what requirements.txt pins",
        "a verdict on other versions says nothing about the ones that the hub installs",
    ),
    Rule(
        "VCP305",
        "environment",
        "the MLflow in the environment is the platform's version, and whole",
        "mlflow-skinny and damaged installs save models that can't be served",
    ),
    Rule(
        "VCP306",
        "environment",
        "model_code and model_spec import with the package directory and nothing else on the path",
        "the hub imports them from the package alone",
    ),
    # 4xx signature
    Rule(
        "VCP401",
        "spec",
        "MODEL_SIGNATURE is an mlflow.models.ModelSignature with inputs and outputs",
        "without a signature MLflow checks nothing and the hub can't document the model",
    ),
    Rule(
        "VCP402",
        "spec",
        "the first input is a required string column named input_uri",
        "the hub passes the location of the data in this column",
    ),
    Rule(
        "VCP403",
        "spec",
        "every further input is a named column, and no name occurs twice",
        "requests name their columns; an unnamed or doubled one can't be addressed",
    ),
    Rule(
        "VCP404",
        "spec",
        "there is at least one output, each a TensorSpec, and several are named apart",
        "consumers read the shape and dtype of the output from its TensorSpec",
    ),
    Rule(
        "VCP405",
        "spec",
        "every output shape has rank 1 or more and dimensions that are positive or -1",
        "a scalar, zero or symbolic dimension describes no array",
    ),
    Rule(
        "VCP406",
        "spec",
        "every param has a default of its own declared type",
        "a request without params runs with the defaults",
    ),
    Rule(
        "VCP409",
        "artifact",
        "the saved MLmodel carries exactly the declared signature",
        "a type hint on predict makes MLflow replace the signature",
    ),
    # 5xx example
    Rule(
        "VCP501",
        "spec",
        "INPUT_EXAMPLE is a pair of a DataFrame with at least one row and a dict of params",
        "it is the request with which the hub tries the model",
    ),
    Rule(
        "VCP502",
        "spec",
        "the example's frame satisfies the input schema under MLflow's own enforcement",
        "MLflow refuses the request before the model sees it",
    ),
    Rule(
        "VCP503",
        "spec",
        "the example's params are declared and of their declared types",
        "MLflow drops or refuses anything else",
    ),
    Rule(
        "VCP504",
        "spec",
        "every input_uri of the example names an existing input inside the package, relative to it",
        "the hub replays the example from a copy of the package",
    ),
    Rule(
        "VCP507",
        "spec",
        "the example survives the way through serving JSON and back",
        "over HTTP the model receives the parsed JSON, not the author's DataFrame",
    ),
    # 6xx artifact
    Rule(
        "VCP601",
        "artifact",
        "packaging succeeds and leaves the files of an MLflow model",
        "without them there is nothing to submit",
    ),
    Rule(
        "VCP602",
        "artifact",
        "python_env.yaml, conda.yaml and MLmodel name the target Python",
        "the hub builds the interpreter that these files name",
    ),
    Rule(
        "VCP603",
        "artifact",
        "the artifact's requirements are the package's lock",
        "the hub installs what the artifact says, not what the package says",
    ),
    Rule(
        "VCP604",
        "artifact",
        "the weights in the artifact are byte for byte those of model_data/",
        "a changed weight is another model",
    ),
    Rule(
        "VCP606",
        "artifact",
        "no path of the building machine stands in the artifact's metadata",
        "such a path exists nowhere else, and tells strangers about the author's machine",
    ),
    Rule(
        "VCP608",
        "artifact",
        "the pickled wrapper holds code by reference, and neither weights nor paths",
        "weights in the pickle are shipped twice, and pickled code breaks on another Python",
    ),
    # 7xx forward pass
    Rule(
        "VCP701",
        "forward",
        "the artifact loads in a fresh process, in another directory, without the source tree",
        "the consumer has the artifact and nothing else",
    ),
    Rule(
        "VCP704",
        "forward",
        "predict returns one numpy array, or a dict of them for several outputs",
        "tensors, frames and lists fail or change on their way to JSON",
    ),
    Rule(
        "VCP705",
        "forward",
        "the output has the declared rank and fixed dimensions, and free ones are positive",
        "MLflow never enforces output schemas; the consumer relies on them",
    ),
    Rule(
        "VCP706",
        "forward",
        "the output has the declared dtype",
        "MLflow never enforces output schemas; the consumer relies on them",
    ),
    Rule(
        "VCP707",
        "forward",
        "every value of the output is finite",
        "NaN and infinity make a response that is not JSON",
    ),
    Rule(
        "VCP709",
        "forward",
        "for AnnData inputs the output has one row for each observation",
        "the consumer joins the rows back to the cells",
    ),
    Rule(
        "VCP710",
        "forward",
        "the same input gives the same output within tolerance",
        "a result that can't be repeated can't be verified or cited",
    ),
    # 8xx serving
    Rule(
        "VCP801",
        "serving",
        "the shipped serving example passes MLflow's own validate_serving_input",
        "it is the first request that the hub sends",
    ),
    Rule(
        "VCP802",
        "serving",
        "predictions are strict JSON and equal the array within float tolerance",
        "what travels is the JSON, not the array",
    ),
    # 9xx device
    Rule(
        "VCP902",
        "device",
        "with a GPU visible the forward pass runs on it",
        "a model that silently stays on the CPU wastes the hub's GPU and the user's time",
    ),
    Rule(
        "VCP903",
        "device",
        "the output computed on a GPU is on the host, of the declared rank, shape and dtype",
        "an array left on the device can't be turned into JSON",
    ),
)

BY_ID: dict[str, Rule] = {entry.id: entry for entry in RULES}


def rule(rule_id: str) -> pytest.MarkDecorator:
    """Mark a conformance test as the judge of one rule."""
    return pytest.mark.vcp_rule(BY_ID[rule_id].id)


def earlier_stages(stage: Stage) -> frozenset[Stage]:
    """The stages whose required rules must hold before one of `stage` is judged."""
    return frozenset(STAGES[: STAGES.index(stage)])
