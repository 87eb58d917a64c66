"""Section 9: the forward pass on a GPU."""

from __future__ import annotations

from pytest_vcp.rulebook.violations import Blocked, Violation
from pytest_vcp.rules import rule
from pytest_vcp.suite import unlike_declared
from pytest_vcp.trial.prediction import Attempt, read_device
from pytest_vcp.trial.spec import ModelSpec

ON_ONE_DEVICE = "keep model and batches on one device; end predict with .cpu().numpy()"


@rule("VCP902")
def test_vcp902_forward_pass_runs_on_the_gpu(vcp_gpu_pass: Attempt) -> None:
    """With a GPU visible, the forward pass allocates memory on it."""
    if vcp_gpu_pass.reply is None:
        raise Blocked("VCP903")
    device = read_device(vcp_gpu_pass.reply)
    if not device.added_bytes:
        held = f"; {device.peak_bytes / 1e6:.1f} MB were held before" if device.peak_bytes else ""
        raise Violation(
            expected=f"the forward pass runs on the visible GPU ({device.gpus[0]})",
            received=f"it allocated no memory there{held}",
            remedy='move model and batches to "cuda" if torch.cuda.is_available()',
        )


@rule("VCP903")
def test_vcp903_gpu_output_is_as_declared(vcp_gpu_pass: Attempt, vcp_spec: ModelSpec) -> None:
    """The output computed on a GPU is on the host, of the declared rank, shape and dtype."""
    problem = unlike_declared(vcp_gpu_pass, vcp_spec)
    if problem is not None:
        remedy = problem.remedy
        if failure := vcp_gpu_pass.failure:
            remedy = failure.remedy or ON_ONE_DEVICE
        raise Violation(
            expected=f"{problem.expected}, where a GPU is visible too",
            received=problem.received,
            remedy=remedy,
            where=problem.where,
        )
