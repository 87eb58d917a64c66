"""Facts about devices and precisions: with a GPU, with another one, without any."""

from __future__ import annotations

import os

from pytest_vcp.environment.resolution import pins_by_name
from pytest_vcp.evaluation import nvml
from pytest_vcp.evaluation.device_runs import SECOND_GPU, WITHOUT_GPU, DeviceRun
from pytest_vcp.evaluation.gpu_kernels import Kernels, Target, read_kernels
from pytest_vcp.evaluation.gpu_memory import BY_TORCH, GpuUse, HeldMemory, held_over_passes
from pytest_vcp.evaluation.prediction import Reply, read_device
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.forward import unlike_declared
from pytest_vcp.facts.serving import ServingFacts
from pytest_vcp.rules.outcomes import Blocked, Unverified
from pytest_vcp.settings import devices
from pytest_vcp.settings.policy import FULL


class DeviceFacts(ServingFacts):
    """Facts about running on GPUs and in other precisions."""

    @fact(when="_want_inference", stage="forward")
    def without_gpu(self) -> Reply | None:
        """The first forward pass with no GPU visible; None if there is nothing to judge:
        the package may require a GPU, or its output is not as declared on any device."""
        if self.needs_gpu:
            return None
        session = self._run_on_example()
        failure = session.devices.missing_gpu()
        reply = self._pass_without_gpu if failure is None else Reply(None, failure)
        if reply.failure is not None and self.needs_gpu is None:
            raise Unverified("the artifact alone does not say whether the model needs a GPU")
        if reply.failure is None and unlike_declared(self.first_pass, self.spec) is not None:
            return None  # A fault on every device was judged before, and is waived.
        return reply

    @fact(requires=("VCP701", "VCP704"), holds=("VCP705", "VCP706"))
    def _pass_without_gpu(self) -> Reply:
        session = self._run_on_example()
        if not session.devices.has_gpu():
            return session.predict()
        if self.evaluated_session is not session:
            return self.evaluated_session.predict()
        return self._cpu_run.reply

    def _want_device(self) -> None:
        if self.settings.device == "cpu":
            raise Unverified("the CPU was asked for (--vcp-device cpu)")

    @fact(when=("_want_inference", "_want_device"), stage="device")
    def gpu_pass(self) -> Reply:
        """The first forward pass, if a GPU was visible to it."""
        session = self._run_on_example()
        if not session.devices.has_gpu():
            self._want_gpu()
            raise Unverified(self._no_gpu)
        return session.predict()

    @fact
    def gpu_use(self) -> GpuUse:
        """The GPU memory used by the first forward pass."""
        reply = self.gpu_pass.content
        if reply is None:
            raise Blocked("VCP903")
        use = self._run_on_example().devices.measure_use(read_device(reply))
        if use is None:
            raise Unverified("GPU memory of the model process can't be measured here")
        return use

    @fact(after="gpu_use", requires=("VCP902", "VCP903"))
    def gpu_held(self) -> HeldMemory:
        """The GPU memory held after each of several forward passes."""
        passes = self.settings.policy.gpu_passes
        return held_over_passes(self._run_on_example(), passes, self.gpu_use.counted)

    def _want_comparison(self) -> None:
        if self.needs_gpu:
            raise Unverified("the package needs a GPU, so there is nothing to compare with")

    @fact(after="_used_gpu", when="_want_comparison", requires="VCP901", holds="VCP710")
    def device_comparison(self) -> Reply:
        """The comparison of the outputs computed on a GPU and on a CPU."""
        # A nondeterministic output differs even on the same device.
        comparison = self._cpu_run.comparison
        if comparison is None:
            raise Unverified("the model's process ended before this could be tried")
        return comparison

    @fact
    def second_gpu(self) -> tuple[str, Reply]:
        """The name of another GPU, and the first forward pass with only that one visible."""
        reply = self._used_gpu
        assert reply.content is not None
        seen = read_device(reply.content).gpus
        if self.gpu_use.counted != BY_TORCH:
            raise Unverified("only of torch it is known which GPU it uses")
        # The driver also counts GPUs that the model's own code hides.
        number = max(len(seen), len(nvml.visible_with(self.settings.device)))
        shown = devices.visible_gpus(os.environ)
        if number < 2 or (shown is not None and len(shown) < 2):
            raise Unverified("only one GPU is visible")
        run = self._run_on_example().devices.run("cuda:1", SECOND_GPU)
        return devices.name_gpu(1), run.reply

    @fact(stage="device")
    def kernels(self) -> Kernels:
        """The architectures of the torch build, and the GPUs to support: present or named."""
        policy = self.settings.policy.gpu_capabilities
        named = tuple(Target(capability, "named by the policy") for capability in policy)
        visible = nvml.visible_with(self.settings.device)
        here = tuple(Target(gpu.capability, gpu.name) for gpu in visible)
        reply = self._kernels_of_torch(wanted=bool(named or here))
        if reply.content is None:
            raise Unverified(f"torch could not be asked: {reply.failure}")
        pin = pins_by_name(self.lock, self.environment).get("torch")
        return read_kernels(reply.content, here, named, pin.where if pin else None)

    @fact(after="prediction", stage="device")
    def precisions(self) -> tuple[tuple[str, Reply], ...]:
        """The forward pass in each precision that the policy names, if there is such a param."""
        names = self.settings.policy.precisions
        return tuple((name, self._in_precision(name)) for name in names)

    def _in_precision(self, name: str) -> Reply:
        more = {"precision": name}
        return self.evaluated_session.vary("variations.try_one", f"predicting in {name}", more=more)

    @fact(after="gpu_pass", requires=("VCP902", "VCP903"))
    def _used_gpu(self) -> Reply:
        """The forward pass on a GPU, once it is known to have run there and to be as declared."""
        return self.gpu_pass

    @fact
    def _cpu_run(self) -> DeviceRun:
        session, policy = self._run_on_example(), self.settings.policy
        tolerance = policy.in_force(policy.device_tolerances[FULL], self.precision)
        return session.devices.run("cpu", WITHOUT_GPU, tolerance)

    def _kernels_of_torch(self, *, wanted: bool) -> Reply:
        """Ask a process that has loaded the model, or its code, and so may have loaded torch."""
        method, doing = "device.describe_kernels", "asking torch for its kernels"
        if self.settings.skip_inference:
            return self._examine(doing, method, {"wanted": wanted})
        return self.session.ask(method, {"wanted": wanted}, doing)
