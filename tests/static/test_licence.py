"""Licences: which are filled in, and which are the template's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.source.licence import LicenceFile, read_licence
from tests.static.judging import StaticSettings
from tests.static.written import POLICY, violation, write

MIT = (
    "MIT License\n\nCopyright (c) 2024 Mara Größe\n\nPermission is hereby granted, free of charge\n"
)
APACHE = "Apache License\nVersion 2.0, January 2004\n" + "terms\n" * 180
APACHE_HINT = "   Copyright [yyyy] [name of copyright owner]\n"
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n" + "terms\n" * 600
GPL_HINT = "<one line to give the program's name>\nCopyright (C) <year>  <name of author>\n"
BSD = "BSD 3-Clause License\n\nCopyright (c) 2019-2024, the authors\nAll rights reserved.\n"

FINISHED: dict[str, dict[str, str | bytes]] = {
    "MIT": {"LICENSE": MIT},
    "the appendix of Apache": {"LICENSE": APACHE + APACHE_HINT},
    "the appendix of the GPL": {"COPYING": GPL + GPL_HINT},
    "BSD": {"LICENSE.txt": BSD},
    "CC-BY": {"LICENCE.md": "# Creative Commons Attribution 4.0\n\nBy exercising the Rights [...]"},
    "an SPDX id alone": {"LICENSE": "CC-BY-NC-4.0\n"},
    "non-commercial": {"LICENSE": "Copyright 2024 [Lab of Cells], for <research> only\n"},
    "small letters": {"license": MIT},
    "Latin-1": {"LICENSE": MIT.encode("latin-1")},
    "UTF-16": {"LICENSE": MIT.encode("utf-16")},
    "BOM and CRLF": {"LICENSE": b"\xef\xbb\xbf" + MIT.replace("\n", "\r\n").encode()},
    "folder of SPDX texts": {"LICENSES/MIT.txt": "Copyright (c) <year> <copyright holders>\n"},
    "two": {"LICENSE": MIT, "COPYING": GPL},
}
UNFINISHED: dict[str, tuple[dict[str, str | bytes], int | None]] = {
    "empty": ({"LICENSE": " \r\n"}, None),
    "BOM alone": ({"LICENSE": b"\xff\xfe"}, None),
    "brackets": ({"LICENSE": "MIT License\n\nCopyright (c) [year] [fullname]\n"}, 3),
    "angles, CRLF": ({"LICENSE": "MIT\r\n\r\nCopyright <YEAR> <COPYRIGHT HOLDER>\r\n"}, 3),
    "cookiecutter": ({"LICENSE": "Copyright (c) {{ cookiecutter.year }}, Mara\n"}, 1),
    "capitals": ({"LICENSE": "Copyright (c) YEAR, YOUR NAME\n"}, 1),
    "holder alone": ({"LICENSE": "Copyright (c) 2024 <copyright holders>\n"}, 1),
    "Apache's notice alone": ({"LICENSE": APACHE_HINT + "Licensed under the Apache License\n"}, 1),
    "to do": ({"LICENSE": "TODO: choose one\n"}, 1),
    "template": ({"LICENSE": "# Licence\n\nAdd your license here.\n"}, 3),
    "UTF-16": ({"LICENSE": "Copyright (c) [year] Mara".encode("utf-16")}, 1),
    "the second of two": ({"LICENSE": MIT, "LICENSE.md": "Copyright [yyyy] Mara"}, 1),
    "SPDX text without content": ({"LICENSES/MIT.txt": ""}, None),
}


def _licence(folder: Path) -> tuple[LicenceFile, ...]:
    return read_licence(folder, POLICY.licence_files).files


@pytest.mark.parametrize("files", FINISHED.values(), ids=list(FINISHED))
def test_finished_licences(files: dict[str, str | bytes], tmp_path: Path) -> None:
    found = _licence(write(tmp_path, files))
    assert len(found) == len(files)
    assert all(file.is_finished for file in found), found


@pytest.mark.parametrize(("files", "line"), UNFINISHED.values(), ids=list(UNFINISHED))
def test_unfinished_licences(
    files: dict[str, str | bytes], line: int | None, reference: Path
) -> None:
    (reference / "LICENSE").unlink()
    where = violation(StaticSettings(write(reference, files)), "VCP107").where
    assert where is not None
    assert where.path == list(files)[-1]
    assert where.line == line


@pytest.mark.parametrize("name", ["LICENSE.rst", "LICENSE-MIT", "MODEL_LICENSE.txt"])
def test_a_licence_by_another_name_is_named(name: str, reference: Path) -> None:
    (reference / "LICENSE").rename(reference / name)
    write(reference, {"check_license.py": "", "LICENSES/.gitkeep": ""})
    assert name in violation(StaticSettings(reference), "VCP107").remedy
