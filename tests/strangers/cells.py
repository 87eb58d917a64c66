"""A stranger that reads AnnData: two files of different length, one named output in a dict."""

from __future__ import annotations

import shutil
from pathlib import Path

from fixtures.references import PACKAGES
from tests.strangers.building import SPEC_HEAD, Stranger

DATA = PACKAGES.parent / "data"

# The constructor takes the config by keyword; the payload for the forward pass names its columns
# in another of the forms that MLflow's server accepts.
SCORER = Stranger(
    "scorer",
    {
        "model_code/__init__.py": "from .scorer import *\n",
        "model_code/scorer.py": """
            import json

            import anndata
            import mlflow
            import numpy as np

            __all__ = ["Scorer"]


            class Scorer(mlflow.pyfunc.PythonModel):
                def __init__(self, *, config):
                    self.floor = config["floor"]

                def load_context(self, context):
                    with open(context.artifacts["genes"]) as file:
                        self.genes = json.load(file)

                def predict(self, context, model_input, params=None):
                    scores = []
                    for uri in model_input["input_uri"]:
                        data = anndata.read_h5ad(uri)
                        known = [gene for gene in self.genes if gene in data.var_names]
                        counts = data[:, known].X
                        counts = counts.toarray() if hasattr(counts, "toarray") else counts
                        scores.append(np.maximum(counts.mean(axis=1), self.floor))
                    return {"score": np.concatenate(scores).astype(np.float64)}
            """,
        "model_spec.py": SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float64"), (-1,), "score")]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["data/large.h5ad", "data/small.h5ad"]}), {})
""",
        "request.json": '{"inputs": {"input_uri": ["data/small.h5ad", "data/large.h5ad"]}}\n',
    },
    """
    import anndata, json
    genes = list(anndata.read_h5ad("data/small.h5ad").var_names[:25])
    with open("model_data/genes.json", "w") as file:
        json.dump(genes, file)
    """,
    (
        "--vcp-model-class=model_code:Scorer",
        "--vcp-artifact=genes=genes.json",
        '--vcp-model-config-json={"floor": 0.001}',
        "--vcp-json-payload-filepath=request.json",
    ),
    # It scores whatever genes there are.
    advice=frozenset({"VCP118", "VCP719"}),
    before=lambda folder: add_data(folder),
    variables={"TMPDIR": "{package}/scratch"},
)


def add_data(folder: Path) -> None:
    """Two real files of cells, and a place for temporary files in the midst of the package."""
    (folder / "scratch").mkdir()
    (folder / "data").mkdir()
    shutil.copy(DATA / "pbmc_20_cells.h5ad", folder / "data" / "small.h5ad")
    shutil.copy(DATA / "pbmc_48_cells.h5ad", folder / "data" / "large.h5ad")
