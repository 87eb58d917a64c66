"""The device of the forward pass: the option, and the GPUs that a process sees for it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping

from pytest_vcp.settings.values import Given, choice, refusal

VARIABLE = "CUDA_VISIBLE_DEVICES"
_NONE = ("", "-1")
_KNOWN = ("auto", "cpu", "cuda")
_INDEXED = re.compile(r"cuda:(\d+)")


def read_device(given: Given) -> str:
    """Read ``auto``, ``cpu``, ``cuda``, or ``cuda:N`` for one GPU of those that are visible."""
    if not _INDEXED.fullmatch(given.text):
        return choice(given, (*_KNOWN, "cuda:0"))
    there = visible_gpus(os.environ)
    if there is not None and _index(given.text) >= len(there):
        known = ", ".join(f"cuda:{index}" for index in range(len(there)))
        remedy = f"choose from {known}" if known else f"unset {VARIABLE}, which hides every GPU"
        raise refusal(given, f"{VARIABLE} shows {len(there)}: {remedy}" if known else remedy)
    return given.text


def wants_gpu(device: str) -> bool:
    """Return whether a GPU was requested, rather than used only where one is available."""
    return device.startswith("cuda")


def variables(device: str, caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables with which a process sees this device, and no other of its kind."""
    if device == "cpu":
        return {VARIABLE: ""}
    if _INDEXED.fullmatch(device):
        # With this order, GPUs are numbered as by the driver's tools.
        return {VARIABLE: name_gpu(_index(device), caller), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return {}


def name_gpu(index: int, caller: Mapping[str, str] = os.environ) -> str:
    """Return the name of the GPU that has this index among those that `caller` shows."""
    there = visible_gpus(caller)
    return str(index) if there is None else there[index]


def visible_gpus(caller: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the GPUs that the variable names, in its order; None where unset, which hides none.

    As in CUDA, entries after one that names no GPU, such as -1, are ignored.
    """
    if VARIABLE not in caller:
        return None
    names = (name.strip() for name in caller[VARIABLE].split(","))
    return tuple(itertools.takewhile(lambda name: name not in _NONE, names))


def _index(device: str) -> int:
    return int(device.partition(":")[2])
