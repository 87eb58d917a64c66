"""The scaling figure: the example's observations several times over, what each pass takes.

It is asked for, and judges nothing: where a pass fails, the figure ends there and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.trial.figures import ScalingStep, device_peak_of, rate, rows_of, seconds_of
from pytest_vcp.trial.prediction import Attempt, Observations

FACTORS = (1, 4, 16)

Ask = Callable[[str, Mapping[str, Any], str], Attempt]


def measure(
    ask: Ask, request: Mapping[str, Any], observed: Sequence[Observations]
) -> tuple[tuple[ScalingStep, ...], str | None]:
    """What each pass took, as far as they went, and why they went no further.

    `ask` reaches the worker that loaded the model. `request` is the example, `observed` tells what
    its inputs hold.
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
        attempt = _tried(ask, {**request, "factor": factor})
        if isinstance(attempt, str):
            return tuple(steps), f"×{factor} ({observations} observations): {attempt}"
        steps.append(_step(factor, observations, attempt))
    return tuple(steps), None


def _tried(ask: Ask, params: Mapping[str, Any]) -> Attempt | str:
    """One pass, or what went wrong with it."""
    doing = f"predicting on {params['factor']} times the observations"
    try:
        attempt = ask("variations.predict_scaled", params, doing)
    except ToolError as problem:
        return problem.problem
    if attempt.failure is None:
        return attempt
    if not attempt.failure.reached:
        return "the model's process had ended before"
    return attempt.failure.summary


def _step(factor: int, observations: int, attempt: Attempt) -> ScalingStep:
    assert attempt.reply is not None
    rows, seconds = rows_of(attempt.reply["summary"]), seconds_of(attempt)
    assert seconds is not None
    return ScalingStep(
        factor=factor,
        observations=observations,
        rows=rows,
        seconds=seconds,
        rows_per_second=rate(rows, seconds),
        peak_rss_bytes=attempt.reply["peak_rss_bytes"],
        peak_device_bytes=device_peak_of(attempt),
    )
