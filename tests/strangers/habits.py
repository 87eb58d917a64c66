"""A stranger whose texts another editor and another tool have written."""

from __future__ import annotations

import json
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.strangers.building import SPEC_HEAD, Stranger

# One output of rank three; class, artifact and config from the metadata file, with the config as
# people write it: not quoted, with spaces, folded over lines. The package lies behind a link.
SMOOTHER = Stranger(
    "smoother",
    {
        "model_code/__init__.py": "# Glättung\n",
        "model_code/smoother.py": """
            import numpy as np
            from mlflow.pyfunc import PythonModel

            EINHEITEN = {"µm": 1.0, "mm": 1e-3}  # in µm⁻¹


            class Smoother(PythonModel):
                def load_context(self, context):
                    self.kernel = np.loadtxt(context.artifacts["kernel"])
                    self.passes = context.model_config["passes"]
                    self.unit = EINHEITEN[context.model_config["unit"]]

                def predict(self, context, model_input, params=None):
                    options = params or {}
                    rows = [
                        self._forward(self._get_input(uri, **options), **options)
                        for uri in model_input["input_uri"]
                    ]
                    return np.concatenate(rows)

                def _get_input(self, uri, **params):
                    return np.loadtxt(uri).reshape(-1, 4, 5) * self.unit

                def _forward(self, input_obj, **params):
                    strength = params.get("strength", 0.5)
                    for _ in range(self.passes):
                        shifted = [np.roll(input_obj, step, axis=2) for step in (-1, 0, 1)]
                        smooth = np.einsum("k,kzyx->zyx", self.kernel, shifted)
                        input_obj = (1 - strength) * input_obj + strength * smooth
                    return input_obj.astype(np.float32)
            """,
        "model_spec.py": SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 4, 5))]),
    params=ParamSchema([ParamSpec("strength", "double", 0.5)]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["größe.txt", "größe.txt"]}), {"strength": 0.25})
""",
        "metadata.yaml": """
            # Glättung
            model_name: smoother
            variants:
              fest: --model-class model_code.smoother:Smoother --artifact kernel=fest.txt
                --model-config-json '{"passes":3,"unit":"µm"}'
              sanft: >-
                --model-class model_code.smoother:Smoother
                --artifact kernel=sanft.txt
                --model-config-json {"passes": 1, "unit": "µm"}
            """,
        "model_data/fest.txt": "1 1 1\n",
        "model_data/sanft.txt": "0.25 0.5 0.25\n",
        "LICENSE": "MIT License\n\nCopyright (c) 2025 Die Glätter\n",
    },
    """
    import numpy as np
    np.savetxt("größe.txt", np.random.default_rng(23).random((8, 5)))
    """,
    ("--vcp-variant=sanft",),
    place="Modelle & mehr/glättung v1",
)


def elaborate(package: Path, pip_report: Path) -> None:
    """Write both requirement files in the most elaborate way that pip understands.

    The hashes are those of what pip installed, by its report; what it left out has a made-up one.
    """
    hashes = _hashes(pip_report)
    lines = ["# compiled on a machine in Zürich", ""]
    lock = package / "requirements.txt"
    for line in lock.read_text(encoding="utf-8").splitlines():
        pin, _, marker = line.partition(" ; ")
        name, found, version = pin.partition("==")
        if not found:
            lines.append(line)
            continue
        if name == "sqlalchemy":
            pin = f"SQLAlchemy[asyncio]=={version}"
        if name == "six":
            marker = "python_version < '3.14'"
        lines += [
            f"{pin}{marker and f' ; {marker}'} \\",
            f"    --hash=sha256:{'0' * 64} \\",
            f"    --hash=sha256:{hashes.get(name, '1' * 64)}  # what was installed",
        ]
    lock.write_text("\n".join([*lines, ""]), encoding="utf-8")
    declared = package / "requirements.in"
    text = declared.read_text(encoding="utf-8")
    assert "sqlalchemy<2.1" in text
    declared.write_text(
        text.replace("sqlalchemy<2.1", "SQLAlchemy[asyncio] \\\n    <2.1 ; python_version > '3.9'")
        + "# elsewhere alone\npywin32 ; sys_platform == 'win32'  # größer\n",
        encoding="utf-8",
    )


def _hashes(pip_report: Path) -> dict[str, str]:
    """The sha256 of what pip installed, by the name of the distribution as a lock spells it."""
    with pip_report.open(encoding="utf-8") as file:
        installed = json.load(file)["install"]
    return {
        canonicalize_name(entry["metadata"]["name"]): entry["download_info"]["archive_info"][
            "hashes"
        ]["sha256"]
        for entry in installed
    }
