"""Reading requirements files as pip does, and judging them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pytest_vcp.requirements.lock import Lock, read_artifact_lock, read_lock
from pytest_vcp.rules.outcomes import Blocked, Unverified
from tests.static.judging import StaticSettings, judge, rules, violated

HASH = f"sha256:{'0' * 64}"
COMMIT = "a" * 40
PLATFORM = "mlflow==3.1.0\n"


def _lock(folder: Path, pinned: str | bytes, declared: str = "") -> Lock:
    (folder / "requirements.in").write_text(declared, encoding="utf-8")
    content = pinned if isinstance(pinned, bytes) else pinned.encode()
    (folder / "requirements.txt").write_bytes(content)
    return read_lock(folder)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("numpy==2.2.6", "requirement"),
        ("numpy [extra] == 2.2.6 ; python_version > '3.9'", "requirement"),
        (f"numpy==2.2.6 --hash={HASH}", "requirement"),
        (f"tool @ git+https://h/o/t.git@{COMMIT}", "vcs"),
        (f"git+https://h/o/t.git@{COMMIT}#egg=tool", "vcs"),
        ("tool @ https://h/tool-1.0-py3-none-any.whl", "url"),
        ("https://h/tool-1.0-py3-none-any.whl", "url"),
        ("tool @ file:///opt/tool.whl", "path"),
        ("./tool", "path"),
        ("../tool-1.0.tar.gz", "path"),
        ("tool-1.0-py3-none-any.whl", "path"),
        ("vendored/tool", "path"),
        ("C:\\wheels\\tool", "path"),
        ("-e .", "editable"),
        ("-e.", "editable"),
        ("--editable=./x", "editable"),
        ("-r other.txt", "nested"),
        ("-rother.txt", "nested"),
        ("--constraint limits.txt", "nested"),
        ("--index-url https://h/simple", "option"),
        ("--extra-index-url=https://h/simple", "option"),
        ("--require-hashes", "option"),
        ("numpy = 1.0", "invalid"),
        ("numpy==${VERSION}", "invalid"),
    ],
)
def test_kinds_of_lines(line: str, kind: str, tmp_path: Path) -> None:
    (parsed,) = _lock(tmp_path, f"{line}\n").pinned
    assert parsed.kind == kind


def test_continuations_hashes_comments_and_line_numbers(tmp_path: Path) -> None:
    text = (
        "# a comment that ends in a backslash \\\n"
        "\n"
        "numpy==2.2.6 \\\n"
        f"    --hash={HASH} \\\n"
        f"    --hash={HASH[:-1]}1  # via pandas\n"
        "tool @ https://h/t.zip#sha256=00 # the fragment is no comment\n"
    )
    numpy, tool = _lock(tmp_path, text).pinned
    assert (numpy.where.line, numpy.hashes) == (3, (HASH, f"{HASH[:-1]}1"))
    assert numpy.short == "numpy==2.2.6"
    assert (tool.where.line, tool.url) == (6, "https://h/t.zip#sha256=00")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(encoding: str, end: str, tmp_path: Path) -> None:
    text = f"# größe{end}numpy==2.2.6{end}{end}Pandas_X==1{end}"
    lock = _lock(tmp_path, text.encode(encoding))
    assert [line.name for line in lock.pinned] == ["numpy", "pandas-x"]
    assert lock.pinned[0].where.line == 2


def test_missing_files_are_empty(tmp_path: Path) -> None:
    missing = frozenset({"requirements.in", "requirements.txt"})
    assert read_lock(tmp_path) == Lock((), (), (), missing)


def test_an_artifact_has_pins_and_no_declaration(reference: Path) -> None:
    lock = read_artifact_lock(reference / "requirements.txt")
    assert lock.pinned == read_lock(reference).pinned
    assert (lock.missing, lock.declared_in_view) == (frozenset(), False)
    for rule_id in ("VCP201", "VCP206"):
        with pytest.raises(Unverified, match="not part of an artifact"):
            rules()[rule_id](**_arguments(rule_id, reference, lock))
    for rule_id in ("VCP202", "VCP203", "VCP205"):
        rules()[rule_id](**_arguments(rule_id, reference, lock))


def test_an_artifact_without_pins_is_no_package_without_them(tmp_path: Path) -> None:
    lock = read_artifact_lock(tmp_path / "requirements.txt")
    with pytest.raises(Blocked, match="VCP601"):
        rules()["VCP202"](**_arguments("VCP202", tmp_path, lock))


def _arguments(rule_id: str, folder: Path, lock: Lock) -> dict[str, object]:
    known = {"vcp_settings": StaticSettings(folder), "vcp_lock": lock}
    return {name: known[name] for name in inspect.signature(rules()[rule_id]).parameters}


CONFORMING = {
    "hashes": ("", f"mlflow==3.1.0 --hash={HASH}"),
    "local version": (
        "torch==2.7.1",
        "mlflow==3.1.0\n--extra-index-url https://example.org/whl/cpu\ntorch==2.7.1+cpu",
    ),
    "pre-release": ("a>=1", "mlflow==3.1.0\na==2.0rc1"),
    "stripped extras": ("a[x]>=1", "mlflow==3.1.0\na==2"),
    "kept extras": ("a[x]>=1", "mlflow==3.1.0\na[x]==2"),
    "other spelling": ("Scikit_Learn", "mlflow==3.1.0\nscikit-learn==1.6.1"),
    "marker for elsewhere": ("a ; python_version < '3'", "mlflow==3.1.0"),
    "commit": (
        f"tool @ git+https://h/o/t.git@{COMMIT}",
        f"mlflow==3.1.0\ntool @ git+https://h/o/t.git@{COMMIT}",
    ),
    "user and commit": ("", f"mlflow==3.1.0\nt @ git+ssh://git@h/o/t.git@{COMMIT}"),
    "url with hash": ("", "mlflow==3.1.0\nt @ https://h/t.zip#sha256=00ff"),
    "index options": ("", "--index-url https://h/simple\n--no-binary :all:\nmlflow==3.1.0"),
    "epoch": ("a>=1!0", "mlflow==3.1.0\na==1!2.0.post1"),
    "a second line that agrees": ("mlflow>=3", "mlflow==3.1.0"),
    "nested file in requirements.in": ("-r base.in", "mlflow==3.1.0"),
}


@pytest.mark.parametrize(("declared", "pinned"), CONFORMING.values(), ids=list(CONFORMING))
def test_conforming_requirements(declared: str, pinned: str, reference: Path) -> None:
    _lock(reference, f"{pinned}\n", f"{PLATFORM}{declared}\n")
    assert violated(StaticSettings(reference)) == []


VIOLATING = {
    "second, contradicting line": ("VCP201", "mlflow<3", "mlflow==3.1.0"),
    "contradicting url": ("VCP201", "mlflow @ https://h/m.zip", "mlflow @ https://h/m.zip"),
    "two conditions": ("VCP202", "", "mlflow==3.1.0\na==1,!=2"),
    "compatible release": ("VCP202", "", "mlflow==3.1.0\na~=1.0"),
    "local index": ("VCP203", "", "--index-url file:///srv/simple\nmlflow==3.1.0"),
    "tag": ("VCP203", "", "mlflow==3.1.0\nt @ git+https://h/o/t.git@v1.0"),
    "local repository": ("VCP203", "", f"mlflow==3.1.0\nt @ git+file:///srv/t@{COMMIT}"),
    "same line twice": ("VCP205", "", "mlflow==3.1.0\na==1\na==1"),
    "overlapping markers": (
        "VCP205",
        "",
        "mlflow==3.1.0\na==1 ; python_version <= '3.11'\na==2 ; python_version >= '3.11'",
    ),
    "no pin": ("VCP206", "a", "mlflow==3.1.0"),
    "too old": ("VCP206", "a>=2", "mlflow==3.1.0\na==1.9"),
    "unreadable declaration": ("VCP206", "a = 1", "mlflow==3.1.0"),
}


@pytest.mark.parametrize(("rule", "declared", "pinned"), VIOLATING.values(), ids=list(VIOLATING))
def test_violating_requirements(rule: str, declared: str, pinned: str, reference: Path) -> None:
    _lock(reference, f"{pinned}\n", f"{PLATFORM}{declared}\n")
    outcomes = judge(StaticSettings(reference))
    assert outcomes[rule] is not None
    assert rule in violated(StaticSettings(reference))


def test_the_message_names_the_line_and_counts_the_others(reference: Path) -> None:
    _lock(reference, "mlflow==3.1.0\na>=1\n\nb\n", PLATFORM)
    violation = judge(StaticSettings(reference))["VCP202"]
    assert getattr(violation, "found", None) == "a>=1 (and 1 more)"
    assert str(getattr(violation, "where", None)) == "requirements.txt:2"
