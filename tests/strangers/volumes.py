"""A stranger with outputs of every rank, from zarr stores of format 3."""

from __future__ import annotations

from tests.strangers.building import SPEC_HEAD, Stranger

# Named outputs of ranks one to five; the class three packages deep, in a sub-package called src;
# predict, without params, inherited from a base class beside it, newer dialect; two rows whose
# inputs differ in size, each a directory with a link inside.
PROFILER = Stranger(
    "profiler",
    {
        "model_code/__init__.py": "",
        "model_code/src/__init__.py": "",
        "model_code/src/units.py": "FULL_SCALE = 1000.0\n",
        "model_code/src/core/__init__.py": "from .rows import RowByRow as RowByRow\n",
        "model_code/src/core/store.py": """
            import itertools
            import json
            from pathlib import Path

            import numpy as np


            def read(uri):
                \"\"\"An uncompressed zarr 3 array; chunks at its far ends are whole, too.\"\"\"
                root = Path(uri)
                meta = json.loads((root / "zarr.json").read_text("utf-8"))
                steps = meta["chunk_grid"]["configuration"]["chunk_shape"]
                counts = [-(-size // step) for size, step in zip(meta["shape"], steps)]
                whole = np.zeros([n * step for n, step in zip(counts, steps)], meta["data_type"])
                for place in itertools.product(*map(range, counts)):
                    chunk = np.fromfile(root.joinpath("c", *map(str, place)), "<u2")
                    window = [slice(n * step, (n + 1) * step) for n, step in zip(place, steps)]
                    whole[tuple(window)] = chunk.reshape(steps)
                return whole[tuple(slice(size) for size in meta["shape"])]
            """,
        "model_code/src/core/rows.py": """
            import numpy as np
            from mlflow.pyfunc import PythonModel

            from ...src import units
            from . import store


            class RowByRow(PythonModel):
                def predict(self, model_input):
                    rows = [self._forward(self._get_input(uri)) for uri in model_input["input_uri"]]
                    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

                def _get_input(self, uri):
                    return store.read(uri) / units.FULL_SCALE
            """,
        "model_code/src/profiles/__init__.py": "",
        "model_code/src/profiles/model.py": """
            import numpy as np

            from ..core import RowByRow


            class Profiler(RowByRow):
                def load_context(self, context):
                    self.gains = np.load(context.artifacts["gains"])
                    self.planes = context.model_config["planes"]

                def _forward(self, input_obj):
                    volume = (input_obj * self.gains).astype(np.float32)
                    channels = np.stack([volume, np.gradient(volume, axis=2)], axis=1)
                    return {
                        "brightness": volume.mean(keepdims=True)[0, 0],
                        "profile": volume.mean(axis=2),
                        "planes": (volume > 0.5).astype(np.int32),
                        "channels": channels,
                        "top": channels[None, : self.planes].transpose(0, 2, 1, 3, 4),
                    }
            """,
        "model_spec.py": SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema(
        [
            TensorSpec(np.dtype("float32"), (-1,), "brightness"),
            TensorSpec(np.dtype("float32"), (-1, 6), "profile"),
            TensorSpec(np.dtype("int32"), (-1, 6, 5), "planes"),
            TensorSpec(np.dtype("float32"), (-1, 2, -1, 5), "channels"),
            TensorSpec(np.dtype("float32"), (-1, 2, 2, -1, -1), "top"),
        ]
    ),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["scans/low.zarr", "scans/high.zarr"]}), {})
""",
        "LICENSE": "MIT License\n\nCopyright (c) 2025 The authors of the profiler\n",
    },
    """
    import itertools, json, numpy as np
    from pathlib import Path
    rng = np.random.default_rng(17)
    np.save("model_data/gains.npy", rng.uniform(0.5, 1.5, 5))
    for name, depth in ("low", 3), ("high", 4):
        volume = rng.integers(0, 1000, (depth, 6, 5)).astype("<u2")
        steps = [2, 6, 5]
        root = Path("scans", f"{name}.zarr"); root.mkdir(parents=True)
        (root / "zarr.json").write_text(json.dumps(
            {"zarr_format": 3, "node_type": "array", "shape": volume.shape,
             "data_type": "uint16", "fill_value": 0, "attributes": {},
             "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": steps}},
             "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
             "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}))
        chunks = root / "chunks"; (root / "c").symlink_to("chunks")
        padded = np.zeros((4, 6, 5), "<u2"); padded[:depth] = volume
        for place in range(2):
            (chunks / str(place) / "0").mkdir(parents=True)
            padded[2 * place:2 * place + 2].tofile(chunks / str(place) / "0" / "0")
    """,
    (
        "--vcp-model-class=model_code.src.profiles.model:Profiler",
        "--vcp-artifact=gains=gains.npy",
        '--vcp-model-config-json={"planes": 2}',
    ),
)
