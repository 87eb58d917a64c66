"""Section 9: the forward pass on a GPU."""

from __future__ import annotations

from pytest_vcp.evaluation.gpu_kernels import Kernels, format_capability
from pytest_vcp.evaluation.gpu_memory import BY_TORCH, GpuUse, HeldMemory
from pytest_vcp.evaluation.prediction import Reply, read_device
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.evaluation.spec import ModelSpec
from pytest_vcp.facts.forward import unlike_declared
from pytest_vcp.rules.outcomes import Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import list_names
from pytest_vcp.settings.resolved import Settings

ON_ONE_DEVICE = "keep model and batches on one device; end predict with .cpu().numpy()"

NOT_YOURS = "leave CUDA_VISIBLE_DEVICES to the user of the model"
WITHOUT_INDEX = 'use "cuda" without an index, which is the visible GPU'


@rule("VCP901")
def test_vcp901_runs_without_a_gpu(vcp_without_gpu: Reply | None, vcp_spec: ModelSpec) -> None:
    """The artifact loads and predicts where no GPU is visible, unless it declares that it needs
    one.
    """
    if vcp_without_gpu is None:
        return
    problem = unlike_declared(vcp_without_gpu, vcp_spec)
    if problem is not None:
        failure = vcp_without_gpu.failure
        raise Violation(
            expected=f"{problem.expected}, where no GPU is visible",
            found=problem.found,
            remedy=(failure and failure.remedy)
            or 'use "cuda" only where torch.cuda.is_available(), load weights with '
            'map_location="cpu"; or say compute_requirement: "GPU" in the model card',
            where=problem.where,
        )
    assert vcp_without_gpu.content is not None
    device = read_device(vcp_without_gpu.content)
    if device.gpus:
        raise Violation(
            expected="no GPU is visible where none is to be (CUDA_VISIBLE_DEVICES is empty)",
            found=visibility_changed(device.shown),
            remedy=NOT_YOURS,
        )


@rule("VCP902")
def test_vcp902_forward_pass_runs_on_the_gpu(vcp_gpu_use: GpuUse) -> None:
    """With a GPU visible, the forward pass runs on it."""
    use = vcp_gpu_use
    if not use.bytes:
        held = f"; {use.held_bytes / 1e6:.1f} MB were held before" if use.held_bytes else ""
        by_torch = use.counted == BY_TORCH
        raise Violation(
            expected=f"the forward pass runs on the visible GPU ({use.gpu})",
            found=f"it allocated no memory there{held}"
            if by_torch
            else f"no memory was taken there, {use.counted}",
            remedy='move model and batches to "cuda" if torch.cuda.is_available()'
            if by_torch
            else "choose the GPU where there is one: a provider, a device or a plugin for CUDA",
        )


@rule("VCP903")
def test_vcp903_gpu_output_is_as_declared(vcp_gpu_pass: Reply, vcp_spec: ModelSpec) -> None:
    """The output computed on a GPU is on the host, of the declared rank, shape and dtype."""
    problem = unlike_declared(vcp_gpu_pass, vcp_spec)
    if problem is not None:
        remedy = problem.remedy
        if failure := vcp_gpu_pass.failure:
            remedy = failure.remedy or ON_ONE_DEVICE
        raise Violation(
            expected=f"{problem.expected}, where a GPU is visible, too",
            found=problem.found,
            remedy=remedy,
            where=problem.where,
        )


@rule("VCP904")
def test_vcp904_gpu_and_cpu_agree(vcp_device_comparison: Reply) -> None:
    """A GPU and a CPU compute the same output, within the tolerance of the precision in use."""
    failure = vcp_device_comparison.failure
    if failure is not None:
        raise Unverified(f"the two could not be compared: {failure.summary}")
    assert vcp_device_comparison.content is not None
    difference = vcp_device_comparison.content["difference"]
    if difference:
        raise Violation(
            expected="the output of the CPU on a GPU too, within tolerance",
            found=f"on a GPU, {difference['what']}",
            remedy="compute both in one precision, draw random numbers on the host, and "
            "don't branch on the device in predict",
        )


@rule("VCP905")
def test_vcp905_gpu_memory_does_not_grow(vcp_gpu_held: HeldMemory, vcp_settings: Settings) -> None:
    """Repeated predictions hold no more GPU memory than the first."""
    policy = vcp_settings.policy
    slack, passes = policy.gpu_growth_bytes, policy.gpu_passes
    expected = f"at most {slack / 1e6:g} MB more held on the GPU after {passes} predictions"
    answer(vcp_gpu_held.last, expected)
    if vcp_gpu_held.growth > slack:
        grown = f"{vcp_gpu_held.growth / 1e6:.3g} MB more, some with each"
        raise Violation(
            expected=expected,
            found=f"{grown} ({vcp_gpu_held.counted})",
            remedy="keep nothing of a prediction on self or in the module; use inference_mode",
        )


@rule("VCP906")
def test_vcp906_the_visible_gpu_is_used(
    vcp_second_gpu: tuple[str, Reply], vcp_spec: ModelSpec
) -> None:
    """Where another GPU alone is visible, the forward pass runs on that one."""
    name, reply = vcp_second_gpu
    expected = f"the forward pass runs on the only visible GPU (CUDA_VISIBLE_DEVICES={name})"
    problem = unlike_declared(reply, vcp_spec)
    if problem is not None:
        failure = reply.failure
        raise Violation(
            expected=expected,
            found=problem.found,
            remedy=(failure and failure.remedy) or WITHOUT_INDEX,
            where=failure.where if failure else None,
        )
    assert reply.content is not None
    device = read_device(reply.content)
    if device.shown != name:
        raise Violation(
            expected=expected,
            found=visibility_changed(device.shown),
            remedy=NOT_YOURS,
        )
    if not device.added_bytes:
        raise Violation(
            expected=expected,
            found="it allocated no memory there",
            remedy=WITHOUT_INDEX,
        )


@rule("VCP907")
def test_vcp907_torch_has_kernels_for_the_gpu(vcp_kernels: Kernels) -> None:
    """The pinned torch ships kernels for the GPU present, and for those that the policy names."""
    target = vcp_kernels.find_unserved()
    if target is not None:
        built = vcp_kernels.architectures
        capability = format_capability(target.capability)
        raise Violation(
            expected=f"kernels for capability {capability} ({target.name})",
            found=f"torch {vcp_kernels.torch} built for {vcp_kernels.build}"
            + (f": {list_names(built, most=12)}" if built else ""),
            remedy="pin a torch built with a CUDA release that supports this GPU, and lock again",
            where=vcp_kernels.where,
        )


@rule("VCP908")
def test_vcp908_precision_keeps_the_dtype(
    vcp_precisions: tuple[tuple[str, Reply], ...], vcp_spec: ModelSpec
) -> None:
    """Each documented precision keeps the declared output dtype."""
    for precision, reply in vcp_precisions:
        dtypes = answer(reply, f"a prediction with precision={precision!r}")["dtypes"]
        if dtypes is None:
            continue
        for declared in vcp_spec.signature.outputs:
            name = declared.name if declared.name in dtypes else ""
            dtype = dtypes.get(name)
            if dtype is None or not declared.admits_dtype(dtype):
                of = f" in output {declared.name!r}" if declared.name else ""
                raise Violation(
                    expected=f"dtype {declared.type}{of} with precision={precision!r}, too",
                    found=f"dtype {dtype}" if dtype else "no array",
                    remedy=f"end predict with .float() or .astype('{declared.type}'), whatever "
                    "the precision of the arithmetic",
                    where=vcp_spec.signature.where,
                )


def visibility_changed(shown: str | None) -> str:
    """Describe how the model's own code changed CUDA_VISIBLE_DEVICES."""
    if shown is None:
        return "the model's code removed CUDA_VISIBLE_DEVICES"
    return f"the model's code set CUDA_VISIBLE_DEVICES={shown}"
