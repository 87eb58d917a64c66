"""The one comparison of outputs, in an environment that has numpy, as the worker runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import pytest_vcp
from fixtures.environments import environment_of
from fixtures.references import PACKAGES, PCA_50

LOCK = PACKAGES / PCA_50.package / "mlflow_pkg" / "requirements.txt"
# Evaluates the expressions that come on standard input; the answers go out as JSON.
SCRIPT = """
import json, sys, tempfile, tracemalloc
sys.path.insert(0, sys.argv[1])
import numpy as np
from server.comparing import compare, difference
from server.outputs import against_json, read_rows, through_json

def peak(size, tolerance):
    wanted = np.ones(size, np.float32)
    found = wanted + np.float32(1)
    tracemalloc.start()
    difference(wanted, found, tolerance)
    return tracemalloc.get_traced_memory()[1] / wanted.nbytes

def rows(array, text=None):
    # Whether the rows read from a file are these; None where it has to be parsed as a whole.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(text or json.dumps({"predictions": array.tolist()}))
        file.flush()
        found = read_rows(file.name, array)
    if found is None or not isinstance(array, dict):
        return None if found is None else bool((found == array).all())
    return all(bool((found[name] == array[name]).all()) for name in array)

told = {name: eval(text) for name, text in json.load(sys.stdin).items()}
print(json.dumps(told))
"""


def tolerance(absolute: float = 0.01, relative: float = 0.0, ppm: float = 0.0) -> str:
    """A tolerance as an expression; float16 has ten times as much of it."""
    limits = {"absolute": absolute, "relative": relative, "mismatch_ppm": ppm}
    coarse = {**limits, "absolute": absolute * 10, "relative": relative * 10}
    return repr({**limits, "by_dtype": {"float16": coarse}})


def arrays(wanted: str, found: str, **limits: float) -> str:
    return f"difference({wanted}, {found}, {tolerance(**limits)})"


def answer(predicted: str, received: str, **limits: float) -> str:
    return f"against_json({predicted}, {received}, {tolerance(**limits)})"


LABELS = "np.array(['B cell', 'T cell'])"
OBJECTS = "np.array(['B', 1, None, float('nan')], object)"
MANY = "np.zeros((1000, 1000), np.float32)"
LARGE = "np.linspace(-1, 1, 3_000_000, dtype=np.float32)"
NEAR_THE_END = "np.pad(np.float32([[[5]]]), ((0, 0), (990, 9), (7, 992)))[0]"

# What is compared, and what is told of it.
CASES: dict[str, tuple[str, str | None]] = {
    "within absolute": (arrays("np.array([1.0, 2.0])", "np.array([1.009, 2.0])"), None),
    "beyond absolute": (
        arrays("np.float32([[1, 2], [3, 4]])", "np.float32([[1, 2], [3.5, 4.25]])"),
        "2 of 4 values differ, the most at [1, 0]: 3.5 instead of 3.0 (0.5 apart; 0.01 allowed)",
    ),
    "within relative": (arrays("np.array([1000.0])", "np.array([1000.9])", relative=0.001), None),
    # It is the wanted value that the share is taken of.
    "beyond relative": (
        arrays("np.array([1.0])", "np.array([2.0])", absolute=0, relative=0.6),
        "1 of 1 values differ, the most at [0]: 2.0 instead of 1.0 (1 apart; 0.6 allowed)",
    ),
    "no tolerance at all": (
        arrays("np.array([1.0])", "np.array([1.5])", absolute=0),
        "1 of 1 values differ, the most at [0]: 1.5 instead of 1.0 (0.5 apart; 0 allowed)",
    ),
    "as many as may": (
        arrays("np.zeros(4)", "np.array([0, 0, 9, 0.0])", ppm=250_000),
        None,
    ),
    "more than may": (
        arrays("np.zeros(4)", "np.array([0, 7, 9, 0.0])", ppm=250_000),
        (
            "2 of 4 values differ (500000 ppm; 250000 allowed), the most at [2]: 9.0 instead of "
            "0.0 (9 apart; 0.01 allowed)"
        ),
    ),
    "worst in a later part": (
        arrays(MANY, f"{MANY} + {NEAR_THE_END} + np.eye(1000, dtype=np.float32)"),
        (
            "1001 of 1000000 values differ, the most at [990, 7]: 5.0 instead of 0.0 "
            "(5 apart; 0.01 allowed)"
        ),
    ),
    "columns first in memory": (
        arrays("np.zeros((2, 3))", "np.asfortranarray([[0, 0, 1], [0, 0, 0.0]])"),
        "1 of 6 values differ, the most at [0, 2]: 1.0 instead of 0.0 (1 apart; 0.01 allowed)",
    ),
    "no dimension": (
        arrays("np.array(1.0)", "np.array(2.0)"),
        "1 of 1 values differ, the most at []: 2.0 instead of 1.0 (1 apart; 0.01 allowed)",
    ),
    "no values": (arrays("np.zeros((0, 3))", "np.zeros((0, 3))"), None),
    "NaN is NaN": (arrays("np.array([np.nan, 1])", "np.array([np.nan, 1])"), None),
    "NaN is nothing else": (
        arrays("np.array([1, 2, np.nan])", "np.array([9, np.nan, 3])"),
        "3 of 3 values differ, the most at [1]: nan instead of 2.0",
    ),
    "infinity is itself": (arrays("np.array([np.inf])", "np.array([np.inf])", relative=1), None),
    "infinity is not its opposite": (
        arrays("np.array([np.inf])", "np.array([-np.inf])", relative=1),
        "1 of 1 values differ, the most at [0]: -inf instead of inf",
    ),
    "infinity takes no number": (
        arrays("np.array([np.inf])", "np.array([1e308])", relative=1),
        "1 of 1 values differ, the most at [0]: 1e+308 instead of inf",
    ),
    "a number takes no infinity": (
        arrays("np.array([1.0])", "np.array([np.inf])", relative=1),
        "1 of 1 values differ, the most at [0]: inf instead of 1.0",
    ),
    "float16 by its own tolerance": (arrays("np.float16([1])", "np.float16([1.09])"), None),
    "float16 beyond its own": (
        arrays("np.float16([1])", "np.float16([1.25])"),
        "1 of 1 values differ, the most at [0]: 1.25 instead of 1.0 (0.25 apart; 0.1 allowed)",
    ),
    # Their difference is no float16. numpy writes as many digits as tell 65504 from its neighbours.
    "float16 at its ends": (
        arrays("np.float16([65504])", "np.float16([-65504])"),
        (
            "1 of 1 values differ, the most at [0]: -65500.0 instead of 65500.0 "
            "(1.31e+05 apart; 0.1 allowed)"
        ),
    ),
    "floats of two widths": (arrays("np.float32([1])", "np.float64([1.001])"), None),
    "coarser of two widths": (arrays("np.float32([1])", "np.float16([1.09])"), None),
    "complex": (
        arrays("np.array([1 + 1j])", "np.array([1 + 2j])"),
        "1 of 1 values differ, the most at [0]: (1+2j) instead of (1+1j) (1 apart; 0.01 allowed)",
    ),
    "whole numbers in place of floats": (
        arrays("np.float32([1])", "np.int64([1])"),
        "dtype int64 instead of float32",
    ),
    "floats in place of whole numbers": (
        arrays("np.int64([1])", "np.float64([1])"),
        "dtype float64 instead of int64",
    ),
    "another shape": (
        arrays("np.zeros((2, 3))", "np.zeros((3, 2))"),
        "shape (3, 2) instead of (2, 3)",
    ),
    "whole numbers, exactly": (
        arrays("np.int64([2**60, 7])", "np.int64([2**60 + 1, 9])", absolute=9, ppm=1e6),
        f"2 of 2 values differ, first at [0]: {2**60 + 1} instead of {2**60}",
    ),
    "whole numbers of two widths": (arrays("np.int32([1])", "np.int64([1])"), None),
    "truth values, exactly": (
        arrays("np.array([True, False])", "np.array([True, True])", absolute=9, ppm=1e6),
        "1 of 2 values differ, first at [1]: True instead of False",
    ),
    "labels, exactly": (
        arrays(LABELS, "np.array(['B cell', 'T cells'])", ppm=1e6),
        "1 of 2 values differ, first at [1]: 'T cells' instead of 'T cell'",
    ),
    "labels in longer fields": (arrays(LABELS, f"{LABELS}.astype('<U40')"), None),
    "a long label is cut": (
        arrays("np.array(['a'])", "np.array(['b' * 500])"),
        f"1 of 1 values differ, first at [0]: '{'b' * 59}... instead of 'a'",
    ),
    "objects": (arrays(OBJECTS, OBJECTS), None),
    "objects of another type": (
        arrays("np.array([1, None], object)", "np.array([True, None], object)"),
        "1 of 2 values differ, first at [0]: True instead of 1",
    ),
    "objects that can't be compared": (
        (
            "(lambda a, b: a.fill([np.zeros(2)]) or b.fill((np.ones(2),)) or "
            f"difference(a, b, {tolerance()}))(np.empty(1, object), np.empty(1, object))"
        ),
        "1 of 1 values differ, first at [0]: (array([1., 1.]),) instead of [array([0., 0.])]",
    ),
    "times": (
        arrays("np.array(['2024-01-01', 'NaT'], 'M8[D]')", "np.array(['2024-01-01', 'NaT'], 'M8')"),
        None,
    ),
    "an output that is not there": (
        f"compare({{'a': np.zeros(1)}}, {{}}, {tolerance()})['what']",
        "outputs [] instead of ['a']",
    ),
    "by the name of the output": (
        f"compare({{'a': np.zeros(1)}}, {{'a': np.ones(1)}}, {tolerance()})['what']",
        (
            "in output 'a': 1 of 1 values differ, the most at [0]: 1.0 instead of "
            "0.0 (1 apart; 0.01 allowed)"
        ),
    ),
    "sent and received": (answer("np.float32([[1, 2]])", "[[1, 2.0]]"), None),
    "whole numbers sent": (answer("np.int64([2**60])", "[2**60]"), None),
    "a fraction received": (
        answer("np.int64([3])", "[3.7]"),
        "the output comes back as something else: 3.7 instead of int64",
    ),
    "a number that does not fit": (
        answer("np.int8([3])", "[259]"),
        "the output comes back changed: 1 of 1 values differ, first at [0]: 259 instead of 3",
    ),
    "truth values sent": (answer("np.array([True])", "[True]"), None),
    "a number for a truth value": (
        answer("np.array([True])", "[1]"),
        "the output comes back as something else: 1 instead of bool",
    ),
    "labels sent": (answer(LABELS, "['B cell', 'T cell']"), None),
    "a longer label received": (
        answer(LABELS, "['B cell', 'T cells']"),
        (
            "the output comes back changed: 1 of 2 values differ, first at [1]: "
            "'T cells' instead of 'T cell'"
        ),
    ),
    "a number for a label": (
        answer(LABELS, "['B cell', 7]"),
        "the output comes back as something else: 7 instead of str",
    ),
    "objects sent": (answer("np.array(['B', 1, None], object)", "['B', 1, None]"), None),
    "no numbers sent": (answer("np.zeros((0, 2), np.int64)", "[]"), None),
    "one of several outputs": (
        answer("{'a': np.zeros(1), 'b': np.zeros(1)}", "{'a': [0.0], 'b': [1.0]}"),
        (
            "output 'b' comes back changed: 1 of 1 values differ, the most at [0]: 1.0 instead of "
            "0.0 (1 apart; 0.01 allowed)"
        ),
    ),
    "a large array through JSON": (f"through_json({LARGE}, {tolerance()})", None),
    "one value in a large array that JSON has not": (
        f"through_json(np.where({LARGE} == {LARGE}[1_234_567], np.nan, {LARGE}), {tolerance()})",
        "ValueError: NaN is not JSON",
    ),
    "a large array in a dict": (
        f"through_json({{'a': {LARGE}, 'b': np.array(['x', 'y'])}}, {tolerance()})",
        None,
    ),
}
PEAK = {"peak": f"peak(8_000_000, {tolerance()})"}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the comparison says in each case: one process for all of them."""
    return _evaluate({**{name: text for name, (text, _) in CASES.items()}, **PEAK})


def _evaluate(expressions: dict[str, str]) -> dict[str, Any]:
    place = Path(pytest_vcp.__file__).parent / "worker"
    done = subprocess.run(
        [environment_of(LOCK).python, "-I", "-B", "-c", SCRIPT, place],
        input=json.dumps(expressions),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", CASES)
def test_what_is_told(told: dict[str, Any], case: str) -> None:
    assert told[case] == CASES[case][1]


def test_a_large_output_is_compared_in_parts(told: dict[str, Any]) -> None:
    assert told["peak"] < 1, "it took more memory than the output itself"


TABLE = "np.linspace(-1, 1, 1_000_000, dtype=np.float32).reshape(-1, 100)"
COUNTS = "np.arange(1_000_000, dtype=np.int32).reshape(-1, 100)"
SENT = f"json.dumps({{'predictions': {COUNTS}.tolist()}})"
BOTH = f"{{'count': {COUNTS}, 'score': {TABLE}}}"
BOTH_SENT = f"{{'predictions': {{'score': {TABLE}.tolist(), 'count': {COUNTS}.tolist()}}}}"
READ = {
    "whole numbers": (f"rows({COUNTS})", True),
    "whole numbers, one other": (f"rows({COUNTS}, {SENT}.replace(' 77,', ' 78,'))", False),
    "whole numbers, one fraction": (f"rows({COUNTS}, {SENT}.replace(' 77,', ' 77.0,'))", None),
    "whole numbers, one truth value": (f"rows({COUNTS}, {SENT}.replace(' 1,', ' true,'))", None),
    "whole numbers, one beyond": (f"rows({COUNTS}, {SENT}.replace(' 77,', ' {2**64 - 1},'))", None),
    "unsigned, one negative": (
        f"rows({COUNTS}.astype(np.uint32), {SENT}.replace(' 77,', ' -77,'))",
        None,
    ),
    "one dimension": (f"rows({TABLE}.ravel())", True),
    "two in a dict": (f"rows({BOTH}, json.dumps({BOTH_SENT}))", True),
    "two in a dict, another value": (
        f"rows({BOTH}, json.dumps({BOTH_SENT}).replace(' 77,', ' 78,'))",
        False,
    ),
    "two in a dict, another name": (
        f"rows({BOTH}, json.dumps({BOTH_SENT}).replace('count', 'number'))",
        None,
    ),
    "labels in a dict": (
        f"rows({{'a': {TABLE}, 'b': np.array(['x'])}}, ' ' * 5_000_000)",
        None,
    ),
    "three, with rows that are large": (f"rows({TABLE}.reshape(2, 1000, 500))", True),
    "a large table": (f"rows({TABLE})", True),
    "another form": (f"rows({TABLE}, ' ' * 5_000_000 + '[]')", None),
    "cut off": (f"rows({TABLE}, json.dumps({{'predictions': {TABLE}.tolist()}})[:-2])", None),
    "too few rows": (f"rows({TABLE}, json.dumps({{'predictions': {TABLE}[1:].tolist()}}))", None),
    "too many rows": (
        f"rows({TABLE}[1:], json.dumps({{'predictions': {TABLE}.tolist()}}))",
        None,
    ),
    "rows of another length": (
        f"rows({TABLE}, json.dumps({{'predictions': {TABLE}[:, 1:].tolist()}}))",
        None,
    ),
    "not a number": (
        f"rows({TABLE}, json.dumps({{'predictions': {TABLE}.tolist()}}).replace('1.0', 'NaN'))",
        None,
    ),
    "a small table": ("rows(np.zeros((3, 4)))", None),
}


@pytest.fixture(scope="module")
def read() -> dict[str, Any]:
    return _evaluate({name: text for name, (text, _) in READ.items()})


@pytest.mark.parametrize("name", READ)
def test_large_tables_are_read_row_by_row(name: str, read: dict[str, Any]) -> None:
    assert read[name] is READ[name][1]
