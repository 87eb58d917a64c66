"""What is told of a failing command: the model's own exception, and its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.mlflow_cli import process

CODE = Path("/artifact/code")
LOG = """\
INFO: something before
Traceback (most recent call last):
  File "/env/lib/mlflow/pyfunc/__init__.py", line 10, in load_model
    load()
  File "/artifact/code/model_code/model.py", line 7, in load_context
    raise KeyError("genes")
KeyError: 'genes'
Traceback (most recent call last):
  File "/env/bin/mlflow", line 8, in <module>
    cli()
mlflow.exceptions.MlflowException: Non-zero exit code: 1
"""


def test_the_first_exception_is_the_models() -> None:
    assert process.find_exception(LOG) == "KeyError: 'genes'"


def test_its_place_is_in_the_code_of_the_artifact() -> None:
    assert str(process.find_frame(LOG, CODE)) == "model_code/model.py:7"
    assert process.find_frame(LOG, Path("/another/code")) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", None),
        ("Error: no such option\n", None),
        ("Traceback (most recent call last):\n  File \"a\", line 1, in b\nKeyboardInterrupt\n",
         "KeyboardInterrupt"),
    ],
)  # fmt: skip
def test_what_is_no_exception_is_none(text: str, told: str | None) -> None:
    assert process.find_exception(text) == told


def test_a_long_message_is_cut() -> None:
    text = f"{process.HEAD}\nValueError: {'x' * 1000}\n"
    assert len(process.find_exception(text) or "") == 300
    assert process.last_line("a\n b \n\n") == "b"
