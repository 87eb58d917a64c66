"""Strangers with unusual names, line ends and links, and with text as output."""

from __future__ import annotations

import os
from pathlib import Path

from tests.strangers.building import SPEC_HEAD, Stranger

# Non-ASCII names of files, artifacts, params and keys; a module in a folder without __init__.py;
# an input that is a link within the package; rows of text out; the whole config as one argument;
# a package behind a link, in a folder with spaces in its name.
ANNOTATOR = Stranger(
    "annotator",
    {
        "model_code/__init__.py": "# Größe und Art\n",
        "model_code/teile/wörter.py": "TRENNER = ' → '\n",
        "model_code/modell.py": """
            import json
            from pathlib import Path

            import numpy as np
            from mlflow import pyfunc

            from model_code.teile.wörter import TRENNER


            class Beschrifter(pyfunc.PythonModel):
                def __init__(self, einstellungen):
                    super().__init__()
                    self.einstellungen = einstellungen

                def load_context(self, context):
                    text = Path(context.artifacts["wörter"], "Größe 1.json").read_text("utf-8")
                    self.wörter = json.loads(text)
                    self.wert = context.model_config["Schlüssel"]

                def predict(self, context, model_input, params=None):
                    größe = (params or {}).get("größe", "groß")
                    zeilen = []
                    for uri in model_input["input_uri"]:
                        for zeile in Path(uri).read_text("utf-8").splitlines():
                            zeilen.append(TRENNER.join([größe, self.wörter[zeile]]))
                    return np.array(zeilen, dtype=str)
            """,
        "model_spec.py": "# -*- coding: utf-8 -*-\n"
        + SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("str"), (-1,))]),
    params=ParamSchema([ParamSpec("größe", "string", "groß")]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["beispiele/Gänse #1 100%.txt"]}), {"größe": "ß"})
""",
        "beispiele/README": "Beispiele\n",
        "quelle/tief/Gänse.txt": "a\nb\na\n",
        "model_data/Wörter & mehr/Größe 1.json": '{"a": "Gans", "b": "Ente"}\n',
        "model_data/Wörter & mehr/leer/.keep": "",
    },
    "",
    (
        "--vcp-model-class=model_code.modell:Beschrifter",
        "--vcp-artifact=wörter=Wörter & mehr/",
        '--vcp-model-config-json={"Schlüssel": "Wert"}',
    ),
    after=lambda folder: with_windows_habits(folder),
    variables={"LC_ALL": "C", "LANG": "C"},
    place="räumlich & so/ein Paket",
    advice=frozenset({"VCP118"}),
)


def with_windows_habits(package: Path) -> None:
    """Line ends of Windows in every text, a byte-order mark, and a link to the input."""
    end_lines_as_windows_does(package)
    mark_byte_order(package / "model_code" / "modell.py")
    os.symlink(Path("..", "quelle", "tief"), package / "beispiele" / "tief")
    os.symlink(Path("tief", "Gänse.txt"), package / "beispiele" / "Gänse #1 100%.txt")


def end_lines_as_windows_does(package: Path) -> None:
    """In code, requirement files and metadata."""
    for path in [*package.rglob("*.py"), *package.glob("requirements.*"), *package.glob("*.yaml")]:
        content = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        path.write_bytes(content)


def mark_byte_order(path: Path) -> None:
    """As some editors do where nothing is to be ordered."""
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
