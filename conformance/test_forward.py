"""Section 7: the forward pass of the finished artifact, where nothing but the artifact is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.evaluation.prediction import Loading, Observations, Output, Prediction, Reply
from pytest_vcp.evaluation.spec import Field, ModelSpec
from pytest_vcp.rules.outcomes import NO_REMEDY, Blocked, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.worker.client import WorkerFailure

# What an author may declare in place of converting; other dtypes fail the rules on signatures.
_DECLARABLE = ("float32", "float64", "int32", "int64", "bool", "str")


@rule("VCP701")
def test_vcp701_artifact_loads_elsewhere(vcp_loading: Loading) -> None:
    """The artifact loads in a fresh process, in another directory, without the source tree."""
    failure = vcp_loading.failure
    if failure is not None:
        raise Violation(
            expected="the artifact loads with its own code and weights, in another folder",
            received=failure.summary,
            remedy=failure.remedy or told_by_type(failure),
            where=failure.where,
        ) from failure
    if vcp_loading.leftovers:
        raise Violation(
            expected="no process of the model outlives the one that loaded it",
            received=f"left running: {vcp_loading.leftovers[0]}",
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
            received=failure.summary,
            remedy=failure.remedy or told_by_type(failure),
            where=failure.where,
        ) from failure
    assert vcp_first_pass.content is not None
    problem = returned_instead(vcp_first_pass.content["summary"], names)
    if problem:
        received, remedy = problem
        raise Violation(expected=expected, received=received, remedy=remedy)


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
            raise Violation(
                expected=f"shape {shown(wanted)}{of(declared)}, with -1 for any size above 0",
                received=f"shape {shown(output.shape)}",
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
                expected=f"dtype {declared.type}{of(declared)}",
                received=f"dtype {output.dtype}",
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
                expected=f"finite values{of_name(name)}",
                received=f"{output.not_finite} of {total} are not, first {value} at {list(index)}",
                remedy="look for division by zero, log of zero or an overflow on the example",
            )


@rule("VCP708")
def test_vcp708_output_tells_something(vcp_prediction: Prediction) -> None:
    """The values of an output are not all the same, and neither are its rows."""
    for name, output in vcp_prediction.outputs.items():
        if output.alike:
            raise Violation(
                expected=f"values that differ{of_name(name)}, and rows that differ",
                received=f"{output.alike} that are all the same, of shape {shown(output.shape)}",
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
            told = " + ".join(map(str, counts))
            total = f"{told} = {sum(counts)}" if len(counts) > 1 else told
            raise Violation(
                expected=f"{total} rows{of(declared)}, one for each observation of the input",
                received=f"{output.shape[0]} rows",
                remedy="return a row for each, in their order; declare a pooled output as (1, ...)",
            )


@rule("VCP710")
def test_vcp710_prediction_repeats(
    vcp_prediction: Prediction, vcp_repeats: tuple[Reply, Reply]
) -> None:
    """The same input gives the same output within tolerance."""
    again, elsewhere = vcp_repeats
    told = "again, after a call with other params" if turned(again) else "a second time"
    for reply, when in ((again, told), (elsewhere, "in another process")):
        if reply.failure is not None:
            raise Violation(
                expected="the same output for the same input",
                received=f"{reply.failure.summary} ({when})",
                remedy=reply.failure.remedy or "keep no state from call to call in the wrapper",
                where=reply.failure.where,
            ) from reply.failure
        difference = reply.content and reply.content["difference"]
        if difference:
            raise Violation(
                expected="the same output for the same input, within tolerance",
                received=f"{when}: {difference['what']}",
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
                received=f"{found / scale:.3g} {unit}",
                remedy="take a smaller input for the example, or make the model load less",
            )


def told_by_type(failure: WorkerFailure) -> str:
    """What to do about an exception that comes up where only the artifact is there."""
    if failure.exception in ("FileNotFoundError", "NotADirectoryError"):
        return "put the file into model_data/, and take its path from context.artifacts"
    return NO_REMEDY


def returned_instead(
    summary: Mapping[str, Any], names: Sequence[str | None]
) -> tuple[str, str] | None:
    """What predict returned in place of arrays by these names, and what to do about it."""
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


def turned(reply: Reply) -> bool:
    """Whether the model took a call with other params in between."""
    return bool(reply.content and reply.content["other_params"])


def outputs(prediction: Prediction, spec: ModelSpec) -> Iterator[tuple[Field, Output]]:
    """Each declared output with what was returned for it."""
    if not prediction.is_arrays:
        raise Blocked("VCP704")
    for declared in spec.signature.outputs:
        name = (declared.name or "") if prediction.is_dict else ""
        if name not in prediction.outputs and len(prediction.outputs) == 1:
            name = next(iter(prediction.outputs))
        if name not in prediction.outputs:
            raise Blocked("VCP704")
        yield declared, prediction.outputs[name]


def of(declared: Field) -> str:
    """How a declared output is referred to in a message."""
    return of_name(declared.name or "")


def of_name(name: str) -> str:
    return f" in output {name!r}" if name else ""


def shown(shape: tuple[int | str, ...]) -> str:
    """A shape as Python writes it."""
    inner = ", ".join(str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
