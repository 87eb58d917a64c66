"""Strangers that read tables: scikit-learn, and several named outputs."""

from __future__ import annotations

from tests.strangers.building import SPEC_HEAD, Stranger

# scikit-learn through joblib. The class is re-exported by model_code/__init__.py, predict comes
# from a base class in a sub-package, two rows of different lengths are looped over, counts go
# through a pool of processes that joblib keeps alive (for which they need not import scikit-learn),
# and the signature has no params. The author's own tests go by other names than pytest's usual
# ones.
CELL_TYPER = Stranger(
    "cell_typer",
    {
        "model_code/__init__.py": """
            from .typing_model import CellTyper

            __all__ = ["CellTyper"]
            """,
        "model_code/typing_model.py": """
            import os

            import joblib
            import numpy as np
            import pandas as pd

            from .core.rows import RowByRow


            class CellTyper(RowByRow):
                def load_context(self, context):
                    folder = context.artifacts["forest"]
                    self.forest = joblib.load(os.path.join(folder, "parts", "forest.joblib"))
                    with open(os.path.join(folder, "markers.txt"), encoding="utf-8") as file:
                        self.markers = file.read().split()

                def _get_input(self, uri, **params):
                    return pd.read_csv(uri, index_col=0)[self.markers]

                def _forward(self, input_obj, **params):
                    halves = [input_obj.iloc[::2], input_obj.iloc[1::2]]
                    scaled = joblib.Parallel(n_jobs=2)(
                        joblib.delayed(np.log1p)(half.to_numpy()) for half in halves
                    )
                    frames = [
                        pd.DataFrame(values, index=half.index, columns=half.columns)
                        for values, half in zip(scaled, halves)
                    ]
                    return self.forest.predict_proba(pd.concat(frames).loc[input_obj.index])
            """,
        "model_code/core/__init__.py": "",
        "model_code/core/rows.py": """
            import abc

            import mlflow
            import numpy as np
            import pandas as pd


            class RowByRow(mlflow.pyfunc.PythonModel, abc.ABC):
                def predict(self, context, model_input: pd.DataFrame, params=None):
                    options = params or {}
                    rows = [
                        self._forward(self._get_input(uri, **options), **options)
                        for uri in model_input["input_uri"]
                    ]
                    return np.concatenate(rows)

                @abc.abstractmethod
                def _get_input(self, uri, **params): ...

                @abc.abstractmethod
                def _forward(self, input_obj, **params): ...
            """,
        "model_spec.py": SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float64"), (-1, 3))]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["tables/a.csv", "tables/b.csv"]}), {})
""",
        "tests/check_mine.py": "import nothing_that_exists\n",
        "pytest.ini": """
            [pytest]
            python_files = check_*.py
            python_functions = check_*
            norecursedirs = *
            testpaths = tests
            filterwarnings = error
            xfail_strict = true
            addopts = --strict-markers --strict-config --import-mode=importlib
            """,
    },
    """
    import joblib, numpy as np, pandas as pd
    from pathlib import Path
    from sklearn.ensemble import RandomForestClassifier
    rng = np.random.default_rng(7)
    markers = ["CD3E", "CD14", "MS4A1", "NKG7"]
    centres = np.array([[8, 1, 1, 1], [1, 8, 1, 1], [1, 1, 8, 1]])
    kinds = rng.integers(0, 3, 120)
    counts = pd.DataFrame(rng.poisson(centres[kinds]), columns=markers)
    forest = RandomForestClassifier(5, max_depth=3, random_state=0).fit(np.log1p(counts), kinds)
    parts = Path("model_data/forest/parts"); parts.mkdir(parents=True)
    joblib.dump(forest, parts / "forest.joblib")
    Path("model_data/forest/markers.txt").write_text(" ".join(markers))
    Path("tables").mkdir()
    for name, size in ("a", 11), ("b", 4):
        frame = pd.DataFrame(rng.poisson(centres[rng.integers(0, 3, size)]), columns=markers)
        frame.index = [f"{name}{place}" for place in range(size)]
        frame[::-1].to_csv(f"tables/{name}.csv")
    """,
    ("--vcp-model-class=model_code:CellTyper", "--vcp-artifact=forest=forest"),
    # A fitted forest is more than tensors.
    advice=frozenset({"VCP609"}),
)

# Three named outputs of three kinds, params of four kinds, further columns of the request (one
# of them optional and missing), a nested config taken apart by the constructor, a dataclass and
# a named logger in the pickled object, all of model_data as one artifact, and a spec that takes
# its names from model_code and finds its input through __file__.
PERTURBATION = Stranger(
    "perturbation",
    {
        "model_code/__init__.py": "",
        "model_code/names.py": 'LABELS = ("resting", "activated", "größer")\n',
        "model_code/settings.py": """
            from __future__ import annotations

            from dataclasses import dataclass, field


            @dataclass(frozen=True)
            class Network:
                width: int
                activations: tuple[str, ...] = ("tanh",)
                extra: dict[str, float] = field(default_factory=dict)
            """,
        "model_code/model.py": """
            import csv
            import json
            import logging
            import pathlib
            import typing

            import numpy as np
            from mlflow.pyfunc.model import PythonModel as Base

            from . import names, settings


            class Perturbation(Base):
                def __init__(self, network, scale=1.0, **rest):
                    self.network = settings.Network(**network)
                    self.scale = scale
                    self.rest = rest
                    self.log = logging.getLogger(__name__)

                def load_context(self, context):
                    root = pathlib.Path(context.artifacts["everything"])
                    self.weights = np.load(root / "w" / "matrix.npy")
                    self.genes = json.loads((root / "genes.json").read_text("utf-8"))
                    assert context.model_config["network"]["width"] == self.network.width

                def predict(self, model_input, params: typing.Optional[dict] = None):
                    if len(model_input) != 1:
                        raise ValueError("exactly one row is supported")
                    options = params or {}
                    row = model_input.iloc[0]
                    counts = self._read(row["input_uri"])
                    gene = row["gene"]
                    if gene not in self.genes:
                        raise ValueError(f"unknown gene {gene!r}")
                    counts[:, self.genes.index(gene)] *= row["dose"] * row["copies"]
                    hidden = np.tanh(self.scale * counts @ self.weights)
                    if options.get("centre", True):
                        hidden = hidden - np.mean(options.get("offsets", [0.0, 0.5]))
                    best = (hidden - hidden.mean(axis=0)).argmax(axis=1) % len(names.LABELS)
                    return {
                        "embedding": hidden.astype(np.float32),
                        "state": best.astype(np.int64),
                        "state name": np.array([names.LABELS[place] for place in best]),
                    }

                def _read(self, uri):
                    with open(uri, newline="", encoding="utf-8") as file:
                        rows = list(csv.DictReader(file))
                    return np.array([[float(row[gene]) for gene in self.genes] for row in rows])
            """,
        "model_spec.py": '"""Signature and example."""\n'
        + SPEC_HEAD
        + """
from pathlib import Path

from model_code.names import LABELS

HERE = Path(__file__).resolve().parent
# One line on purpose: names of files may not be as long as a sentence may be.
ABOUT = "Expression of cells after a gene was perturbed. %s" % (
    "The table has one row per cell and one column per gene, with counts that were scaled. """
        + "It goes on for long enough that no file system would take it for the name of a file, "
        * 3
        + """end."
)
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.string, "input_uri"),
            ColSpec(DataType.string, "gene"),
            ColSpec(DataType.double, "dose"),
            ColSpec(DataType.long, "copies"),
            ColSpec(DataType.boolean, "paired"),
            ColSpec(DataType.string, "note", required=False),
        ]
    ),
    outputs=Schema(
        [
            TensorSpec(np.dtype("float32"), (-1, 4), "embedding"),
            TensorSpec(np.dtype("int64"), (-1,), "state"),
            TensorSpec(np.dtype("str"), (-1,), "state name"),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("centre", DataType.boolean, True),
            ParamSpec("mode", DataType.string, "über"),
            ParamSpec("offsets", DataType.double, [0.0, 0.5], shape=(-1,)),
            ParamSpec("rounds", DataType.long, 3),
        ]
    ),
)
(found,) = (HERE / "counts").glob("*.csv")
INPUT_EXAMPLE = (
    pd.DataFrame(
        {
            "input_uri": [str(found.relative_to(HERE))],
            "gene": ["STAT1"],
            "dose": [0.5],
            "copies": [2],
            "paired": [True],
        }
    ),
    {"mode": "schnell", "offsets": [0.25, 0.75]},
)
assert len(LABELS) == 3
""",
        "mlflow_packager.py": "raise SystemExit('the packager of the platform')\n",
        "generate_requirements_txt.py": "raise SystemExit('the locking script')\n",
        "LICENSE": "MIT\n",
        "notebooks/try.ipynb": "{}\n",
        "tests/test_mine.py": "import nothing_that_exists\n",
    },
    """
    import csv, json, numpy as np
    from pathlib import Path
    rng = np.random.default_rng(3)
    genes = ["STAT1", "IRF1", "GBP1"]
    Path("model_data/w").mkdir()
    np.save("model_data/w/matrix.npy", np.linalg.qr(rng.normal(size=(4, 4)))[0][:3])
    Path("model_data/genes.json").write_text(json.dumps(genes))
    Path("counts").mkdir()
    with open("counts/größe 1.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(genes)
        table.writerows(rng.poisson(3, (6, 3)).tolist())
    """,
    (
        "--vcp-model-class=model_code.model:Perturbation",
        "--vcp-artifact=everything=.",
        (
            '--vcp-model-config-json={"network": {"width": 4, "extra": {"ε": 0.1}}, '
            '"scale": 0.1, "mood": null}'
        ),
        "--vcp-model-tag=Größe=klein & fein",
    ),
    advice=frozenset({"VCP118"}),
)
