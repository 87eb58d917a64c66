"""The cost of a variant: seconds, bytes, rows per second. None means not measured; no guesses.

The figures are reported at the end of a run; the rules on time and memory use the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vcp.evaluation.prediction import Observations, Reply
from pytest_vcp.rules.outcomes import ToolError


@dataclass(frozen=True)
class ScalingStep:
    """A forward pass on the observations of the example, each `factor` times.

    `observations` is their number in all inputs, `rows` the first dimension of the outputs if they
    share one. `peak_rss_bytes` is the peak memory of the process so far, including loading;
    `peak_device_bytes` is the GPU peak of this pass, None if no GPU is visible.
    """

    factor: int
    observations: int
    rows: int | None
    seconds: float
    rows_per_second: float | None
    peak_rss_bytes: int
    peak_device_bytes: int | None


@dataclass(frozen=True)
class Figures:
    """The cost of the example in seconds and bytes, and the number of loads and forward passes.

    `import_seconds` are those of the wrapper's module and model_spec, and of what they import.
    The second forward pass is the one that is compared with the first; `rows_per_second` is that
    of the second, or of the first if there was no second. `peak_rss_bytes` is the peak memory of
    any process of the model, `peak_device_bytes` the peak on GPUs during the first pass.
    `scaling` is empty unless it was requested; `scaling_problem` says where it ended early.
    """

    import_seconds: float | None
    load_seconds: float | None
    forward_seconds: float | None
    second_forward_seconds: float | None
    rows_per_second: float | None
    peak_rss_bytes: int | None
    peak_device_bytes: int | None
    artifact_bytes: int | None
    model_loads: int
    forward_passes: int
    scaling: tuple[ScalingStep, ...] = ()
    scaling_problem: str | None = None


def read_figures(values: Mapping[str, Any]) -> Figures:
    """Build Figures from plain values, as returned by `dataclasses.asdict`."""
    steps = tuple(ScalingStep(**step) for step in values["scaling"])
    return Figures(**{**values, "scaling": steps})


def seconds_of(reply: Reply | None) -> float | None:
    """Return the seconds that a step took; None if it failed or was not waited for."""
    return None if reply is None or reply.content is None else float(reply.content["seconds"])


def peak_of(reply: Reply | None, otherwise: int | None) -> int | None:
    """Return the peak memory of the process when its pass on the example had ended, if known.

    The checks that follow need memory of their own. `otherwise` is the peak of the process so far.
    """
    if reply is None or reply.content is None:
        return otherwise
    return int(reply.content["peak_rss_bytes"])


def device_peak_of(reply: Reply | None) -> int | None:
    """Return the peak bytes on GPUs during a forward pass; None if it saw no GPU."""
    if reply is None or reply.content is None or not reply.content["device"]["gpus"]:
        return None
    return int(reply.content["device"]["peak_bytes"])


def rows_of(summary: Mapping[str, Any]) -> int | None:
    """Return the first dimension of the outputs if all of them share it, else None."""
    shapes = [entry["shape"] for entry in summary["entries"].values() if entry["is_array"]]
    lengths = {shape[0] if shape else None for shape in shapes}
    return lengths.pop() if len(lengths) == 1 else None


def rate(rows: int | None, seconds: float | None) -> float | None:
    """Return rows per second if both are known, else None."""
    return rows / seconds if rows is not None and seconds else None


def rate_of(first: Reply | None, second: Reply | None) -> float | None:
    """Return rows per second of the second forward pass on the example, else of the first."""
    if first is None or first.content is None:
        return None
    again = seconds_of(second)
    return rate(rows_of(first.content["summary"]), seconds_of(first) if again is None else again)


# --------------------------------------------------------------------------------------- scaling
#
# The scaling figure: the cost of passes on the example's observations several times over.
#
# It is optional and judges nothing: if a pass fails, the figure ends there and says why.

FACTORS = (1, 4, 16)

Ask = Callable[[str, Mapping[str, Any], str], Reply]


def measure(
    ask: Ask, request: Mapping[str, Any], observed: Sequence[Observations]
) -> tuple[tuple[ScalingStep, ...], str | None]:
    """Measure each pass up to the first failure; return the steps and why they ended early, if so.

    `ask` sends a request to the worker that loaded the model. `request` is the example, `observed`
    the observations in its inputs.
    """
    steps: list[ScalingStep] = []
    counts = [entry.observations for entry in observed if entry.is_anndata]
    known = [count for count in counts if count is not None]
    if not observed or len(counts) < len(observed):
        return (), "only observations of AnnData inputs can be repeated"
    if len(known) < len(counts):
        return (), "the observations of the example could not be counted"
    for factor in FACTORS:
        observations = factor * sum(known)
        reply = _try_pass(ask, {**request, "factor": factor})
        if isinstance(reply, str):
            return tuple(steps), f"×{factor} ({observations} observations): {reply}"
        steps.append(_step(factor, observations, reply))
    return tuple(steps), None


def _try_pass(ask: Ask, params: Mapping[str, Any]) -> Reply | str:
    """Run one pass; return its reply, or what went wrong."""
    doing = f"predicting on {params['factor']} times the observations"
    try:
        reply = ask("variations.predict_scaled", params, doing)
    except ToolError as problem:
        return problem.problem
    if reply.failure is None:
        return reply
    if not reply.failure.reached:
        return "the model's process had ended before"
    return reply.failure.summary


def _step(factor: int, observations: int, reply: Reply) -> ScalingStep:
    assert reply.content is not None
    rows, seconds = rows_of(reply.content["summary"]), seconds_of(reply)
    assert seconds is not None
    return ScalingStep(
        factor=factor,
        observations=observations,
        rows=rows,
        seconds=seconds,
        rows_per_second=rate(rows, seconds),
        peak_rss_bytes=reply.content["peak_rss_bytes"],
        peak_device_bytes=device_peak_of(reply),
    )
