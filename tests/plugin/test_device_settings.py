"""Which GPUs a process sees for each choice of a device, also where the caller hides some."""

from __future__ import annotations

import pytest

from pytest_vcp.settings.devices import name_gpu, variables, visible_gpus, wants_gpu
from tests.plugin.conftest import CLASS, Configure
from tests.plugin.test_wrong_settings import refusal

pytest_plugins = ["pytester"]

NAME = "CUDA_VISIBLE_DEVICES"
IN_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.mark.parametrize(
    ("device", "caller", "told"),
    [
        ("auto", {}, {}),
        ("auto", {NAME: "3"}, {}),
        ("cuda", {NAME: "3"}, {}),
        ("cpu", {}, {NAME: ""}),
        ("cpu", {NAME: "3"}, {NAME: ""}),
        ("cuda:0", {}, {NAME: "0", **IN_ORDER}),
        ("cuda:1", {}, {NAME: "1", **IN_ORDER}),
        ("cuda:1", {NAME: "2, 5"}, {NAME: "5", **IN_ORDER}),
        ("cuda:0", {NAME: "GPU-8f2a"}, {NAME: "GPU-8f2a", **IN_ORDER}),
    ],
)
def test_a_process_sees_the_device_that_was_asked_for(
    device: str, caller: dict[str, str], told: dict[str, str]
) -> None:
    assert variables(device, caller) == told


def test_what_is_shown() -> None:
    assert visible_gpus({}) is None
    assert visible_gpus({NAME: ""}) == ()
    assert visible_gpus({NAME: "0,1"}) == ("0", "1")
    assert name_gpu(1, {NAME: "4,7"}) == "7"


def test_a_gpu_is_asked_for_with_and_without_an_index() -> None:
    wanted = [name for name in ("auto", "cpu", "cuda", "cuda:0") if wants_gpu(name)]
    assert wanted == ["cuda", "cuda:0"]


@pytest.mark.parametrize(
    ("visible", "told"),
    [("0", "CUDA_VISIBLE_DEVICES shows 1: choose from cuda:0"), ("", "which hides every GPU")],
)
def test_an_index_beyond_what_the_caller_shows_is_refused(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, visible: str, told: str
) -> None:
    monkeypatch.setenv(NAME, visible)
    assert told in refusal(configure, "--vcp-device=cuda:1", model_class=CLASS)


def test_a_gpu_can_not_be_required_on_the_cpu(configure: Configure) -> None:
    told = refusal(configure, "--vcp-require-gpu", "--vcp-device=cpu", model_class=CLASS)
    assert told == (
        "--vcp-require-gpu: 'on' is not usable; the CPU was asked for; leave --vcp-device out"
    )
