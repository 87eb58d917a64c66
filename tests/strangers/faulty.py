"""Small packages with one fault each, of kinds that come up in practice.

All share a model that sums the columns of a text file; `_package` puts a fault into one place.
"""

from __future__ import annotations

import textwrap

from tests.strangers.building import SPEC_HEAD, Stranger

HEAD = """
import numpy as np
from mlflow.pyfunc import PythonModel
"""
LOAD = """
def load_context(self, context):
    with open(context.artifacts["weights"]) as file:
        self.weight = float(file.read())
"""
PREDICT = """
def predict(self, context, model_input, params=None):
    tables = [np.loadtxt(uri, ndmin=2) for uri in model_input["input_uri"]]
    return np.concatenate(tables) * self.weight
"""
SPEC = (
    SPEC_HEAD
    + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float64"), (-1, 2))]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["table.txt"]}), {})
"""
)


def _package(
    name: str,
    *,
    head: str = "",
    load: str = LOAD,
    predict: str = PREDICT,
) -> Stranger:
    methods = textwrap.indent(textwrap.dedent(load) + textwrap.dedent(predict), "    ")
    code = f"{HEAD}{head}\n\n\nclass Model(PythonModel):\n{methods}"
    return Stranger(
        name,
        {
            "model_code/__init__.py": "",
            "model_code/model.py": code,
            "model_data/weights.txt": "0.5\n",
            "model_spec.py": SPEC,
            "table.txt": "1 2\n3 4\n5 6\n",
        },
        "",
        ("--vcp-model-class=model_code.model:Model", "--vcp-artifact=weights=weights.txt"),
    )


SOUND = _package("sound")
NEEDS_SPEC = _package("needs_spec", head="from model_spec import MODEL_SIGNATURE")
WRITES_BESIDE_WEIGHTS = _package(
    "writes_beside_weights",
    load="""
    def load_context(self, context):
        with open(context.artifacts["weights"] + ".cache", "w") as file:
            file.write("0.5")
        self.weight = 0.5
    """,
)
DOWNLOADS = _package(
    "downloads",
    load="""
    def load_context(self, context):
        import urllib.request

        with urllib.request.urlopen("https://weights.invalid/weights.txt") as answer:
            self.weight = float(answer.read())
    """,
)
# It returns the array that it goes on adding to: compared with itself it is always the same.
ADDS_TO_ITS_RESULT = _package(
    "adds_to_its_result",
    predict="""
    result = np.zeros((3, 2))

    def predict(self, context, model_input, params=None):
        self.result += np.loadtxt(model_input["input_uri"].iloc[0]) * self.weight
        return self.result
    """,
)
# The order of a set of texts is the same within a process, and another one in the next.
ORDER_OF_A_SET = _package(
    "order_of_a_set",
    predict="""
    def predict(self, context, model_input, params=None):
        names = [f"gene {place}" for place in range(40)]
        assert np.loadtxt(model_input["input_uri"].iloc[0]).size
        order = {name: place for place, name in enumerate(set(names))}
        return np.array([order[name] for name in names], dtype=float).reshape(-1, 2)
    """,
)
