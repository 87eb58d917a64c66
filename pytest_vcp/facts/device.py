"""Facts about devices that hold with and without a GPU."""

from __future__ import annotations

from pytest_vcp.environment.resolution import pins_by_name
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.serving import ServingFacts
from pytest_vcp.rulebook.violations import Unverified
from pytest_vcp.trial import driver
from pytest_vcp.trial.kernels import Kernels, Target, read_kernels
from pytest_vcp.trial.prediction import Attempt


class DeviceFacts(ServingFacts):
    """The same, and what the model makes of devices and precisions."""

    @fact
    def kernels(self) -> Kernels:
        """What torch was built for, and the GPUs that it has to serve: those here, those named."""
        self._gates.enter(self, "device")
        policy = self.settings.policy.gpu_capabilities
        named = tuple(Target(capability, "named by the policy") for capability in policy)
        visible = driver.visible_with(self.settings.device)
        here = tuple(Target(gpu.capability, gpu.name) for gpu in visible)
        attempt = self._kernels_of_torch(wanted=bool(named or here))
        if attempt.reply is None:
            raise Unverified(f"torch could not be asked: {attempt.failure}")
        pin = pins_by_name(self.lock, self.environment).get("torch")
        return read_kernels(attempt.reply, here, named, pin.where if pin else None)

    @fact
    def precisions(self) -> Attempt:
        """The forward pass in each precision that the policy names, where there is such a param."""
        _ = self.prediction
        self._gates.enter(self, "device")
        tried = {"precisions": self.settings.policy.precisions}
        return self.judged.vary("precisions.try_each", "predicting in each precision", more=tried)

    def _kernels_of_torch(self, *, wanted: bool) -> Attempt:
        """Ask a process that has loaded the model, or its code, and so may have loaded torch."""
        method, doing = "kernels.describe", "asking torch for its kernels"
        if self.settings.skip_inference:
            return self._examine(doing, method, {"wanted": wanted})
        return self.trial.ask(method, {"wanted": wanted}, doing)
