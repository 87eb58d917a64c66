"""Metadata files: which variants can be packaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.static.judging import StaticSettings, judge
from tests.static.written import POLICY, violation, write

NAMED = "--model-class model_code.m:M --artifact w=weights"
ONE_VARIANT = f"model_name: pca\nvariants:\n  human: {NAMED}"
GOOD_METADATA: dict[str, str] = {
    "one line": ONE_VARIANT,
    "CRLF": f"{ONE_VARIANT}\n".replace("\n", "\r\n"),
    "comments": f"# the model\n{ONE_VARIANT}  # of cells\n# the end\n",
    "folded": f"variants:\n  human: >-\n    {NAMED}\n    --model-config-json {{'a': 1}}\n".replace(
        "'", '"'
    ),
    "literal": f"variants:\n  human: |\n    {NAMED} \\\n    --model-tag a=b\n",
    "tight JSON": f'{ONE_VARIANT} --model-config-json {{"organism":"human","n":[1,2]}}\n',
    "quoted JSON": f'{ONE_VARIANT} --model-config-json \'{{"organism":"human"}}\'\n',
    "escaped JSON": f'{ONE_VARIANT} --model-config-json {{\\"organism\\":1}}\n',
    "quoted by YAML": f"variants:\n  'human': \"{NAMED}\"\n",
    "several": f"{ONE_VARIANT}\n  mouse_v2.1: {NAMED} --artifact v=vocab\n",
    "more keys": f"license: MIT\n{ONE_VARIANT}\ntags: [a, b]\n",
    "no variants": "model_name: pca\nversion: 1.0.0\nlicense: MIT\n",
    "variants that are nothing": "model_name: pca\nvariants:\n",
    "not ASCII": f"model_name: größe\nvariants:\n  größe: {NAMED}\n",
}
# What is found, and the line.
BAD_METADATA: dict[str, tuple[str, str, int | None]] = {
    "empty": ("# nothing\n", "an empty file", None),
    "a list": ("- a\n", "the file is a list", 1),
    "variants as a list": (f"variants:\n  - {NAMED}\n", "the value of variants is a list", 2),
    "template": (
        "variants:\n  variant_name: command_after_mlflow_packager\n",
        "the placeholder",
        2,
    ),
    "renamed template": ("variants:\n  a: command_after_mlflow_packager\n", "the placeholder", 2),
    "nothing": ("variants:\n  a:\n", "nothing in place of the arguments", 2),
    "a mapping": ("variants:\n  a: {model-class: M}\n", "a mapping in place of the arguments", 2),
    "no class": ("variants:\n  a: --artifact w=w\n", "no --model-class", 2),
    "no artifact": ("variants:\n  a: --model-class m:M\n", "no --artifact", 2),
    "the second": (f"{ONE_VARIANT}\n  b: --artifact w=w\n", "no --model-class", 4),
    "twice": (f"{ONE_VARIANT}\n  human: {NAMED}\n", "the variant given twice, in lines 3, 4", 4),
    "a path": (f"variants:\n  a/b: {NAMED}\n", "the name 'a/b', which no folder can have", 2),
    "two lines": (f'variants:\n  "a\\nb": {NAMED}\n', "the name 'a\\nb', which", 2),
    "space in unquoted JSON": (
        f'{ONE_VARIANT} --model-config-json {{"organism": "human"}}\n',
        "a second ': ' in one line, which YAML takes for a key",
        3,
    ),
    "tab": (f"variants:\n\thuman: {NAMED}\n", "a tab", 2),
    "Latin-1": ("variants:\n  größe: a\n", "bytes that are no text", 2),
    "the whole command": (f"variants:\n  a: python mlflow_packager.py {NAMED}\n", "'python'", 2),
    "unknown argument": (f"variants:\n  a: {NAMED} --modelclass b\n", "the unknown argument", 2),
    "open quote": (f"{ONE_VARIANT} --model-tag a='b\n", "a quote that is not closed", 3),
}


@pytest.mark.parametrize("text", GOOD_METADATA.values(), ids=list(GOOD_METADATA))
@pytest.mark.parametrize("name", POLICY.metadata_files)
def test_usable_metadata(name: str, text: str, reference: Path) -> None:
    (reference / "metadata.yaml").unlink()
    write(reference, {name: text})
    assert judge(StaticSettings(reference))["VCP109"] is None


def test_inference_is_not_left_out_by_the_file(reference: Path) -> None:
    write(reference, {"metadata.yaml": f"{ONE_VARIANT} --skip-inference\n"})
    told = violation(StaticSettings(reference), "VCP109")
    assert told.found.startswith("--skip-inference for human")
    assert not told.binds
    assert told.where is not None
    assert told.where.line == 3


def test_no_metadata_file_is_needed(reference: Path) -> None:
    (reference / "metadata.yaml").unlink()
    assert judge(StaticSettings(reference))["VCP109"] is None


@pytest.mark.parametrize(("text", "found", "line"), BAD_METADATA.values(), ids=list(BAD_METADATA))
def test_unusable_metadata(text: str, found: str, line: int | None, reference: Path) -> None:
    encoding = "latin-1" if "bytes" in found else "utf-8"
    write(reference, {"metadata.yaml": text.encode(encoding)})
    told = violation(StaticSettings(reference), "VCP109")
    assert told.found.startswith(found)
    assert told.where is not None
    assert told.where.line == line


@pytest.mark.parametrize(
    ("problem", "received", "remedy"),
    [
        ("b: --artifact: 'w=x' is not usable; write it", "b: --artifact: 'w=x'", "write it"),
        ("b: -a: 'w=x' is not usable; no x; use y?", "b: -a: 'w=x': no x", "use y?"),
        ("the name '.' names no folder", "the name '.' names no folder", "correct it"),
        (
            "b: " + "x" * 250 + " is not usable; it is too long; cut it",
            ": it is too long",
            "cut it",
        ),
    ],
)
def test_arguments_without_use(problem: str, received: str, remedy: str, reference: Path) -> None:
    settings = StaticSettings(reference, metadata_problems=(("metadata.yaml:3", problem),))
    told = violation(settings, "VCP109")
    assert told.found.endswith(received)
    assert told.remedy.startswith(remedy)
