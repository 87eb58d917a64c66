"""What is told about a GPU: where there is one, where there is none, where it is at fault.

The GPU here is simulated by the package, see fixtures/mutants/simulated_gpu.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants import Change, replace_text
from fixtures.mutants.forward.outputs import both, loading
from fixtures.mutants.simulated_gpu import SOUND, simulated
from fixtures.references import PCA_50
from tests.mutations.judging import assert_accepted, assert_rejected
from tests.place import Place
from tests.runs import Run, run_vcp

# Rules that stay open without a GPU.
NEED_A_GPU = ("VCP902", "VCP903", "VCP904", "VCP905", "VCP906", "VCP907")
DEMANDING = simulated("return torch.Tensor(scores).cpu()")


def says_that_it_needs_one(package: Path) -> None:
    card = package.parent / "model_card_docs" / "model_card_metadata.yaml"
    replace_text(card, 'compute_requirement: "CPU"', 'compute_requirement: "GPU"')


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
    assert "--vcp-device cuda was given, and no GPU is visible to a GPU library" in entry["message"]
    assert "--vcp-device auto" in entry["remedy"]


def test_a_run_that_requires_a_gpu_is_an_error_without_one(tmp_path: Path) -> None:
    run = judged(tmp_path, lambda package: None, "--vcp-require-gpu")
    assert run.code == 10, run.output
    assert run.not_passed["VCP902"] == "error"
    message = run.variant["rules"]["VCP902"]["message"]
    assert "--vcp-require-gpu was given, and no GPU is visible to a GPU library" in message


def test_one_gpu_of_several_can_be_chosen(tmp_path: Path) -> None:
    run = judged(tmp_path, SOUND, "--vcp-device=cuda:1", "--vcp-require-gpu")
    assert_accepted(run)
    assert run.not_passed == {"VCP906": "unverified"}
    assert run.variant["rules"]["VCP906"]["message"] == "only one GPU is visible"


def test_a_package_that_says_so_may_need_a_gpu(tmp_path: Path) -> None:
    run = judged(tmp_path, both(DEMANDING, says_that_it_needs_one))
    assert_accepted(run)
    assert run.not_passed == {"VCP904": "unverified"}
    assert "needs a GPU" in run.variant["rules"]["VCP904"]["message"]


def test_what_needs_a_gpu_stays_unverified_without_one(tmp_path: Path) -> None:
    run = judged(tmp_path, both(DEMANDING, says_that_it_needs_one), "--vcp-device=cpu")
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "unverified"
    assert run.variant["artifact"] is not None, run.output
    assert run.outcomes["VCP901"] == "passed"
    for rule in ("VCP704", "VCP710", "VCP801", "VCP902"):
        assert run.outcomes[rule] == "unverified", run.output
    message = run.variant["rules"]["VCP704"]["message"]
    assert message == "the model does not run without a GPU, and none is visible to it"


def test_what_needs_a_gpu_is_an_error_where_one_is_required(tmp_path: Path) -> None:
    change = loading('raise RuntimeError("No CUDA GPUs are available")')
    run = judged(tmp_path, both(change, says_that_it_needs_one), "--vcp-require-gpu")
    assert run.code == 10, run.output
    assert "no GPU is visible" in run.variant["rules"]["VCP701"]["message"]


@pytest.mark.parametrize(("gpu_only", "outcome"), [("always", "passed"), ("never", "failed")])
def test_the_policy_says_which_packages_may_need_a_gpu(
    gpu_only: str, outcome: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"gpu_only: {gpu_only}\n", encoding="utf-8")
    change = both(DEMANDING, says_that_it_needs_one)
    run = judged(tmp_path, change, f"--vcp-policy={policy}", "--vcp-device=cpu")
    assert run.outcomes["VCP901"] == outcome, run.output


def test_an_artifact_alone_does_not_say_whether_it_needs_a_gpu(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path, recorded=True)
    both(DEMANDING, says_that_it_needs_one)(package)
    made = run_vcp(package, PCA_50.options)
    options = [f"--vcp-verify-artifact={made.variant['artifact']['path']}", "--vcp-device=cpu"]
    run = run_vcp(package, options)
    assert run.outcomes["VCP901"] == run.outcomes["VCP704"] == "unverified", run.output
    assert "does not say whether" in run.variant["rules"]["VCP901"]["message"]


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
