"""Strangers that read volumes, and one that makes noise and starts processes."""

from __future__ import annotations

from tests.strangers.building import SPEC_HEAD, Stranger

# A zarr store (version 2: its metadata are dot files) as input, several artifacts of which two are
# single files and all are links as download caches make them, five dimensions out, exactly one
# row, and a constructor that takes the config.
DENOISER = Stranger(
    "denoiser",
    {
        "model_code/__init__.py": "",
        "model_code/store.py": """
            import itertools
            import json
            from pathlib import Path

            import numpy as np


            def read(path):
                \"\"\"An uncompressed zarr 2 array, chunk by chunk.\"\"\"
                root = Path(path)
                if not (root / ".zgroup").is_file():
                    raise ValueError(f"{path} is no zarr group")
                meta = json.loads((root / "0" / ".zarray").read_text())
                volume = np.empty(meta["shape"], meta["dtype"])
                steps = [
                    range(0, size, step) for size, step in zip(meta["shape"], meta["chunks"])
                ]
                for corner in itertools.product(*steps):
                    name = ".".join(str(c // s) for c, s in zip(corner, meta["chunks"]))
                    chunk = np.fromfile(root / "0" / name, meta["dtype"]).reshape(meta["chunks"])
                    place = tuple(slice(c, c + s) for c, s in zip(corner, meta["chunks"]))
                    volume[place] = chunk
                return volume
            """,
        "model_code/denoiser_mlflow_model.py": """
            from __future__ import annotations

            from typing import Any

            import mlflow.pyfunc as pf
            import numpy as np
            import pandas as pd
            from scipy import ndimage

            from model_code import store


            class DenoiserMLflowModel(pf.PythonModel):
                def __init__(self, model_config: dict[str, Any] | None = None, verbose=False):
                    self.axes = (model_config or {})["layout"]["axes"]

                def load_context(self, context: pf.PythonModelContext) -> None:
                    self.kernels = [
                        np.load(context.artifacts[name])
                        for name in context.model_config["layout"]["channels"]
                    ]

                def predict(
                    self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
                ) -> np.ndarray:
                    if len(model_input) != 1:
                        raise ValueError(f"expected one row, got {len(model_input)}")
                    volume = self._get_input(model_input, params)
                    return self._forward(volume, params)

                def _get_input(self, model_input, params):
                    return store.read(model_input["input_uri"].iloc[0])

                def _forward(self, input_obj, params):
                    filtered = [
                        [ndimage.convolve(frame, kernel) for kernel in self.kernels]
                        for frame in input_obj
                    ]
                    return np.array(filtered, dtype=np.float32)
            """,
        "model_spec.py": SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 2, -1, 8, 8))]),
    params=ParamSchema([ParamSpec("level", "double", 1.0)]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["plates/plate 1.zarr"]}), {"level": 1.0})
""",
    },
    """
    import itertools, json, numpy as np
    from pathlib import Path
    rng = np.random.default_rng(11)
    weights = Path("model_data/filters/deep"); weights.mkdir(parents=True)
    blobs = Path("model_data/blobs"); blobs.mkdir()
    for name in "soft", "sharp":
        kernel = rng.random((3, 3, 3))
        np.save(blobs / f"{name}.npy", kernel / kernel.sum())
        (weights / f"{name}.npy").symlink_to(f"../../blobs/{name}.npy")
    root = Path("plates/plate 1.zarr"); (root / "0").mkdir(parents=True)
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    (root / ".zattrs").write_text('{"multiscales": []}')
    volume = rng.random((2, 4, 8, 8))
    chunks = [1, 4, 8, 4]
    (root / "0" / ".zarray").write_text(json.dumps(
        {"shape": volume.shape, "chunks": chunks, "dtype": "<f8", "compressor": None,
         "fill_value": 0, "filters": None, "order": "C", "zarr_format": 2}))
    for t, x in itertools.product(range(2), range(2)):
        volume[t:t + 1, :, :, 4 * x:4 * x + 4].tofile(root / "0" / f"{t}.0.0.{x}")
    """,
    (
        "--vcp-model-class=model_code.denoiser_mlflow_model:DenoiserMLflowModel",
        "--vcp-artifact=dapi=filters/deep/soft.npy",
        "--vcp-artifact=gfp=filters/deep/sharp.npy",
        "--vcp-artifact=all=filters",
        '--vcp-model-config-json={"layout": {"axes": "tczyx", "channels": ["dapi", "gfp"]}}',
    ),
    advice=frozenset({"VCP808"}),
)

# Prints, warns and logs while it is imported, takes its time for that, creates a folder in the
# home directory, sets a variable that a library reads at its own import, and computes in threads
# and processes that it joins. The constructor takes anything.
COUNTER = Stranger(
    "counter",
    {
        "model_code/__init__.py": """
            import os

            # joblib reads it once, while it is imported.
            os.environ["JOBLIB_MULTIPROCESSING"] = "0"
            """,
        "model_code/noisy.py": """
            import logging
            import multiprocessing
            import pathlib
            import sys
            import time
            import warnings
            from concurrent.futures import ThreadPoolExecutor

            import joblib
            import numpy as np
            from mlflow.pyfunc import PythonModel

            print("imported", flush=True)
            sys.stderr.write("on standard error, without a line end")
            warnings.warn("deprecated since long ago", DeprecationWarning)
            logging.basicConfig(level=logging.DEBUG)
            pathlib.Path.home().joinpath(".counter", "cache").mkdir(parents=True, exist_ok=True)
            time.sleep(0.5)


            def bright(plane, level):
                return int((plane > level).sum())


            class Counter(PythonModel):
                def __init__(self, **options):
                    print("constructed", options)
                    self.options = options

                def load_context(self, context):
                    assert joblib.parallel.mp is None, "the variable was set too late"
                    with open(context.artifacts["level"]) as file:
                        self.level = float(file.read())
                    self.pool = ThreadPoolExecutor(2)

                def predict(self, context, model_input):
                    print("predicting", len(model_input))
                    stack = np.concatenate([self.read(uri) for uri in model_input["input_uri"]])
                    threads = self.pool.map(bright, stack, [self.level] * len(stack))
                    spawn = multiprocessing.get_context("spawn")
                    with spawn.Pool(1) as pool:
                        processes = pool.starmap(bright, [(plane, self.level) for plane in stack])
                    return np.array([list(threads), processes], dtype=np.int32).T

                @staticmethod
                def read(folder):
                    files = sorted(pathlib.Path(folder).glob("*.npy"))
                    if not files:
                        raise FileNotFoundError(f"no planes in {folder}")
                    return np.stack([np.load(file) for file in files])
            """,
        "model_spec.py": "print('the spec is read')\n"
        + SPEC_HEAD
        + """
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("int32"), (-1, 2))]),
)
INPUT_EXAMPLE = (pd.DataFrame({"input_uri": ["planes", "planes/more"]}, index=[7, 9]), {})
""",
    },
    """
    import numpy as np
    from pathlib import Path
    rng = np.random.default_rng(5)
    Path("model_data/level.txt").write_text("0.75")
    Path("planes/more").mkdir(parents=True)
    for place in range(3):
        np.save(f"planes/{place}.npy", rng.random((6, 6)))
    np.save("planes/more/0.npy", rng.random((6, 6)))
    """,
    (
        "--vcp-model-class=model_code.noisy:Counter",
        "--vcp-artifact=level=level.txt",
        '--vcp-model-config-json={"plan": {"a": [1, {"b": null}]}}',
    ),
    advice=frozenset({"VCP808", "VCP720", "VCP721", "VCP806"}),
)
