"""The precision that a request asks for, and the tolerance that comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.evaluation.spec import PRECISIONS, Param, Signature, defaults_of, precision_of
from pytest_vcp.rules.outcomes import Location
from pytest_vcp.settings.policy import Tolerance, load_policy


@pytest.mark.parametrize(
    ("value", "precision"),
    [
        *[(name, "float32") for name in ("32", 32, "32-true", "fp32", "float32", "FP32")],
        ("tf32", "tf32"),
        *[(name, "16-mixed") for name in ("16-mixed", "16", 16, "fp16", "16-true")],
        *[(name, "bf16-mixed") for name in ("bf16-mixed", "bf16", "bfloat16", " bf16-true ")],
        *[(name, "float32") for name in ("medium", "", None, True, ["16"])],
    ],
)
def test_names_of_a_precision(value: object, precision: str) -> None:
    assert precision_of({"precision": value}, {}) == precision
    assert precision_of(None, {"precision": value, "batch_size": 16}) == precision


def test_the_request_comes_before_the_default() -> None:
    assert precision_of({"precision": "32"}, {"precision": "16-mixed"}) == "float32"
    assert precision_of({"batch_size": 8}, {"precision": "16-mixed"}) == "16-mixed"
    assert precision_of(None, {}) == precision_of({}, {}) == "float32"


def test_defaults_are_read_as_they_are_written() -> None:
    params = (
        Param("precision", "string", "'bf16'", None),
        Param("batch_size", "long", "16", None),
        Param("since", "datetime", "np.datetime64('2024-01-01')", None),
    )
    signature = Signature(
        declared=True,
        type="ModelSignature",
        is_signature=True,
        inputs=(),
        outputs=(),
        params=params,
        document=None,
        problem=None,
        where=Location("model_spec.py"),
    )
    assert defaults_of(signature) == {"precision": "bf16", "batch_size": 16}


def test_the_policy_has_a_tolerance_for_each_precision() -> None:
    assert tuple(load_policy().device_tolerances) == PRECISIONS


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A policy with numbers that are easily told apart."""
    path = tmp_path / "hub.yaml"
    path.write_text(
        "tolerance:\n"
        "  batch: {absolute: 1, relative: 2, mismatch_ppm: 3}\n"
        "  by_dtype: {float16: 10, float64: 0.5}\n"
        "  device:\n"
        "    float32: {absolute: 1000, relative: 1000, mismatch_ppm: 1000}\n"
        "    16-mixed: {absolute: 5, relative: 0, mismatch_ppm: 7}\n",
        encoding="utf-8",
    )
    return path


def test_each_dtype_has_its_factor(policy_file: Path) -> None:
    policy = load_policy(policy_file)
    assert policy.in_force(policy.batch_tolerance) == {
        "absolute": 1,
        "relative": 2,
        "mismatch_ppm": 3,
        "by_dtype": {
            "float16": {"absolute": 10, "relative": 20, "mismatch_ppm": 3},
            "float64": {"absolute": 0.5, "relative": 1, "mismatch_ppm": 3},
        },
    }


def test_a_precision_widens_and_is_not_multiplied(policy_file: Path) -> None:
    policy = load_policy(policy_file)
    assert policy.in_force(policy.batch_tolerance, "16-mixed") == {
        "absolute": 5,
        "relative": 2,
        "mismatch_ppm": 7,
        "by_dtype": {
            "float16": {"absolute": 10, "relative": 20, "mismatch_ppm": 7},
            "float64": {"absolute": 5, "relative": 1, "mismatch_ppm": 7},
        },
    }


def test_full_precision_keeps_what_the_hub_wants(policy_file: Path) -> None:
    policy = load_policy(policy_file)
    assert policy.batch_tolerance == Tolerance(1, 2, 3)
    plain = policy.in_force(policy.batch_tolerance)
    assert policy.in_force(policy.batch_tolerance, "float32") == plain
