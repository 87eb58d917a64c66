"""`pytest --vcp-lock`: what is written into requirements.txt, and what is kept of the old one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.environment.conftest import Shelf

from .conftest import Package, prepare_resolver

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def two_releases(shelf: Shelf) -> Shelf:
    """`upper` needs a `lower` of which there are two."""
    shelf.wheel("upper", "2.0", requires="lower>=2")
    for version in ("1.5", "2.5", "2.6"):
        shelf.wheel("lower", version)
    return shelf


def test_a_lock_from_nothing(package: Package, two_releases: Shelf) -> None:
    package.declare("upper")
    told = package.locked()
    assert f"requirements.txt: 2 pins for Python {HERE}, by pip-tools" in told
    assert "there was no requirements.txt" in told
    assert package.pinned.read_bytes().decode() == (
        "#\n"
        f"# Locked from requirements.in for Python {HERE}. To lock again:\n"
        "#\n"
        f"#    pytest --vcp-lock --vcp-python {HERE}\n"
        "#\n"
        "lower==2.6\n"
        "    # via upper\n"
        "upper==2.0\n"
        "    # via -r requirements.in\n"
    )
    assert sorted(path.name for path in package.folder.iterdir()) == [
        "requirements.in",
        "requirements.txt",
    ]


def test_locked_twice_is_not_written_again(package: Package, two_releases: Shelf) -> None:
    package.declare("upper")
    package.locked()
    before = package.pinned.stat()
    assert "nothing changed" in package.locked()
    after = package.pinned.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_pins_are_kept_unless_upgraded(package: Package, two_releases: Shelf) -> None:
    two_releases.wheel("another", "1.0")
    package.declare("upper", "another", pinned="lower==2.5\nupper==2.0\n")
    assert re.search(r"added +another 1\.0", package.locked())
    assert package.pins == ["another==1.0", "lower==2.5", "upper==2.0"]
    assert re.search(r"changed +lower 2\.5 -> 2\.6", package.locked(how="--vcp-lock=upgrade"))
    assert package.pins == ["another==1.0", "lower==2.6", "upper==2.0"]


@pytest.mark.parametrize("old", ["lower==1.5", "lower==9.9", "lower", "lower==1.*\nnot a line"])
def test_pins_that_do_not_fit_give_way(package: Package, two_releases: Shelf, old: str) -> None:
    two_releases.wheel("needless", "1.0")
    two_releases.wheel("kept", "1.0")
    two_releases.wheel("kept", "2.0")
    package.declare("upper", "kept", pinned=f"{old}\nneedless==1.0\nkept==1.0\n")
    told = package.locked()
    assert package.pins == ["kept==1.0", "lower==2.6", "upper==2.0"]
    assert re.search(r"removed +needless 1\.0", told)


def test_what_others_call_unsafe_is_pinned(package: Package, shelf: Shelf) -> None:
    shelf.wheel("tool", "1.0", requires="setuptools>=60")
    shelf.wheel("setuptools", "61.0")
    package.declare("tool")
    package.locked()
    assert sorted(package.pins) == ["setuptools==61.0", "tool==1.0"]


def test_extras_and_markers(package: Package, shelf: Shelf) -> None:
    shelf.wheel("tool", "1.0", requires='lower ; extra == "more"')
    shelf.wheel("lower", "1.5")
    shelf.wheel("here", "1.0")
    shelf.wheel("elsewhere", "1.0")
    package.declare(
        "tool[more]", 'here ; python_version >= "3.0"', 'elsewhere ; python_version < "3.0"'
    )
    package.locked()
    assert package.pins == ['here==1.0 ; python_version >= "3.0"', "lower==1.5", "tool==1.0"]


@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_another_python(package: Package, shelf: Shelf, python: str) -> None:
    shelf.wheel("young", "2.0", python=">=3.12")
    shelf.wheel("young", "1.0", requires='old ; python_version < "3.12"')
    shelf.wheel("old", "1.0")
    package.declare("young")
    with pytest.MonkeyPatch.context() as real:
        # The tools come from where they are, not from the shelf.
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
            real.delenv(name)
        prepare_resolver(python)
    package.locked("--vcp-python", python)
    assert package.pins == (["young==2.0"] if python == "3.12" else ["old==1.0", "young==1.0"])
    assert f"#    pytest --vcp-lock --vcp-python {python}\n" in package.pinned.read_text()


def test_hashes_for_all_where_one_has_one(package: Package, two_releases: Shelf) -> None:
    old = f"lower==2.6\nupper==2.0 --hash=sha256:{'0' * 64}\n"
    package.declare("upper", pinned=old)
    package.locked(how="--vcp-lock=upgrade")
    text = package.pinned.read_text()
    assert re.findall(r"^(\w+)==\S+ \\\n +--hash=sha256:(?!0{64})\w{64}$", text, re.MULTILINE) == [
        "lower",
        "upper",
    ]


def test_an_index_of_the_user_is_not_written(package: Package, two_releases: Shelf) -> None:
    package.declare("upper", pinned="--extra-index-url https://example.org/simple\nlower==2.6\n")
    told = package.locked()
    assert package.pins == ["lower==2.6", "upper==2.0"]
    assert str(two_releases.folder) not in package.pinned.read_text()
    assert "dropped  --extra-index-url https://example.org/simple" in told


def test_an_option_in_another_spelling_is_not_dropped(
    package: Package, two_releases: Shelf
) -> None:
    old = "-i https://127.0.0.1:9/simple\nlower==2.6\n"
    package.declare("--index-url=https://127.0.0.1:9/simple", "upper", pinned=old)
    assert "dropped" not in package.locked()
    assert package.pins[0] == "--index-url=https://127.0.0.1:9/simple"


def test_options_of_the_declaration_are_written(package: Package, two_releases: Shelf) -> None:
    package.declare("--prefer-binary", "-r more.in")
    (package.folder / "more.in").write_text(
        "--extra-index-url https://127.0.0.1:9/simple  # of the lab\n--prefer-binary\nupper\n"
    )
    package.locked()
    assert package.pinned.read_text().partition("#\n\n")[2].splitlines()[:3] == [
        "--prefer-binary",
        "--extra-index-url https://127.0.0.1:9/simple",
        "",
    ]
    assert package.pins[2:] == ["lower==2.6", "upper==2.0"]


def test_settings_that_bend_the_result_are_left_out(
    package: Package, two_releases: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package.folder / "pyproject.toml").write_text("[tool.pip-tools]\nallow-unsafe = 'no'\n")
    bending = package.folder / "constraints.txt"
    bending.write_text("lower<2.6\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(bending))
    monkeypatch.setenv("CUSTOM_COMPILE_COMMAND", "make lock")
    package.declare("upper")
    package.locked()
    assert package.pins == ["lower==2.6", "upper==2.0"]
    assert "make lock" not in package.pinned.read_text()


def test_a_link_stays_and_so_do_the_rights(package: Package, two_releases: Shelf) -> None:
    (package.folder / "locks").mkdir()
    real = package.folder / "locks" / "linux.txt"
    real.write_text("lower==2.5\n")
    real.chmod(0o640)
    package.pinned.symlink_to(Path("locks", "linux.txt"))
    package.declare("upper")
    package.locked()
    assert os.readlink(package.pinned) == "locks/linux.txt"
    assert "lower==2.5" in package.pins
    assert real.stat().st_mode & 0o777 == 0o640


def test_another_directory(package: Package, two_releases: Shelf, tmp_path: Path) -> None:
    package.declare("upper")
    elsewhere = Package(tmp_path, package.environ)
    elsewhere.locked("--vcp-pkg-dir=mlflow_pkg")
    assert package.pins == ["lower==2.6", "upper==2.0"]
