"""What the model holds on GPUs between one prediction and the next."""

from __future__ import annotations

import gc
from typing import Any

from . import device
from .forward import parsed

Reply = dict[str, Any]


def after_a_pass(state: Reply, params: Reply) -> Reply:
    """Predict, let go of the result, and tell how many bytes torch holds on all GPUs then.

    `held_bytes` is None where torch has no GPU.
    """
    frame, arguments = parsed(state["model"], params["payload"])
    state["model"].predict(frame, params=arguments)
    gc.collect()
    return {"held_bytes": device.held_bytes(), "passes": 1}
