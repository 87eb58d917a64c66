"""What is told about a GPU: where there is one, where there is none, where it is at fault.

The GPU here is simulated by the package, see fixtures/mutants/device.py.
"""

from __future__ import annotations

from pathlib import Path

from fixtures.mutants import Change
from fixtures.mutants.device import SOUND, simulated
from fixtures.references import PCA_50
from tests.mutations.judging import assert_accepted, assert_rejected
from tests.place import Place
from tests.runs import Run, run_vcp

# Rules that stay open without a GPU.
NEED_A_GPU = ("VCP902", "VCP903", "VCP905", "VCP907")


def judged(tmp_path: Path, change: Change, *extra: str) -> Run:
    package = PCA_50.copy(tmp_path, recorded=True)
    change(package)
    return run_vcp(package, PCA_50.options, *extra)


def test_a_model_that_uses_the_gpu_satisfies_every_rule(tmp_path: Path) -> None:
    run = judged(tmp_path, SOUND)
    assert_accepted(run)
    assert run.not_passed == {}


def test_the_gpu_is_hidden_where_the_cpu_is_asked_for(tmp_path: Path) -> None:
    run = judged(tmp_path, SOUND, "--vcp-device=cpu")
    assert_accepted(run)
    assert run.not_passed == dict.fromkeys(NEED_A_GPU, "unverified")
    message = run.variant["rules"]["VCP902"]["message"]
    assert message == "the CPU was asked for (--vcp-device cpu)"


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(tmp_path: Path) -> None:
    run = judged(tmp_path, lambda package: None, "--vcp-device=cuda")
    assert run.code == 10, run.output
    assert run.not_passed == {**dict.fromkeys(NEED_A_GPU, "unverified"), "VCP902": "error"}
    entry = run.variant["rules"]["VCP902"]
    assert "sees no GPU" in entry["message"]
    assert "--vcp-device auto" in entry["remedy"]


def test_what_is_wrong_everywhere_is_not_the_gpu_s_fault(tmp_path: Path) -> None:
    run = judged(tmp_path, simulated("return pd.DataFrame(scores)"))
    assert_rejected(run, "VCP704")
    assert "a pandas.DataFrame" in run.output


def test_what_the_gpu_returned_is_judged_where_it_is_as_declared(tmp_path: Path) -> None:
    run = judged(tmp_path, simulated("return scores * np.float32('nan' if on_gpu else 1)"))
    assert_rejected(run, "VCP707")


def test_the_second_try_without_the_gpu_leaves_its_logs_only(place: Place) -> None:
    simulated("return torch.Tensor(scores) if on_gpu else scores")(place.package)
    run = place.run()
    assert_rejected(run, "VCP903")
    place.assert_nothing_left()
    place.assert_nothing_staged()
    place.assert_old_artifact()
    for folder in ("logs", "without-gpu/logs"):
        logs = (place.package / ".vcp" / folder).iterdir()
        assert {path.name for path in logs} == {"default-packager.log", "default-loader.log"}
