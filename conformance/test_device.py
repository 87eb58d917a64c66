"""Section 9: the forward pass on a GPU."""

from __future__ import annotations

from pytest_vcp.prediction import Prediction
from pytest_vcp.rules import rule
from pytest_vcp.spec import ModelSpec
from pytest_vcp.violations import Violation


@rule("VCP902")
def test_vcp902_forward_pass_runs_on_the_gpu(vcp_gpu_prediction: Prediction) -> None:
    """With a GPU visible, the forward pass allocates memory on it."""
    device = vcp_gpu_prediction.device
    if not device.peak_bytes:
        raise Violation(
            expected=f"the forward pass runs on the visible GPU ({device.gpus[0]})",
            received="no memory was allocated there",
            remedy='move model and batches to "cuda" if torch.cuda.is_available()',
        )


@rule("VCP903")
def test_vcp903_gpu_output_is_as_declared(
    vcp_gpu_prediction: Prediction, vcp_spec: ModelSpec
) -> None:
    """The output computed on a GPU is on the host, of the declared rank, shape and dtype."""
    for declared in vcp_spec.signature.outputs:
        name = declared.name if declared.name in vcp_gpu_prediction.outputs else ""
        output = vcp_gpu_prediction.outputs.get(name or "")
        wanted = declared.shape or ()
        if output is None or not output.is_array:
            received = f"a {output.type if output else 'missing output'}"
        elif output.dtype != declared.type:
            received = f"dtype {output.dtype}"
        elif len(output.shape) != len(wanted) or any(
            want not in (-1, size) for want, size in zip(wanted, output.shape, strict=True)
        ):
            received = f"shape {output.shape}"
        else:
            continue
        raise Violation(
            expected=f"a numpy array of {declared.type} {wanted} computed on the GPU",
            received=received,
            remedy="end predict with .float().cpu().numpy()",
            where=vcp_spec.signature.where,
        )
