"""The names under which distributions are imported, as far as they can be told without them."""

from __future__ import annotations

# Those that differ from the name of the distribution, among what models of cells are built from.
_IMPORTED_AS: dict[str, tuple[str, ...]] = {
    "absl-py": ("absl",),
    "antlr4-python3-runtime": ("antlr4",),
    "attrs": ("attr", "attrs"),
    "beautifulsoup4": ("bs4",),
    "biopython": ("Bio", "BioSQL"),
    "databricks-sdk": ("databricks",),
    "faiss-cpu": ("faiss",),
    "faiss-gpu": ("faiss",),
    "fonttools": ("fontTools",),
    "gitpython": ("git",),
    "graphql-core": ("graphql",),
    "hydra-core": ("hydra",),
    "ipython": ("IPython",),
    "lightning": ("lightning", "lightning_fabric"),
    "mlflow-skinny": ("mlflow",),
    "mlflow-tracing": ("mlflow",),
    "msgpack-python": ("msgpack",),
    "opencv-contrib-python": ("cv2",),
    "opencv-contrib-python-headless": ("cv2",),
    "opencv-python": ("cv2",),
    "opencv-python-headless": ("cv2",),
    "pillow": ("PIL",),
    "protobuf": ("google",),
    "pygithub": ("github",),
    "pyjwt": ("jwt",),
    "pyopenssl": ("OpenSSL",),
    "pysocks": ("socks", "sockshandler"),
    "python-dateutil": ("dateutil",),
    "python-dotenv": ("dotenv",),
    "python-igraph": ("igraph",),
    "python-louvain": ("community",),
    "python-multipart": ("multipart", "python_multipart"),
    "pywavelets": ("pywt",),
    "pyyaml": ("yaml",),
    "pyzmq": ("zmq",),
    "ruamel-yaml": ("ruamel",),
    "scikit-image": ("skimage",),
    "scikit-learn": ("sklearn",),
    "scikit-misc": ("skmisc",),
    "scvi-tools": ("scvi",),
    "setuptools": ("setuptools", "pkg_resources"),
    "simpleitk": ("SimpleITK",),
    "tensorflow-cpu": ("tensorflow",),
    "umap-learn": ("umap",),
}
# Distributions that share one package at the top.
_SHARED = ("google", "jaraco", "nvidia", "opentelemetry", "zope")


def import_names(distribution: str) -> tuple[str, ...]:
    """The usual names of the modules at the top of a distribution, given by its canonical name."""
    if distribution in _IMPORTED_AS:
        return _IMPORTED_AS[distribution]
    shared = distribution.partition("-")[0]
    if shared in _SHARED:
        return (shared,)
    return (distribution.replace("-", "_"),)
