"""Facts about the forward pass on other devices: on a GPU, on another one, on none."""

from __future__ import annotations

from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.serving import ServingFacts
from pytest_vcp.rulebook.violations import Unverified
from pytest_vcp.settings import devices
from pytest_vcp.settings.tolerance import FULL
from pytest_vcp.trial.elsewhere import DeviceRun
from pytest_vcp.trial.prediction import Attempt, read_device
from pytest_vcp.trial.trial import Trial

_WITHOUT = "without-gpu"
_FORM = ("VCP704", "VCP705", "VCP706")


class DeviceFacts(ServingFacts):
    """The same, and what a GPU makes of it."""

    @fact
    def without_gpu(self) -> Attempt | None:
        """The first forward pass where no GPU is visible; None for a package that may need one."""
        self._want_inference()
        self._gates.enter(self, "forward")
        if self.needs_gpu:
            return None
        trial = self._run_on_example()
        failure = trial.lacks_gpu()
        if failure is not None and self.needs_gpu is None:
            raise Unverified("the artifact alone does not say whether the model needs a GPU")
        if failure is not None:
            return Attempt(None, failure)
        self._gates.require(self, "VCP701", *_FORM)
        if not trial.sees_gpu():
            return trial.predict()
        if self.judged is not trial:
            return self.judged.predict()
        return self._cpu_run.attempt

    @fact
    def gpu_pass(self) -> Attempt:
        """The first forward pass, where a GPU was visible to it."""
        self._want_inference()
        if self.settings.device == "cpu":
            raise Unverified("the CPU was asked for (--vcp-device cpu)")
        self._gates.enter(self, "device")
        trial = self._run_on_example()
        if not trial.sees_gpu():
            self._want_gpu()
            raise Unverified("no GPU is visible to a GPU library of the model")
        return trial.predict()

    @fact
    def device_comparison(self) -> Attempt:
        """The output computed on a GPU against the one that a CPU computes."""
        _ = self._used_gpu
        if self.needs_gpu:
            raise Unverified("the package needs a GPU, so there is nothing to compare with")
        self._gates.require(self, "VCP901")
        # What is another each time differs on one device, too.
        self._gates.hold(self, "VCP710")
        comparison = self._cpu_run.comparison
        if comparison is None:
            raise Unverified("the model's process ended before this could be tried")
        return comparison

    @fact
    def second_gpu(self) -> tuple[str, Attempt]:
        """The name of another GPU, and the first forward pass where it alone is visible."""
        attempt = self._used_gpu
        assert attempt.reply is not None
        if len(read_device(attempt.reply).gpus) < 2:
            raise Unverified("only one GPU is visible")
        run = self._run_on_example().on_device("cuda:1", "second-gpu")
        return devices.nth(1), run.attempt

    @property
    def _used_gpu(self) -> Attempt:
        """The forward pass on a GPU, once it is known to be one, and as declared."""
        attempt = self.gpu_pass
        self._gates.require(self, "VCP902", "VCP903")
        return attempt

    @fact
    def _cpu_run(self) -> DeviceRun:
        trial, policy = self._run_on_example(), self.settings.policy
        tolerance = policy.in_force(policy.device_tolerances[self._precision_of(trial)])
        return trial.on_device("cpu", _WITHOUT, tolerance)

    def _precision_of(self, trial: Trial) -> str:
        """The precision of the forward pass on the GPU, which may round more than was asked for."""
        reply = trial.predict().reply
        rounds = reply is not None and read_device(reply).tf32
        return "tf32" if self.precision == FULL and rounds else self.precision
