"""All facts about one variant, each gathered once, in the order in which they rest on each other.

Each class adds the facts of a stage to those of the stages before. The fixtures of `session` hand
them out under the same names, with `vcp_` before; the gates take them from here. A fact of a later
stage raises `Blocked` while an earlier rule is broken.
"""

from __future__ import annotations

from pytest_vcp.facts.device import DeviceFacts
from pytest_vcp.facts.fact import fact
from pytest_vcp.rulebook.violations import Blocked, ToolError, Unverified
from pytest_vcp.trial.gpu_use import GpuUse, Held, held_over_passes
from pytest_vcp.trial.model import LoadedModel
from pytest_vcp.trial.prediction import Attempt, read_device


class Facts(DeviceFacts):
    """The same, and what a GPU makes of it."""

    @fact
    def gpu_pass(self) -> Attempt:
        """The first forward pass, where a GPU was visible to it."""
        self._want_inference()
        if self.settings.device == "cpu":
            raise Unverified("the CPU was asked for (--vcp-device cpu)")
        self._gates.enter(self, "device")
        trial = self._run_on_example()
        if not trial.sees_gpu() and self.settings.device == "cuda":
            raise ToolError(
                "--vcp-device cuda was given, and the model's process sees no GPU",
                "run where there is one, or use --vcp-device auto",
            )
        if not trial.sees_gpu():
            raise Unverified("no GPU is visible to a GPU library of the model")
        return trial.predict()

    @fact
    def gpu_use(self) -> GpuUse:
        """What the first forward pass took on the GPU."""
        reply = self.gpu_pass.reply
        if reply is None:
            raise Blocked("VCP903")
        trial = self._run_on_example()
        use = trial.gpus.use(read_device(reply), trial.pid)
        if use is None:
            raise Unverified("nobody tells here what the model's process holds on the GPU")
        return use

    @fact
    def gpu_held(self) -> Held:
        """What is held on the GPU after each of several forward passes there."""
        use = self.gpu_use
        self._gates.require(self, "VCP902", "VCP903")
        passes = self.settings.policy.gpu_passes
        return held_over_passes(self._run_on_example(), passes, use.counted)

    @fact
    def model(self) -> LoadedModel:
        trial = self.judged
        self._gates.require(self, "VCP704")
        return LoadedModel(trial, self.settings)
