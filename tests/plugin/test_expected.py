"""The recorded output: who writes it and when, and what is compared with it."""

from __future__ import annotations

import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fixtures.mutants import replace_text
from fixtures.mutants.forward.outputs import both, declared, returning
from fixtures.references import PCA_50
from pytest_vcp.evaluation.expected import FOLDER, Recording
from pytest_vcp.options import RECORD
from pytest_vcp.worker.server.expected import sampling, spread_rows
from tests.plugin.conftest import Configure
from tests.runs import Run, run_vcp

pytest_plugins = ["pytester"]

RULE = "VCP714"
FILE = Path(FOLDER, "pcs50.npz")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A package with its recorded output."""
    return PCA_50.copy(tmp_path, recorded=True)


def judged(package: Path, *extra: str) -> Run:
    return run_vcp(package, PCA_50.options, *extra)


def found(run: Run) -> str:
    return str(run.variant["rules"][RULE]["found"])


def record_of(package: Path) -> dict[str, Any]:
    with zipfile.ZipFile(package / FILE) as archive:
        known: dict[str, Any] = json.loads(archive.read("record.json"))
    return known


def test_what_is_recorded_is_reproduced(package: Path) -> None:
    without = judged(package)
    assert without.code == 0, without.output
    entry = without.variant["rules"][RULE]
    assert entry["outcome"] == "unverified"
    told = "no expected output was recorded; --vcp-record-expected records it"
    assert entry["message"] == told
    assert not (package / FOLDER).exists()

    # The rule itself may be one that has to be verified: it can only be so in the next run.
    made = judged(package, RECORD.flag, f"--vcp-must-verify={RULE}")
    assert made.code == 11, made.output
    assert made.outcomes[RULE] == "unverified"
    content = (package / FILE).read_bytes()
    assert [path.name for path in (package / FOLDER).iterdir()] == [FILE.name]
    assert made.variant["recorded"] == {"path": FILE.as_posix(), "bytes": len(content)}
    assert f"expected    recorded at ./{FILE}" in made.output

    again = judged(package, f"--vcp-must-verify={RULE}")
    assert again.code == 0, again.output
    assert again.outcomes[RULE] == "passed"
    assert again.variant["recorded"] is None
    assert (package / FILE).read_bytes() == content


@pytest.mark.parametrize("how", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_the_same_prediction_gives_the_same_file(recorded: Path, how: tuple[str, ...]) -> None:
    (recorded / FILE).write_bytes(b"not an archive")
    first = judged(recorded, RECORD.flag, *how)
    assert first.code == 0, first.output
    content = (recorded / FILE).read_bytes()
    assert judged(recorded, RECORD.flag).code == 0
    assert (recorded / FILE).read_bytes() == content


def test_a_run_that_fails_records_nothing(recorded: Path) -> None:
    before = (recorded / FILE).read_bytes()
    # A rule of a later stage, so that the output was at hand.
    returning("print('scored')\nreturn scores * np.float32(2)")(recorded)
    run = judged(recorded, RECORD.flag, "--vcp-strict")
    assert run.code == 1, run.output
    assert run.outcomes["VCP806"] == "advice"
    assert "expected    not recorded" in run.output
    assert (recorded / FILE).read_bytes() == before
    assert [path.name for path in (recorded / FOLDER).iterdir() if path.name[0] == "."] == []


def test_a_run_that_is_interrupted_records_nothing(recorded: Path) -> None:
    before = (recorded / FILE).read_bytes()
    returning("return scores * np.float32(2)")(recorded)
    (recorded / "test_stop.py").write_text(
        "def test_stop(vcp_model):\n    raise KeyboardInterrupt\n", encoding="utf-8"
    )
    suite = ["--pyargs", "pytest_vcp.conformance", "test_stop.py"]
    run = judged(recorded, RECORD.flag, *suite)
    assert run.code == pytest.ExitCode.INTERRUPTED, run.output
    assert run.outcomes[RULE] == "unverified"
    assert (recorded / FILE).read_bytes() == before


def test_rules_that_were_left_out_record_nothing(package: Path) -> None:
    run = judged(package, RECORD.flag, "-k", "vcp714 or vcp705 or vcp601")
    assert run.code == 0, run.output
    assert "expected    not recorded: only a conformant run does that" in run.output
    assert not (package / FOLDER).exists()


def test_a_place_that_can_not_be_written_is_an_error(package: Path) -> None:
    (package / FOLDER).write_text("a file where a folder should be", encoding="utf-8")
    run = judged(package, RECORD.flag)
    assert run.code == 10, run.output
    assert run.outcomes[RULE] == "error"
    assert "the expected output can't be kept" in run.variant["rules"][RULE]["message"]


def test_another_request_is_not_compared(recorded: Path) -> None:
    frame = {"columns": ["input_uri"], "data": [["example_data/pbmc_48_cells.h5ad"]]}
    payload = recorded / "request.json"
    payload.write_text(
        json.dumps({"dataframe_split": frame, "params": {"center": False}}), encoding="utf-8"
    )
    run = judged(recorded, f"--vcp-json-payload-filepath={payload}")
    assert run.code == 0, run.output
    entry = run.variant["rules"][RULE]
    assert entry["outcome"] == "unverified"
    assert "the request that was given is not the one" in entry["message"]


def test_other_arguments_make_another_variant(recorded: Path) -> None:
    config = next(option for option in PCA_50.options if "config-json" in option)
    fewer = [config.replace("50", "40"), *(entry for entry in PCA_50.options if entry != config)]
    replace_text(recorded / "metadata.yaml", '{"n_components": 50}', '{"n_components": 40}')
    run = run_vcp(recorded, fewer)
    assert run.outcomes[RULE] == "failed", run.output
    told = 'a file of another variant, whose --vcp-model-config-json was {"n_components": 50}'
    assert found(run) == told


def test_large_outputs_are_kept_by_rows(package: Path) -> None:
    policy = package / "policy.yaml"
    policy.write_text("expected_bytes: 4000\n", encoding="utf-8")  # 20 rows of 50 floats.
    made = judged(package, RECORD.flag, f"--vcp-policy={policy}")
    assert made.code == 0, made.output
    (output,) = record_of(package)["outputs"]
    assert (output["shape"], output["depth"], output["rows"]) == ([48, 50], 1, 20)

    returning("scores[-1, 7] += 1\nreturn scores")(package)
    run = judged(package)
    assert run.outcomes[RULE] == "failed", run.output
    told = "1 of 1000 values of the 20 rows that were kept differ (1000 ppm), the most at [47, 7]: "
    assert found(run).startswith(told)


def test_whole_numbers_are_compared_exactly_also_where_they_were_not_kept(package: Path) -> None:
    policy = package / "policy.yaml"
    policy.write_text("expected_bytes: 8000\n", encoding="utf-8")
    both(
        declared("np.float32", "np.int64"),
        returning("return (scores * 1000).astype(np.int64)"),
    )(package)
    made = judged(package, RECORD.flag, f"--vcp-policy={policy}")
    assert made.code == 0, made.output

    wrapper = package / "model_code" / "pbmc_pca_mlflow_model.py"
    replace_text(
        wrapper,
        "return (scores * 1000).astype(np.int64)",
        "scores = (scores * 1000).astype(np.int64)\n"
        "        scores[1, 0] += 1\n"
        "        return scores",
    )
    run = judged(package)
    assert run.outcomes[RULE] == "failed", run.output
    assert (
        found(run) == "the 20 rows that were kept are the same, and the digest of the whole is not"
    )


@pytest.mark.parametrize(
    ("shape", "share", "wanted"),
    [
        ((48, 50), 48 * 50 * 4, (0, 1)),
        ((48, 50), 48 * 50 * 4 - 1, (1, 47)),
        ((1000, 50), 4000, (1, 20)),
        # A row that takes more than a sixteenth of the room is parted.
        ((2, 3, 1000, 10), 4000, (3, 100)),
        ((1_000_000,), 4000, (1, 1000)),
        ((1_000_000,), 0, (1, 2)),
        ((0, 50), 0, (0, 1)),
        ((), 0, (0, 1)),
    ],
)
def test_how_much_is_kept(shape: tuple[int, ...], share: int, wanted: tuple[int, int]) -> None:
    assert sampling(shape, 4, share) == wanted


@pytest.mark.parametrize(("total", "rows"), [(1, 1), (2, 2), (10, 4), (48, 47), (1000, 20)])
def test_rows_are_spread_from_the_first_to_the_last(total: int, rows: int) -> None:
    kept = spread_rows(total, rows)
    assert len(set(kept)) == rows
    assert (kept[0], kept[-1]) == (0, total - 1)
    steps = {after - before for before, after in itertools.pairwise(kept)}
    assert not steps or max(steps) - min(steps) <= 1


def test_a_file_is_put_in_place_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / FOLDER / "a.npz"
    Recording(place, b"old").write()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        Recording(place, b"new").write()
    assert place.read_bytes() == b"old"
    assert [path.name for path in place.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("--vcp-skip-inference", "leave --vcp-skip-inference out"),
        ("--vcp-verify-artifact=.", "judges what is packaged already; leave this out"),
    ],
)
def test_where_nothing_can_be_recorded(configure: Configure, other: str, told: str) -> None:
    chosen = {"model_class": ""} if "verify" in other else {}
    with pytest.raises(pytest.UsageError) as refusal:
        configure(RECORD.flag, other, **chosen)
    assert str(refusal.value).startswith("--vcp-record-expected: 'on' is not usable; ")
    assert told in str(refusal.value)


def test_recording_is_asked_for_by_hand_alone(configure: Configure) -> None:
    assert not configure(ini=[f"{RECORD.key} = true"]).record_expected
    assert configure(RECORD.flag).record_expected


def test_it_needs_a_model_class(pytester: pytest.Pytester) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        pytester.parseconfigure(RECORD.flag)
    assert str(caught.value).startswith(f"{RECORD.flag} was given without --vcp-model-class: ")
