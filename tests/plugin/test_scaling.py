"""The scaling figure: what it measures, and that whatever happens to it changes no verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.environments import environment_of
from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from tests.mutations.judging import assert_accepted
from tests.place import Place, place
from tests.runs import Run, run_vcp
from tests.strangers.building import LOCK_FROM
from tests.strangers.tables import CELL_TYPER

__all__ = ["place"]  # A fixture.

SCALING = "--vcp-scaling"
# The example has 48 cells, so these are the second and the third pass.
MANY, VERY_MANY = 4 * 48, 16 * 48


def steps_of(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.variant["figures"]["scaling"]
    return found


def above(cells: int, statement: str) -> str:
    return f"import os, signal\nif len(scores) >= {cells}:\n    {statement}\nreturn scores"


def test_each_pass_has_its_figures(place: Place) -> None:
    plain = place.run(cold=True)
    run = place.run(SCALING, cold=True)
    assert run.outcomes == plain.outcomes
    assert run.variant["verdict"] == plain.variant["verdict"] == "conformant"
    assert run.variant["artifact"] is not None
    steps = steps_of(run)
    assert [step["factor"] for step in steps] == [1, 4, 16]
    assert [step["observations"] for step in steps] == [48, MANY, VERY_MANY]
    for step in steps:
        assert step["rows"] == step["observations"]
        assert step["rows_per_second"] == pytest.approx(step["rows"] / step["seconds"])
        assert step["peak_device_bytes"] is None
    peaks = [step["peak_rss_bytes"] for step in steps]
    assert peaks == sorted(peaks)
    assert run.variant["figures"]["scaling_problem"] is None
    assert "  scaling     observations 48: " in run.output
    # What the larger inputs cost is no figure of the example.
    passes = [found.variant["figures"]["forward_passes"] for found in (plain, run)]
    assert passes[0] == passes[1]
    place.assert_nothing_left()
    place.assert_nothing_staged()


@pytest.mark.parametrize(
    ("cells", "statement", "told", "options"),
    [
        (MANY, "raise MemoryError('no room')", "×4 (192 observations): MemoryError: no room", ()),
        (
            VERY_MANY,
            "os.kill(os.getpid(), signal.SIGKILL)",
            "×16 (768 observations): the process was killed by SIGKILL (out of memory, ",
            (),
        ),
        (
            MANY,
            "__import__('time').sleep(600)",
            "×4 (192 observations): no answer within 10 s while predicting on 4 times the obs",
            ("--vcp-timeout=10",),
        ),
    ],
    ids=["raises", "is killed", "hangs"],
)
def test_a_pass_that_fails_ends_the_figure_and_nothing_else(
    place: Place, cells: int, statement: str, told: str, options: tuple[str, ...]
) -> None:
    returning(above(cells, statement))(place.package)
    run = place.run(SCALING, *options)
    assert_accepted(run, recorded=False)
    assert [step["observations"] for step in steps_of(run)] == [
        count for count in (48, MANY, VERY_MANY) if count < cells
    ]
    assert run.variant["figures"]["scaling_problem"].startswith(told)
    assert f"  not measured: {told}" in run.output
    place.assert_nothing_left()
    place.assert_nothing_staged()


def test_only_observations_are_repeated(tmp_path: Path) -> None:
    python = environment_of(LOCK_FROM / "requirements.txt").python
    package = CELL_TYPER.build(tmp_path, python)
    run = run_vcp(package, CELL_TYPER.options, SCALING)
    assert run.code == 0, run.output
    assert steps_of(run) == []
    told = "not measured: only observations of AnnData inputs can be repeated"
    assert f"  scaling     {told}" in run.output


def test_nothing_is_measured_where_nothing_predicts(package: Path) -> None:
    run = run_vcp(package, PCA_50.options, SCALING, "--vcp-skip-inference")
    assert run.code == 0, run.output
    assert "  scaling     not measured: there is no prediction on the example" in run.output


def test_a_run_that_is_cut_short_does_not_begin_with_it(package: Path) -> None:
    returning("print('scored')\nreturn scores")(package)
    run = run_vcp(package, PCA_50.options, SCALING, "--vcp-strict", "-x")
    assert run.code == 1, run.output
    assert steps_of(run) == []
    assert "scaling     " not in run.output


@pytest.mark.parametrize("how", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_every_variant_is_measured(package: Path, how: tuple[str, ...]) -> None:
    run = run_vcp(package, ["--vcp-variant=all"], SCALING, *how)
    assert run.code == 0, run.output
    assert run.report is not None
    for variant in run.report["variants"].values():
        assert [step["rows"] for step in variant["figures"]["scaling"]] == [48, MANY, VERY_MANY]
