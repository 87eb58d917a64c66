"""A stranger full of files: whatever may lie in model_code and among weights, and be packaged."""

from __future__ import annotations

from pathlib import Path

from tests.strangers.building import SPEC_HEAD, Stranger

# Resources of every kind in model_code, links out of it, and litter that stays behind. Weights as
# pickles of plain data, as arrays of objects, in two pickles after one another; besides, files
# that are none under names of pickles. A constructor that keeps more than plain values, a config
# and tags that YAML has to quote, an example with rows of all types.
ARCHIVE = Stranger(
    "archive",
    {
        "model_code/__init__.py": "",
        "model_code/model.py": """
            import dataclasses
            import enum
            import importlib.resources
            import json
            import os
            import pickle
            import re
            from pathlib import Path

            import numpy as np
            from mlflow.pyfunc import PythonModel

            from .vendored.rescale import rescale


            class Mode(enum.Enum):
                SUM = "sum"


            @dataclasses.dataclass(frozen=True)
            class Limits:
                low: float
                high: float


            class Archive(PythonModel):
                def __init__(self, **settings):
                    self.settings = settings
                    self.mode = Mode("sum")
                    # The platform's own packager gives none.
                    nested = settings.get("nested", {"µ": [0.0, 1.0]})
                    self.limits = Limits(0.0, nested["µ"][1])
                    self.pattern = re.compile(r"\\w+", re.UNICODE)
                    self.file = Path("stats.pkl")
                    self.levels = frozenset({1, 2, 3})
                    self.kinds = {"table"}

                def load_context(self, context):
                    folder = context.artifacts["parts"]
                    with np.load(os.path.join(folder, "latest.npz"), allow_pickle=True) as stored:
                        self.factors, self.names = stored["factors"], stored["names"].tolist()
                    with open(os.path.join(folder, self.file), "rb") as file:
                        self.stats = pickle.load(file) | pickle.load(file)
                    with open(context.artifacts["genes"], "rb") as file:
                        self.genes = pickle.load(file)
                    resources = importlib.resources.files("model_code") / "resources"
                    units = json.loads(resources.joinpath("größe 1.json").read_text("utf-8"))
                    shared = Path(__file__).with_name("shared.json").read_text("utf-8")
                    rows = resources.joinpath("codes.csv").read_text("utf-8").splitlines()
                    self.unit = units["µ"] * json.loads(shared)["scale"] * len(rows)
                    self.scale = context.model_config["scale"] + context.model_config["big"] * 0
                    assert context.model_config["text"] == self.settings["text"]

                def predict(self, context, model_input, params=None):
                    rows = []
                    for row in model_input.itertuples():
                        assert row.taken.year == 2024
                        values = np.loadtxt(row.input_uri, ndmin=2)[:, : len(self.genes)]
                        for weight in (params or {}).get("weights", [1.0, 2.0]):
                            values = values + weight * self.scale * row.batch
                        rows.append(rescale(values * self.factors * self.unit, self.stats["mean"]))
                    return np.concatenate(rows)
            """,
        "model_code/resources/größe 1.json": '{"µ": 1.5}\n',
        "model_code/resources/codes.csv": "code,name\nCD3D,T\n",
        "model_code/resources/deep/er/README": "no suffix\n",
        "model_code/resources/deep/kernel.cu": "// not compiled\n",
        "model_code/py.typed": "",
        "model_code/.gitattributes": "*.csv text\n",
        "model_code/.env.example": "DEBUG=0\n",
        "shared/shared.json": '{"scale": 2.0}\n',
        "third_party/rescale/__init__.py": """
            def rescale(values, mean):
                return values - mean
            """,
        "model_data/parts/stats.pkl.sha256": "5891b5b522d5df086d0ff0b110fb  stats.pkl\n",
        "model_data/parts/stats.pkl.json": '{"made": "2024-02-29"}\n',
        "model_data/parts/plot.p": "cells = 5\nplot sin(x)\n",
        "model_data/parts/.config.json": "{}\n",
        "model_spec.py": SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec("string", "input_uri"),
            ColSpec("long", "batch"),
            ColSpec("datetime", "taken"),
            ColSpec("string", "note", required=False),
        ]
    ),
    outputs=Schema([TensorSpec(np.dtype("float64"), (-1, 2))]),
    params=ParamSchema([ParamSpec("weights", DataType.double, [1.0, 2.0], shape=(-1,))]),
)
INPUT_EXAMPLE = (
    pd.DataFrame(
        {
            "input_uri": ["tables/eins.txt", "tables/größe 2.txt"],
            "batch": [1, 2],
            "taken": pd.to_datetime(["2024-02-29T08:00:00", "2024-03-01T12:30:00"]),
            "note": ["Lösung #2: 37 °C", None],
        },
        index=[7, 3],
    ),
    {"weights": [0.5, 1e-05]},
)
""",
        "tables/eins.txt": "1 2\n3 5\n5 6\n",
        "tables/größe 2.txt": "2 7\n1 8\n",
        "LICENSE": "MIT License\n\nCopyright (c) 2025 Die Archivare\n",
    },
    """
    import pickle
    import numpy as np
    folder = "model_data/parts/"
    names = np.array(["CD3D", None, ("NKG7", 1)], dtype=object)
    np.savez(folder + "weights.npz", factors=np.array([0.5, 2.0]), names=names)
    with open(folder + "stats.pkl", "wb") as file:
        known = {"kinds": ["a", "b"], "range": range(3), "set": {"x", "y"}}
        pickle.dump({"mean": np.array([1.0, 2.0]), **known}, file, protocol=4)
        masked = np.ma.masked_array([1.0, 2.0], [False, True])
        pickle.dump({"sd": np.float32(3), "masked": masked, "by name": known}, file, protocol=4)
    with open("model_data/genes.pkl", "wb") as file:
        pickle.dump(["CD3D", "NKG7"], file, protocol=0)
    # The length of its header has the first bytes of a pickle.
    header = b'{"mean":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(0x280)
    with open(folder + "mean.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header + bytes(8))
    """,
    (
        "--vcp-model-class=model_code.model:Archive",
        "--vcp-artifact=parts=parts",
        "--vcp-artifact=genes=genes.pkl",
        (
            '--vcp-model-config-json={"scale": 1e-05, "big": 12345678901234567890, '
            '"nested": {"µ": [1, 2.5, null, true], "no": "yes", "1": "1e5", "~": "2024-01-01"}, '
            '"text": "a: b # c\\n\\t– 🧬 \\u0085"}'
        ),
        "--vcp-model-tag=Gewebe=Blut: 37 °C #1",
        "--vcp-model-tag=formula=a=b=c",
        "--vcp-model-tag=null=007",
    ),
    before=lambda folder: _add_parts(folder),
    after=lambda folder: _add_links(folder),
)

_LITTER = {
    ".DS_Store": b"\0\0\0\1Bud1",
    ".git": b"gitdir: ../../.git/modules/model_code\n",
    "._model.py": b"\0\5\26\7",
    "__pycache__/model.cpython-311.pyc": b"\xa7\r\r\n",
    "resources/.ipynb_checkpoints/codes-checkpoint.csv": b"code,name\n",
}


def _add_parts(folder: Path) -> None:
    """What no text can stand for: links out of model_code, litter, a library, a mode."""
    code = folder / "model_code"
    (code / "vendored").mkdir()
    (code / "vendored" / "__init__.py").touch()
    (code / "vendored" / "rescale").symlink_to("../../third_party/rescale")
    (code / "shared.json").symlink_to("../shared/shared.json")
    for name, content in _LITTER.items():
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).write_bytes(content)
    (code / "resources" / "native.so").write_bytes(b"\x7fELF\2\1\1" + bytes(57))
    (code / "resources" / "codes.csv").chmod(0o444)


def _add_links(folder: Path) -> None:
    (folder / "model_data" / "parts" / "latest.npz").symlink_to("weights.npz")
