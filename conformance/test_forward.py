"""Section 7: the forward pass of the finished artifact, with nothing available but the artifact."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_vcp.evaluation.expected import Expected
from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.evaluation.prediction import (
    Loading,
    Observations,
    Output,
    Prediction,
    ProcessChange,
    Reply,
)
from pytest_vcp.evaluation.relaxation import Requirement, Writing
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.evaluation.spec import Field, ModelSpec
from pytest_vcp.rules.outcomes import NO_REMEDY, Blocked, Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.methods import Method
from pytest_vcp.source.wrapper import NotFound, WrapperFacts
from pytest_vcp.worker.client import WorkerFailure

# Dtypes that an author may declare instead of converting; others fail the rules on signatures.
_DECLARABLE = ("float32", "float64", "int32", "int64", "bool", "str")


@rule("VCP701")
def test_vcp701_artifact_loads_elsewhere(vcp_loading: Loading) -> None:
    """The artifact loads in a fresh process, in another directory, without the source tree."""
    failure = vcp_loading.failure
    if failure is not None:
        raise Violation(
            expected="the artifact loads with its own code and weights, in another folder",
            found=failure.summary,
            remedy=failure.remedy or find_remedy(failure),
            where=failure.where,
        ) from failure
    if vcp_loading.leftovers:
        raise Violation(
            expected="no process of the model outlives the one that loaded it",
            found=f"left running: {vcp_loading.leftovers[0]}",
            remedy="end what model_code starts: join it, or use a context manager",
        )


@rule("VCP704")
def test_vcp704_predict_returns_arrays(vcp_first_pass: Reply, vcp_spec: ModelSpec) -> None:
    """Predict returns one numpy array, or a dict of numpy arrays for several outputs."""
    names = [entry.name for entry in vcp_spec.signature.outputs]
    expected = (
        "a numpy.ndarray"
        if len(names) == 1
        else f"a dict of numpy.ndarray with the keys {', '.join(map(repr, names))}"
    )
    failure = vcp_first_pass.failure
    if failure is not None:
        raise Violation(
            expected=f"{expected} from predict",
            found=failure.summary,
            remedy=failure.remedy or find_remedy(failure),
            where=failure.where,
        ) from failure
    assert vcp_first_pass.content is not None
    problem = describe_other_result(vcp_first_pass.content["summary"], names)
    if problem:
        received, remedy = problem
        raise Violation(expected=expected, found=received, remedy=remedy)


@rule("VCP705")
def test_vcp705_output_has_the_declared_shape(
    vcp_prediction: Prediction, vcp_spec: ModelSpec
) -> None:
    """The output has the declared rank and fixed dimensions, and free dimensions are not empty."""
    for declared, output in outputs(vcp_prediction, vcp_spec):
        wanted = declared.shape or ()
        fits = len(wanted) == len(output.shape) and all(
            size > 0 if want == -1 else size == want
            for want, size in zip(wanted, output.shape, strict=True)
        )
        if not fits:
            shape = f"shape {format_shape(wanted)}{name_output(declared)}"
            raise Violation(
                expected=f"{shape}, with -1 for any size above 0",
                found=f"shape {format_shape(output.shape)}",
                remedy="correct what predict returns, or the TensorSpec in MODEL_SIGNATURE",
                where=vcp_spec.signature.where,
            )


@rule("VCP706")
def test_vcp706_output_has_the_declared_dtype(
    vcp_prediction: Prediction, vcp_spec: ModelSpec
) -> None:
    """The output has the declared dtype."""
    for declared, output in outputs(vcp_prediction, vcp_spec):
        if not declared.admits_dtype(output.dtype):
            raise Violation(
                expected=f"dtype {declared.type}{name_output(declared)}",
                found=f"dtype {output.dtype}",
                remedy=f"end predict with .astype('{declared.type}')"
                + f", or declare {output.dtype}" * (output.dtype in _DECLARABLE),
                where=vcp_spec.signature.where,
            )


@rule("VCP707")
def test_vcp707_output_is_finite(vcp_prediction: Prediction) -> None:
    """Every value of the output is finite."""
    for name, output in vcp_prediction.outputs.items():
        if output.first_not_finite is not None:
            index, value = output.first_not_finite
            total = 1
            for size in output.shape:
                total *= size
            raise Violation(
                expected=f"finite values{name_entry(name)}",
                found=f"{output.not_finite} of {total} are not, first {value} at {list(index)}",
                remedy="look for division by zero, log of zero or an overflow on the example",
            )


@rule("VCP708")
def test_vcp708_output_tells_something(vcp_prediction: Prediction) -> None:
    """The values of an output are not all the same, and neither are its rows."""
    for name, output in vcp_prediction.outputs.items():
        if output.alike:
            shape = format_shape(output.shape)
            raise Violation(
                expected=f"values that differ{name_entry(name)}, and rows that differ",
                found=f"{output.alike} that are all the same, of shape {shape}",
                remedy="check that the weights are used and the input is read; waive if it is so",
            )


@rule("VCP709")
def test_vcp709_one_row_for_each_observation(
    vcp_prediction: Prediction,
    vcp_spec: ModelSpec,
    vcp_observations: tuple[Observations, ...],
) -> None:
    """For AnnData inputs, a free first dimension counts the observations."""
    if not vcp_observations or not all(entry.is_anndata for entry in vcp_observations):
        return
    counts = []
    for entry in vcp_observations:
        if entry.observations is None:
            raise Unverified(f"{entry.uri} could not be counted: {entry.problem}")
        counts.append(entry.observations)
    for declared, output in outputs(vcp_prediction, vcp_spec):
        free = bool(declared.shape) and (declared.shape or ())[0] == -1
        if free and output.shape and output.shape[0] != sum(counts):
            phrase = " + ".join(map(str, counts))
            total = f"{phrase} = {sum(counts)}" if len(counts) > 1 else phrase
            rows = f"{total} rows{name_output(declared)}"
            raise Violation(
                expected=f"{rows}, one for each observation of the input",
                found=f"{output.shape[0]} rows",
                remedy="return a row for each, in their order; declare a pooled output as (1, ...)",
            )


@rule("VCP710")
def test_vcp710_prediction_repeats(
    vcp_prediction: Prediction, vcp_repeats: tuple[Reply, Reply]
) -> None:
    """The same input gives the same output within tolerance."""
    again, elsewhere = vcp_repeats
    phrase = (
        "again, after a call with other params" if took_other_params(again) else "a second time"
    )
    for reply, when in ((again, phrase), (elsewhere, "in another process")):
        if reply.failure is not None:
            raise Violation(
                expected="the same output for the same input",
                found=f"{reply.failure.summary} ({when})",
                remedy=reply.failure.remedy or "keep no state from call to call in the wrapper",
                where=reply.failure.where,
            ) from reply.failure
        difference = reply.content and reply.content["difference"]
        if difference:
            raise Violation(
                expected="the same output for the same input, within tolerance",
                found=f"{when}: {difference['what']}",
                remedy="seed what is random, call eval(), keep no state from call to call, "
                "don't rely on the order of a set",
            )


@rule("VCP716")
def test_vcp716_example_stays_within_budget(vcp_figures: Figures, vcp_settings: Settings) -> None:
    """Loading and the forward pass of the example stay within the policy's time and memory."""
    budget = vcp_settings.policy.budget
    for what, unit, scale, most, found in (
        ("loading", "s", 1.0, budget.load_seconds, vcp_figures.load_seconds),
        ("the forward pass", "s", 1.0, budget.forward_seconds, vcp_figures.forward_seconds),
        ("the process", "MB", 1e6, budget.peak_rss_bytes, vcp_figures.peak_rss_bytes),
    ):
        if found is not None and found > most:
            raise Violation(
                expected=f"{what} takes at most {most / scale:g} {unit}",
                found=f"{found / scale:.3g} {unit}",
                remedy="take a smaller input for the example, or make the model load less",
            )


def find_remedy(failure: WorkerFailure) -> str:
    """Return the remedy for an exception that occurs where only the artifact is available."""
    if failure.exception in ("FileNotFoundError", "NotADirectoryError"):
        return "put the file into model_data/, and take its path from context.artifacts"
    return NO_REMEDY


def describe_other_result(
    summary: Mapping[str, Any], names: Sequence[str | None]
) -> tuple[str, str] | None:
    """Describe a result of predict other than arrays by these names, and the remedy."""
    kinds = {name: entry["type"] for name, entry in summary["entries"].items()}
    strange = [name for name in kinds if not summary["entries"][name]["is_array"]]
    if strange:
        under = f" under {strange[0]!r}" if summary["is_dict"] else ""
        remedy = "convert at the end of predict: tensor.cpu().numpy(), frame.to_numpy()"
        if kinds[strange[0]] == "NoneType":
            remedy = "return the array on every way through predict; one without return gives None"
        return f"a {kinds[strange[0]]}{under}", remedy
    if summary["is_dict"] and set(kinds) != set(names):
        keys = ", ".join(map(repr, kinds))
        received = f"a dict with the keys {keys}" if keys else "an empty dict"
        if names == [None]:
            return received, "return the array itself, or name the output in its TensorSpec"
        return received, "use the names that the TensorSpecs in MODEL_SIGNATURE have"
    if not summary["is_dict"] and len(names) > 1:
        return "a single array", "return a dict with an array for each TensorSpec, by its name"
    return None


def took_other_params(reply: Reply) -> bool:
    """Return whether the model accepted a call with other params in between."""
    return bool(reply.content and reply.content["other_params"])


def outputs(prediction: Prediction, spec: ModelSpec) -> Iterator[tuple[Field, Output]]:
    """Yield each declared output with the returned one. Raises Blocked where one is missing."""
    if not prediction.is_arrays:
        raise Blocked("VCP704")
    for declared in spec.signature.outputs:
        name = (declared.name or "") if prediction.is_dict else ""
        if name not in prediction.outputs and len(prediction.outputs) == 1:
            name = next(iter(prediction.outputs))
        if name not in prediction.outputs:
            raise Blocked("VCP704")
        yield declared, prediction.outputs[name]


def name_output(declared: Field) -> str:
    """Format the reference to a declared output in a message."""
    return name_entry(declared.name or "")


def name_entry(name: str) -> str:
    return f" in output {name!r}" if name else ""


def format_shape(shape: tuple[int | str, ...]) -> str:
    """Format a shape as Python writes it."""
    inner = ", ".join(str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


# ------------------------------------------------------------------------------------ conditions
#
# Without network, and with only temporary directories writable.


@rule("VCP702")
def test_vcp702_model_needs_no_network(vcp_network_requirement: Requirement | None) -> None:
    """The artifact loads and predicts with the network off."""
    if vcp_network_requirement is not None:
        raise Violation(
            expected="the artifact loads and predicts with the network off",
            found=describe_requirement(vcp_network_requirement, "asked for"),
            remedy="put what is downloaded into model_data/ and declare it as an artifact",
            where=vcp_network_requirement.where,
        )


@rule("VCP703")
def test_vcp703_model_writes_to_temporary_places_only(vcp_writing: Writing) -> None:
    """The artifact loads and predicts from read-only files, and writes only temporary ones."""
    requirement, changed, shared = vcp_writing.requirement, vcp_writing.changed, vcp_writing.shared
    if requirement is not None:
        raise Violation(
            expected="loading and predicting where only temporary directories can be written to",
            found=describe_requirement(requirement, "tried to write"),
            remedy="write into a directory from the tempfile module",
            where=requirement.where,
        )
    if changed:
        raise Violation(
            expected="the same artifact after a prediction as before",
            found=f"{changed[0]}, which the model changed{and_others(len(changed))}",
            remedy="write into a directory from the tempfile module",
        )
    if shared:
        raise Violation(
            expected="temporary files in a directory of the process's own",
            found=f"{shared[0]}, which two processes would both write{and_others(len(shared))}",
            remedy="write into a directory from the tempfile module",
            binds=False,
        )


@rule("VCP720")
def test_vcp720_model_needs_no_home(vcp_home_requirement: Requirement | None) -> None:
    """The artifact loads and predicts without a writable home directory."""
    if vcp_home_requirement is not None:
        raise Violation(
            expected="the artifact loads and predicts with a home directory that is read-only",
            found=describe_requirement(vcp_home_requirement, "tried to write"),
            remedy="set the library's cache to tempfile.mkdtemp() at the top of "
            "model_code/__init__.py",
            where=vcp_home_requirement.where,
        )


@rule("VCP721")
def test_vcp721_the_process_is_left_as_it_was(
    vcp_process_changes: tuple[ProcessChange, ...],
) -> None:
    """Loading and predicting leave the process as it was.

    Environment variables, signal handlers, filters of warnings, and the defaults of numpy and torch
    had better be, too.
    """
    if vcp_process_changes:
        first = vcp_process_changes[0]
        raise Violation(
            expected=f"{first.what} as it was before {first.step}: {first.old}",
            found=f"{first.new}{and_others(len(vcp_process_changes))}",
            remedy=f"avoid the change, or undo it before {first.step} returns",
            binds=first.binds,
        )


def describe_requirement(requirement: Requirement, did: str) -> str:
    """Describe the model's error, and what it tried to access if the error does not say so."""
    if not requirement.wanted or any(name in requirement.said for name in requirement.wanted):
        return requirement.said
    return (
        f"{requirement.said}; it {did} {requirement.wanted[0]}{and_others(len(requirement.wanted))}"
    )


# ---------------------------------------------------------------------------------------- params
#
# The params of a request, besides its input.


@rule("VCP711")
def test_vcp711_no_params_means_the_defaults(vcp_params_effect: Reply, vcp_spec: ModelSpec) -> None:
    """Without params, the model predicts as with the declared defaults."""
    found = require_params_reply(vcp_params_effect)
    if found["refused"]:
        raise Blocked("VCP712")
    if found["difference"]:
        raise Violation(
            expected="the same output without params as with all of them at their defaults",
            found=found["difference"]["what"],
            remedy="let predict fall back on the defaults that MODEL_SIGNATURE declares",
            where=vcp_spec.signature.where,
        )


@rule("VCP712")
def test_vcp712_params_are_taken_and_checked(vcp_params_effect: Reply) -> None:
    """Every declared param is accepted at its default, and a value of another type is refused."""
    found = answer(vcp_params_effect, "params at their defaults are taken")
    if found["refused"]:
        refused = found["refused"]
        raise Violation(
            expected=f"a prediction with {refused['name']} at its default",
            found=refused["problem"],
            remedy="take every declared param, by its name and of its declared type",
        )
    if found["mistaken"]:
        raise Violation(
            expected=f"a value of another type for {found['mistaken'][0]!r} is refused",
            found="it was taken, and the model predicted",
            remedy="leave MLflow's check of params in force; don't replace it from model_code",
        )


@rule("VCP713")
def test_vcp713_batches_change_nothing(vcp_other_batches: Reply) -> None:
    """Another batch_size gives the same output within tolerance."""
    found = answer(vcp_other_batches, "a prediction in other batches")
    expected = f"the same output with batch_size={found['size']}"
    if found["problem"]:
        raise Violation(
            expected=expected,
            found=found["problem"],
            remedy="let predict work in batches of any size; the last is often smaller",
        )
    if found["difference"]:
        raise Violation(
            expected=expected,
            found=found["difference"]["what"],
            remedy="call eval(), and normalise with stored statistics instead of the batch's own",
        )


@rule("VCP718")
def test_vcp718_params_reach_the_model(
    vcp_params_effect: Reply, vcp_wrapper: WrapperFacts | NotFound
) -> None:
    """A value given for a declared param reaches the model."""
    found = require_params_reply(vcp_params_effect)
    if not found["declared"]:
        return
    method = vcp_wrapper.predict if isinstance(vcp_wrapper, WrapperFacts) else None
    where = method.where if isinstance(method, Method) else None
    unread = isinstance(method, Method) and not reads_params(method)
    if not found["reaches"] or unread:
        raise Violation(
            expected=f"a predict that uses its params: {', '.join(found['declared'])}",
            found="a predict that never reads them"
            if found["reaches"]
            else "a predict without a parameter named params, so that MLflow drops them",
            remedy="take params=None in predict, and pass the values on to the model",
            where=where,
        )


def require_params_reply(reply: Reply) -> Mapping[str, Any]:
    """Return the reply on params. Raises Blocked without one, which another rule reports."""
    if reply.content is None:
        raise Blocked("VCP712")
    return reply.content


def reads_params(method: Method) -> bool:
    """Return whether the method reads its params at all, as far as its source shows."""
    nodes = list(ast.walk(method.node))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return bool(names & {"params", "locals", "vars"}) or method.opaque


# -------------------------------------------------------------------------------------- expected
#
# The prediction, compared with the one that was recorded in the package.


@rule("VCP714")
def test_vcp714_recorded_output_is_reproduced(vcp_expected: Expected) -> None:
    """The recorded output of the example is reproduced within tolerance."""
    if vcp_expected.refused:
        raise Violation(
            expected="an output that was recorded for this variant, signature and example",
            found=vcp_expected.refused,
            remedy="record it again with --vcp-record-expected, or undo the change",
            where=Location(vcp_expected.file),
        )
    if vcp_expected.difference:
        raise Violation(
            expected=f"what was recorded ({vcp_expected.origin}), within tolerance",
            found=vcp_expected.difference,
            remedy="find out what changed: weights, code or pins; if it is intended, record again "
            "with --vcp-record-expected",
            where=Location(vcp_expected.file),
        )


# ---------------------------------------------------------------------------------------- inputs
#
# The model's reaction to inputs other than the example's.


@rule("VCP715")
def test_vcp715_bad_inputs_are_refused(vcp_refusals: Reply) -> None:
    """A missing input raises an error that names it, and an unreadable one raises an error."""
    cases = answer(vcp_refusals, "an error for an input that is not there")["cases"]
    for case, reply in cases.items():
        if not reply["raised"]:
            raise Violation(
                expected=f"an error for an input that is {case}",
                found="a prediction",
                remedy="let the error of the reader through, or raise one that names the input",
            )
    if not cases["missing"]["names"]:
        raise Violation(
            expected="an error that names the missing input",
            found=cases["missing"]["text"],
            remedy="check that the file exists, and put its name into the error",
        )


@rule("VCP717")
def test_vcp717_observations_are_independent(vcp_halved: Reply | None) -> None:
    """The output for an observation does not depend on the others in the input."""
    if vcp_halved is None:
        return
    found = answer(vcp_halved, "a prediction on half of the observations")
    if found["problem"] and found["untried"]:
        raise Unverified(f"the input could not be halved: {found['problem']}")
    received = found["problem"] or (found["difference"] and found["difference"]["what"])
    if received:
        raise Violation(
            expected="the same output where half of the other observations are left out",
            found=received,
            remedy="use statistics of the training data, not of the input at hand",
        )


@rule("VCP719")
def test_vcp719_unknown_features_are_refused(vcp_unknown_features: Reply | None) -> None:
    """An AnnData input with no feature that the model knows is refused."""
    if vcp_unknown_features is None:
        return
    found = answer(vcp_unknown_features, "an error for features that the model does not know")
    if found["untried"]:
        raise Unverified(f"the features could not be renamed: {found['problem']}")
    if not found["refused"]:
        raise Violation(
            expected="an error for an input with features of unknown names",
            found="a prediction",
            remedy="look features up by name, and refuse an input that has too few of the model's",
        )
