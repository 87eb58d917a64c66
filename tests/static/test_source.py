"""Licence, metadata and what the source holds: what is legal stays so, and what must be found is.

The legal cases are what wrappers of models of cells and images do.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.mutants import append_text
from pytest_vcp.author_paths import author_paths
from pytest_vcp.code_files import files_that_are_no_code
from pytest_vcp.config_use import read_config_use
from pytest_vcp.credentials import read_credentials
from pytest_vcp.fixed_devices import fixed_devices
from pytest_vcp.licence import LicenceFile, read_licence
from pytest_vcp.package import SourceModule, read_package
from pytest_vcp.policy import load_policy
from pytest_vcp.shadows import shadows
from pytest_vcp.values import ModelClass
from pytest_vcp.violations import Unverified, Violation
from tests.static.judging import StaticSettings, WriteModules, judge

RUNNING = sys.version_info[:2]
POLICY = load_policy()
WRAPPER = "model_code/pbmc_pca_mlflow_model.py"


def _modules(folder: Path) -> tuple[SourceModule, ...]:
    modules = read_package(folder, RUNNING).modules
    assert not [module for module in modules if module.problem]
    return modules


def _write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def _violation(settings: StaticSettings, rule: str) -> Violation:
    """How the rule is violated, told in lines that an author can read."""
    outcome = judge(settings)[rule]
    assert isinstance(outcome, Violation), outcome
    for line in (outcome.expected, outcome.received, outcome.remedy):
        assert line
        assert "\n" not in line
        assert len(line) <= 120, line
    assert outcome.where is not None
    return outcome


# VCP107: the licence

MIT = (
    "MIT License\n\nCopyright (c) 2024 Mara Größe\n\nPermission is hereby granted, free of charge\n"
)
APACHE = "Apache License\nVersion 2.0, January 2004\n" + "terms\n" * 180
APACHE_HINT = "   Copyright [yyyy] [name of copyright owner]\n"
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n" + "terms\n" * 600
GPL_HINT = "<one line to give the program's name>\nCopyright (C) <year>  <name of author>\n"
BSD = "BSD 3-Clause License\n\nCopyright (c) 2019-2024, the authors\nAll rights reserved.\n"

FINISHED: dict[str, dict[str, str | bytes]] = {
    "MIT": {"LICENSE": MIT},
    "the appendix of Apache": {"LICENSE": APACHE + APACHE_HINT},
    "the appendix of the GPL": {"COPYING": GPL + GPL_HINT},
    "BSD": {"LICENSE.txt": BSD},
    "CC-BY": {"LICENCE.md": "# Creative Commons Attribution 4.0\n\nBy exercising the Rights [...]"},
    "an SPDX id alone": {"LICENSE": "CC-BY-NC-4.0\n"},
    "non-commercial": {"LICENSE": "Copyright 2024 [Lab of Cells], for <research> only\n"},
    "small letters": {"license": MIT},
    "Latin-1": {"LICENSE": MIT.encode("latin-1")},
    "UTF-16": {"LICENSE": MIT.encode("utf-16")},
    "BOM and CRLF": {"LICENSE": b"\xef\xbb\xbf" + MIT.replace("\n", "\r\n").encode()},
    "folder of SPDX texts": {"LICENSES/MIT.txt": "Copyright (c) <year> <copyright holders>\n"},
    "two": {"LICENSE": MIT, "COPYING": GPL},
}
UNFINISHED: dict[str, tuple[dict[str, str | bytes], int | None]] = {
    "empty": ({"LICENSE": " \r\n"}, None),
    "BOM alone": ({"LICENSE": b"\xff\xfe"}, None),
    "brackets": ({"LICENSE": "MIT License\n\nCopyright (c) [year] [fullname]\n"}, 3),
    "angles, CRLF": ({"LICENSE": "MIT\r\n\r\nCopyright <YEAR> <COPYRIGHT HOLDER>\r\n"}, 3),
    "cookiecutter": ({"LICENSE": "Copyright (c) {{ cookiecutter.year }}, Mara\n"}, 1),
    "capitals": ({"LICENSE": "Copyright (c) YEAR, YOUR NAME\n"}, 1),
    "holder alone": ({"LICENSE": "Copyright (c) 2024 <copyright holders>\n"}, 1),
    "Apache's notice alone": ({"LICENSE": APACHE_HINT + "Licensed under the Apache License\n"}, 1),
    "to do": ({"LICENSE": "TODO: choose one\n"}, 1),
    "template": ({"LICENSE": "# Licence\n\nAdd your license here.\n"}, 3),
    "UTF-16": ({"LICENSE": "Copyright (c) [year] Mara".encode("utf-16")}, 1),
    "the second of two": ({"LICENSE": MIT, "LICENSE.md": "Copyright [yyyy] Mara"}, 1),
    "SPDX text without content": ({"LICENSES/MIT.txt": ""}, None),
}


def _licence(folder: Path) -> tuple[LicenceFile, ...]:
    return read_licence(folder, POLICY.licence_files).files


@pytest.mark.parametrize("files", FINISHED.values(), ids=list(FINISHED))
def test_finished_licences(files: dict[str, str | bytes], tmp_path: Path) -> None:
    found = _licence(_write(tmp_path, files))
    assert len(found) == len(files)
    assert all(file.is_finished for file in found), found


@pytest.mark.parametrize(("files", "line"), UNFINISHED.values(), ids=list(UNFINISHED))
def test_unfinished_licences(
    files: dict[str, str | bytes], line: int | None, reference: Path
) -> None:
    (reference / "LICENSE").unlink()
    where = _violation(StaticSettings(_write(reference, files)), "VCP107").where
    assert where is not None
    assert where.path == list(files)[-1]
    assert where.line == line


@pytest.mark.parametrize("name", ["LICENSE.rst", "LICENSE-MIT", "MODEL_LICENSE.txt"])
def test_a_licence_by_another_name_is_named(name: str, reference: Path) -> None:
    (reference / "LICENSE").rename(reference / name)
    _write(reference, {"check_license.py": "", "LICENSES/.gitkeep": ""})
    assert name in _violation(StaticSettings(reference), "VCP107").remedy


# VCP109: the metadata file

NAMED = "--model-class model_code.m:M --artifact w=weights"
ONE_VARIANT = f"model_name: pca\nvariants:\n  human: {NAMED}"
GOOD_METADATA: dict[str, str] = {
    "one line": ONE_VARIANT,
    "CRLF": f"{ONE_VARIANT}\n".replace("\n", "\r\n"),
    "comments": f"# the model\n{ONE_VARIANT}  # of cells\n# the end\n",
    "folded": f"variants:\n  human: >-\n    {NAMED}\n    --model-config-json {{'a': 1}}\n".replace(
        "'", '"'
    ),
    "literal": f"variants:\n  human: |\n    {NAMED} \\\n    --model-tag a=b\n",
    "tight JSON": f'{ONE_VARIANT} --model-config-json {{"organism":"human","n":[1,2]}}\n',
    "quoted JSON": f'{ONE_VARIANT} --model-config-json \'{{"organism":"human"}}\'\n',
    "escaped JSON": f'{ONE_VARIANT} --model-config-json {{\\"organism\\":1}}\n',
    "quoted by YAML": f"variants:\n  'human': \"{NAMED}\"\n",
    "several": f"{ONE_VARIANT}\n  mouse_v2.1: {NAMED} --artifact v=vocab --skip-inference\n",
    "more keys": f"license: MIT\n{ONE_VARIANT}\ntags: [a, b]\n",
    "not ASCII": f"model_name: größe\nvariants:\n  größe: {NAMED}\n",
}
# What is found, and the line.
BAD_METADATA: dict[str, tuple[str, str, int | None]] = {
    "empty": ("# nothing\n", "an empty file", None),
    "a list": ("- a\n", "the file is a list", 1),
    "no variants": ("model_name: pca\n", "none", None),
    "variants that are nothing": ("model_name: pca\nvariants:\n", "none", 2),
    "variants as a list": (f"variants:\n  - {NAMED}\n", "the value of variants is a list", 2),
    "template": ("variants:\n  variant_name: command_after_mlflow_packager\n", "the template's", 2),
    "renamed template": ("variants:\n  a: command_after_mlflow_packager\n", "the template's", 2),
    "nothing": ("variants:\n  a:\n", "nothing in place of the arguments", 2),
    "a mapping": ("variants:\n  a: {model-class: M}\n", "a mapping in place of the arguments", 2),
    "no class": ("variants:\n  a: --artifact w=w\n", "no --model-class", 2),
    "no artifact": ("variants:\n  a: --model-class m:M\n", "no --artifact", 2),
    "the second": (f"{ONE_VARIANT}\n  b: --artifact w=w\n", "no --model-class", 4),
    "twice": (f"{ONE_VARIANT}\n  human: {NAMED}\n", "the variant given twice, in lines 3, 4", 4),
    "a path": (f"variants:\n  a/b: {NAMED}\n", "the name 'a/b', which no folder can have", 2),
    "two lines": (f'variants:\n  "a\\nb": {NAMED}\n', "the name 'a\\nb', which", 2),
    "space in unquoted JSON": (
        f'{ONE_VARIANT} --model-config-json {{"organism": "human"}}\n',
        "a second ': ' in one line, which YAML takes for a key",
        3,
    ),
    "tab": (f"variants:\n\thuman: {NAMED}\n", "a tab", 2),
    "Latin-1": ("variants:\n  größe: a\n", "bytes that are no text", 2),
    "the whole command": (f"variants:\n  a: python mlflow_packager.py {NAMED}\n", "'python'", 2),
    "unknown argument": (f"variants:\n  a: {NAMED} --modelclass b\n", "the unknown argument", 2),
    "open quote": (f"{ONE_VARIANT} --model-tag a='b\n", "a quote that is not closed", 3),
}


@pytest.mark.parametrize("text", GOOD_METADATA.values(), ids=list(GOOD_METADATA))
@pytest.mark.parametrize("name", POLICY.metadata_files)
def test_usable_metadata(name: str, text: str, reference: Path) -> None:
    (reference / "metadata.yaml").unlink()
    _write(reference, {name: text})
    assert judge(StaticSettings(reference))["VCP109"] is None


def test_no_metadata_file_is_needed(reference: Path) -> None:
    (reference / "metadata.yaml").unlink()
    assert judge(StaticSettings(reference))["VCP109"] is None


@pytest.mark.parametrize(("text", "found", "line"), BAD_METADATA.values(), ids=list(BAD_METADATA))
def test_unusable_metadata(text: str, found: str, line: int | None, reference: Path) -> None:
    encoding = "latin-1" if "bytes" in found else "utf-8"
    _write(reference, {"metadata.yaml": text.encode(encoding)})
    violation = _violation(StaticSettings(reference), "VCP109")
    assert violation.received.startswith(found)
    assert violation.where is not None
    assert violation.where.line == line


@pytest.mark.parametrize(
    ("problem", "received", "remedy"),
    [
        ("b: --artifact: 'w=x' is not usable; write it", "b: --artifact: 'w=x'", "write it"),
        ("b: -a: 'w=x' is not usable; no x; use y?", "b: -a: 'w=x': no x", "use y?"),
        ("the name '.' names no folder", "the name '.' names no folder", "correct it"),
        (
            "b: " + "x" * 250 + " is not usable; it is too long; cut it",
            ": it is too long",
            "cut it",
        ),
    ],
)
def test_arguments_without_use(problem: str, received: str, remedy: str, reference: Path) -> None:
    settings = StaticSettings(reference, metadata_problems=(("metadata.yaml:3", problem),))
    violation = _violation(settings, "VCP109")
    assert violation.received.endswith(received)
    assert violation.remedy.startswith(remedy)


# VCP110: paths of the author's machine

PATHS_OF_ANYBODY = [
    '"""See /home/mara/models."""',
    "y = 1  # /home/mara/models",
    'def f():\n    "Reads /home/mara/models."',
    'x = "/home"',
    'x = path.startswith(("/home/", "/Users/"))',
    'x = f"/home/{user}/models"',
    'x = "/Users/{name}/models".format(name=user)',
    'x = "/home/$USER/models"',
    'x = re.sub(r"/home/[^/]+/", "~/", path)',
    'x = re.match(r"/Users/(\\w+)/", path)',
    'x = "/home/..."',
    'x = "no weights below /home/mara/models"',
    'x = "https://hub.org/home/mara/models"',
    'x = "~/models"',
    'x = "/tmp/models"',
    'x = "/mnt/data/models"',
    'x = "C:\\\\"',
    'x = r"^[A-Z]:\\\\"',
    'x = r"[a-z]:\\w+"',
    'x = r"n:\\d{2}"',
    'x = r"c:\\d+"',
    'x = "Q:\\nWhat is the cell type?"',
    'x = "s3://models/home/mara/w"',
    'x = "chr1:1000-2000"',
    'x = "T:G"',
    'x = "A:/G"',
    'x = r"C:\\Windows\\Fonts"',
    'x = "C:/Program Files/Java"',
]
PATHS_OF_THE_AUTHOR = {
    'x = "/home/mara/models/w.npz"': "/home/mara/models/w.npz",
    'x = "/Users/mara.lee/w"': "/Users/mara.lee/w",
    'x = "/home/größe/w"': "/home/größe/w",
    'x = os.path.join("/home/mara", "w")': "/home/mara",
    'x = f"/home/mara/{name}.pt"': "/home/mara/",
    'x = "file:///home/mara/w"': "/home/mara/w",
    'x = ["--data=/home/mara/w"]': "/home/mara/w",
    'x = "/mnt/c/Users/mara/w"': "/mnt/c/Users/mara/w",
    'sys.path.append("/home/mara/code")': "/home/mara/code",
    'def f(path="/home/mara/w"): ...': "/home/mara/w",
    'x = r"C:\\Users\\mara\\w.pt"': "C:\\Users\\mara\\w.pt",
    'x = "C:\\\\Users\\\\mara"': "C:\\Users\\mara",
    'x = "D:/models/w.pt"': "D:/models/w.pt",
    'x = r"E:\\data"': "E:\\data",
    'x = "file:///C:/Users/mara/w"': "C:/Users/mara/w",
}


@pytest.mark.parametrize("source", PATHS_OF_ANYBODY)
def test_no_path_of_the_author(source: str, write_modules: WriteModules) -> None:
    assert author_paths(_modules(write_modules(m=source))) == ()


@pytest.mark.parametrize(("source", "path"), PATHS_OF_THE_AUTHOR.items())
def test_paths_of_the_author(source: str, path: str, write_modules: WriteModules) -> None:
    assert [found.text for found in author_paths(_modules(write_modules(m=source)))] == [path]


def test_the_first_path_is_told(reference: Path) -> None:
    append_text(reference / "model_spec.py", f'\nX = ["/home/mara/{"w" * 200}", "/home/mara"]\n')
    violation = _violation(StaticSettings(reference), "VCP110")
    assert violation.received.endswith("(and 1 more)")
    assert violation.where is not None
    assert violation.where.path == "model_spec.py"


# VCP111: fixed devices

CHECKED = {
    "module": """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        class M:
            def load_context(self, context): self.net = Net().to(device)
        """,
    "method": """
        class M:
            def load_context(self, context):
                self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        """,
    "reassigned": """
        def f(x):
            device = "cuda"
            if not torch.cuda.is_available():
                device = "cpu"
            return x.to(device)
        """,
    "early return": """
        def f(net):
            if not torch.cuda.is_available():
                return net
            return net.cuda()
        """,
    "try": """
        def f(net):
            try:
                return net.cuda()
            except (AssertionError, RuntimeError):
                return net
        """,
    "suppress": "with contextlib.suppress(RuntimeError):\n    net = net.cuda()\n",
    "flag of the object": """
        class M:
            def load_context(self, context):
                self.use_gpu = torch.cuda.is_available()
            def predict(self, model_input):
                x = torch.tensor(model_input)
                return self.net(x.cuda() if self.use_gpu else x)
        """,
    "flag of the module": "G = torch.cuda.is_available()\ndef f(x): return x.cuda() if G else x",
    "flag of the config": "def f(self, x):\n    if self.config['use_cuda']:\n        x.cuda()\n",
    "helper that asks": """
        def pick():
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        """,
    "helper that is called when asked": """
        class M:
            def load_context(self, context):
                if torch.cuda.is_available():
                    self._move()
            def _move(self): self.net.cuda()
        """,
    "override": "class Net(nn.Module):\n    def cuda(self): self.x = self.x.cuda()\n",
    "refusal": """
        class M:
            def load_context(self, context):
                if not torch.cuda.is_available():
                    raise RuntimeError("this model needs a GPU")
            def predict(self, model_input): return self.net(model_input.cuda())
        """,
    "assertion": "assert torch.cuda.is_available()\ndef f(x): return x.cuda()",
    "device count": "def f(x): return x.to('cuda') if torch.cuda.device_count() > 0 else x",
    "device as it comes": """
        def f(x, device=None):
            with torch.cuda.device(x.device), torch.autocast(device_type="cuda", enabled=False):
                torch.cuda.set_device(device)
                return x.to(device or next(net.parameters()).device)
        """,
    "on the host": "torch.load(p, map_location='cpu')\ntorch.load(p, map_location=lambda s, l: s)",
    "moved to the host": "torch.load(p, map_location={'cuda:0': 'cpu'}).to('cpu', torch.float32)",
    "automatic": "Trainer(accelerator='auto')\nload(p, device_map='auto', device=-1)",
    "other words": "'''Calls x.cuda() on cuda:0.'''\n# x.cuda()\nv = torch.version.cuda\n",
    "environment": "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\nDEVICES = {'gpu': 'cuda'}\n",
    "parameter": "def f(x, device='cuda'): return x.to(device)",
    "when run as a script": "if __name__ == '__main__':\n    Net().cuda()\n",
    "another set_device": "printer.set_device('a4')\n",
    "TensorFlow": "with tf.device('/GPU:0' if tf.test.is_gpu_available() else '/CPU:0'): pass",
}
FIXED = {
    "def f(x): return x.cuda()": "x.cuda()",
    "def f(x): return x.to('cuda')": "x.to('cuda')",
    "def f(x): return x.to(device='cuda:0')": "x.to(device='cuda:0')",
    "def f(x, i): return x.to(f'cuda:{i}')": "x.to(f'cuda:{i}')",
    "d = torch.device('mps')": "torch.device('mps')",
    "w = torch.load(p, map_location='cuda')": "torch.load(p, map_location='cuda')",
    "x = torch.zeros(3, device='cuda')": "torch.zeros(3, device='cuda')",
    "m = AutoModel.load(p, device_map='cuda')": "AutoModel.load(p, device_map='cuda')",
    "t = Trainer(accelerator='gpu')": "Trainer(accelerator='gpu')",
    "torch.cuda.set_device(0)": "torch.cuda.set_device(0)",
    "torch.set_default_device('cuda')": "torch.set_default_device('cuda')",
    "with tf.device('/GPU:0'): pass": "tf.device('/GPU:0')",
    "DEVICE: str = 'cuda'": "DEVICE: str = 'cuda'",
    "def f(x, big): return x.cuda() if big else x": "x.cuda()",
    "def f(x):\n    if x.is_sparse: x = x.to_dense()\n    return x.cuda()": "x.cuda()",
    "g = torch.cuda.is_available()\nclass M:\n    def predict(self, x): x.cuda()": "x.cuda()",
    "def f(x): _move(x)\ndef _move(x): x.cuda()": "x.cuda()",
    "def f(x): return x.cuda(" + ", ".join(["1"] * 60) + ")": "x.cuda(" + "1, " * 16 + "1,...",
}


@pytest.mark.parametrize("source", CHECKED.values(), ids=list(CHECKED))
def test_checked_devices(source: str, write_modules: WriteModules) -> None:
    assert fixed_devices(_modules(write_modules(m=source))) == ()


@pytest.mark.parametrize(("source", "code"), FIXED.items())
def test_fixed_devices(source: str, code: str, write_modules: WriteModules) -> None:
    assert [found.code for found in fixed_devices(_modules(write_modules(m=source)))] == [code]


def test_an_answer_serves_other_modules_and_other_methods_do_not(
    write_modules: WriteModules,
) -> None:
    asks = "GPU = torch.cuda.is_available()\n"
    uses = "from .asks import GPU\ndef f(x):\n    return x.cuda() if GPU else x\n"
    assert fixed_devices(_modules(write_modules(asks=asks, uses=uses))) == ()
    careless = """
        class M:
            def load_context(self, context):
                self.device = "cuda" if torch.cuda.is_available() else "cpu"
            def predict(self, model_input):
                return self.net.to(self.device)(torch.tensor(model_input).cuda())
        """
    (found,) = fixed_devices(_modules(write_modules(asks=asks, uses=uses, m=careless)))
    assert str(found.where) == "model_code/m.py:6"


# VCP112: shadows

PINS = ("torch", "scanpy", "scikit-learn", "pyyaml", "protobuf", "attrs")
SHADOWLESS = [
    "README.md",
    "setup.py",
    "conftest.py",
    "mlflow_packager.py",
    "generate_requirements_txt.py",
    "model_spec.py",
    "tests/__init__.py",
    "test/test_model.py",
    "utils.py",
    "numpy.py",  # of the pins above none
    "model_code/json.py",
    "model_code/torch/__init__.py",
    "scanpy/pbmc.h5ad",
    "logging/run.py",
    "json.json",
    "random.txt",
    "types.pyi",
    ".json.py",
    "torch.pt",
    "torch.py.bak",
    "torch.old.py",
    "copy of json.py",
    "Statistics.py",
]
SHADOWING = {
    "json.py": "Python's own module",
    "code/__init__.py": "Python's own module",
    "types.pyc": "Python's own module",
    "scanpy.py": "the pinned scanpy",
    "scanpy/__init__.py": "the pinned scanpy",
    "sklearn.py": "the pinned scikit-learn",
    "yaml.py": "the pinned pyyaml",
    "google/__init__.py": "the pinned protobuf",
    "attr.py": "the pinned attrs",
    "torch.so": "the pinned torch",
    "torch.cpython-311-x86_64-linux-gnu.so": "the pinned torch",
    "torch.abi3.so": "the pinned torch",
}


@pytest.mark.parametrize("name", SHADOWLESS)
def test_names_that_hide_nothing(name: str, tmp_path: Path) -> None:
    assert shadows(_write(tmp_path, {name: ""}), PINS, (3, 11)) == ()


@pytest.mark.parametrize(("name", "of"), SHADOWING.items())
def test_names_that_hide_another(name: str, of: str, tmp_path: Path) -> None:
    (found,) = shadows(_write(tmp_path, {name: ""}), PINS, (3, 11))
    assert found.of == of
    assert str(found.where) == name.partition("/")[0]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("tomllib", 11, 99), ("binhex", 0, 10), ("distutils", 0, 11), ("cgi", 0, 12), ("re", 0, 99)],
)
def test_the_library_of_the_target_counts(name: str, first: int, last: int, tmp_path: Path) -> None:
    _write(tmp_path, {f"{name}.py": ""})
    found = [minor for minor in range(10, 15) if shadows(tmp_path, (), (3, minor))]
    assert found == [minor for minor in range(10, 15) if first <= minor <= last]


def test_what_is_hidden_is_told(reference: Path) -> None:
    _write(reference, {"pandas.py": "", "queue.py": ""})
    violation = _violation(StaticSettings(reference), "VCP112")
    assert violation.received == "pandas, which hides the pinned pandas (and 1 more)"


# VCP113: files in model_code

CODE_FILES: dict[str, str | bytes] = {
    "genes.json": "{}",
    "genes.csv": "gene\nTP53\n",
    "vocabulary.txt": "größe\n".encode("latin-1"),
    "from_windows.txt": "größe\n".encode("utf-16"),
    "config.yaml": "a: 1\n",
    "kernels/attention.cu": "__global__ void f() {}\n",
    "tutorial.ipynb": "{}",
    "empty": "",
    "fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF\0\0",
    "__pycache__/m.cpython-311.pyc": b"\0\0",
    ".DS_Store": b"\0\0",
    ".git/index": b"\0\0",
}
NO_CODE: dict[str, tuple[str | bytes, str]] = {
    "w.pt": (b"PK\0", "a file of weights or data (.pt)"),
    "sub/W.SAFETENSORS": (b"\0", "a file of weights or data (.safetensors)"),
    "means.npy": (b"\x93NUMPY", "a file of weights or data (.npy)"),
    "vocabulary.pkl": (b"\x80\x04", "a file of weights or data (.pkl)"),
    "cells.h5ad": (b"\x89HDF", "a file of weights or data (.h5ad)"),
    "table.parquet": (b"PAR1\0", "a binary file"),
    "weights": (b"\0\1", "a binary file"),
    "genes.txt": ("x" * 1501, "a file of 0.001501 MB"),
    "fast.so": (b"\0" * 1501, "a file of 0.001501 MB"),
}


def test_code_and_small_texts(tmp_path: Path) -> None:
    _write(tmp_path / "model_code", CODE_FILES)
    assert files_that_are_no_code(tmp_path, 1500) == ()


@pytest.mark.parametrize("name", NO_CODE)
def test_files_that_are_no_code(name: str, tmp_path: Path) -> None:
    content, kind = NO_CODE[name]
    _write(tmp_path / "model_code", {name: content})
    (found,) = files_that_are_no_code(tmp_path, 1500)
    assert found.kind == kind
    assert str(found.where) == f"model_code/{name}"


def test_links_are_followed_as_they_are_when_packaged(tmp_path: Path) -> None:
    _write(tmp_path, {"model_data/w.bin": b"\0", "model_code/__init__.py": ""})
    (tmp_path / "model_code" / "weights").symlink_to("../model_data")
    (tmp_path / "model_code" / "again").symlink_to(".")
    (tmp_path / "model_code" / "nowhere.pt").symlink_to("missing")
    (found,) = files_that_are_no_code(tmp_path, 1500)
    assert str(found.where) == "model_code/weights/w.bin"


def test_the_limit_is_told(reference: Path) -> None:
    (reference / "model_code" / "genes.txt").write_text("x" * 2_500_000, encoding="utf-8")
    assert judge(StaticSettings(reference))["VCP113"] is None
    smaller = replace(POLICY, code_file_bytes=250_000)
    violation = _violation(StaticSettings(reference, policy=smaller), "VCP113")
    assert violation.expected.endswith("no file over 0.25 MB")
    assert violation.received == "a file of 2.5 MB"


# VCP114: credentials. None of these opens anything: the shapes alone are those of real ones.

RANDOM = "aB3dE5gH7jK9" * 4
TOKEN = "hf_" + RANDOM
AWS = "AKIA" + "Q3RW5TY7UI9OPA2S"
PRIVATE = "-----BEGIN RSA " + "PRIVATE KEY-----"
HEX = "0123456789abcdef" * 4
NO_SECRETS = [
    "token = tokenizer.pad_token",
    "api_key = os.environ['API_KEY']",
    "f(api_key=os.environ.get('API_KEY', ''), hf_token=os.getenv('HF_TOKEN'))",
    "password = getpass()",
    "password = None",
    "pad_token, token, bos_token = '<pad>', '[MASK]', '<|endoftext|>'",
    "token = 'gene_token_dict_v1'",
    "token = 'ENSG00000141510'",
    "access_key = 'cell_type_ontology_term_id1'",
    "auth_key = 'obs/cell_type1'",
    "batch_key = 'sample_id_1234567'",
    "private_key = 'private_key'",
    "api_key = 'path/to/key1.json'",
    "SECRET_KEY = 'MY_SECRET_KEY_2'",
    "secret = 'gene'",
    "password = '<password>'",
    "API_KEY = 'your-api-key-12345'",
    "hf_token = f'{prefix}1234567890ab'",
    "access_key = 'AKIAIOSFODNN7EXAMPLE'",
    f"SHA256 = '{HEX}'",
    "ID = '123e4567-e89b-12d3-a456-426614174000'",
    "SEQUENCE = 'MKTAYIAKIASIAKQRQISFVKSHFSRQLEERLGLIEVQAKIAGHTKLSDERVNQSTYW'",
    "x = hf_hub_download('lab/hf_models_of_cells_and_their_genes')",
    "x = 'sk-learn-compatible-estimator-2023'",
    "x = 'ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
    f"if text.startswith('{PRIVATE}'): ...",
    "x = 'https://user:password@example.com/x'",
    "x = f'postgresql://{user}:{password}@{host}/cells'",
    "x = 'docker://cells:latest@sha256:0123'",
    "x = re.match(r'https?://([^:]+):([^@]+)@(.*)', url)",
]
SECRETS = {
    f"x = '{TOKEN}'": "a Hugging Face token, hf_a****",
    f"# login with {TOKEN}": "a Hugging Face token, hf_a****",
    f"login(token='ghp_{RANDOM}')": "a GitHub token, ghp_****",
    f"x = '{AWS}'": "an AWS access key, AKIA****",
    f"openai.api_key = 'sk-{RANDOM}'": "an API key, sk-a****",
    "password = 'k7#Qz-81bv'": "a value for password, ****",
    "self.dbPassword: str = 'correcthorse'": "a value for dbPassword, ****",
    f"os.environ['WANDB_API_KEY'] = '{HEX[:40]}'": "a value for WANDB_API_KEY, 0123****",
    f"os.environ.get('API_KEY', '{RANDOM[:12]}')": "a value for API_KEY, ****",
    f"wandb.login(key='{HEX[:40]}')": "a value for api_key, 0123****",
    f"def f(api_key='{RANDOM}'): ...": "a value for api_key, aB3d****",
    f"x = {{'aws_secret_access_key': 'wJal/{RANDOM[:35]}'}}": (
        "a value for aws_secret_access_key, wJal****"
    ),
    f"x = '{PRIVATE}\\nMIIEpAIBAAKCAQEA1234567890'": "a private key",
    "x = 'postgresql://mara:k7Qz81bv@db.lab.org/cells'": "a password in a URL, ****",
}
WITHOUT_SECRETS: dict[str, str | bytes] = {
    "requirements.txt": f"numpy==2.0 --hash=sha256:{HEX}\n--index-url https://${{TOKEN}}@host/s\n",
    "metadata.yaml": 'variants:\n  a: --model-config-json {"token": "cls"}\n',
    "README.md": TOKEN,
    "mlflow_packager.py": f"x = '{TOKEN}'",
    "model_code/config.yaml": "token: <pad>\npassword: ${DB_PASSWORD}\nsecret: # later\n",
    "model_code/tokenizer.json": '{"pad_token": "<pad>", "token": "gene_token_0001"}',
    "model_code/fast.so": b"\0" + TOKEN.encode(),
    "model_code/__pycache__/m.pyc": TOKEN,
    "model_data/vocabulary.txt": "password: k7#Qz-81bv\nsecret\ntoken=a1b2c3d4e5f6\nsk-learn\n",
    "model_data/vocabulary.json": '{"password": "k7#Qz-81bv", "token": "a1b2c3d4e5f6"}',
    "model_data/peptides.csv": "AKIAGHTKLSDERVNQSTYW,1\nASIAGHTKLSDERVNQSTYW,2\n",
    "model_data/ratios.txt": "https://a:b@c\n",
    "model_data/weights.bin": TOKEN,
}
WITH_SECRETS: dict[str, tuple[str | bytes, int]] = {
    "requirements.txt": ("a==1\n--index-url https://ci:k7Qz81bv@git.lab.org/simple\n", 2),
    "metadata.yaml": (f"variants:\n  a: --model-tag token={TOKEN}\n", 2),
    "model_spec.py": (f"X = '{TOKEN}'\n", 1),
    "model_code/config.yaml": ("a: 1\npassword: k7#Qz-81bv  # of the database\n", 2),
    "model_code/config.json": (f'{{\n"api_key": "{RANDOM}"}}', 2),
    "model_code/.env": (f"export API_KEY={RANDOM}\n", 1),
    "model_code/key.pem": (f"{PRIVATE}\nMIIEpAIBAAKCAQEA123\n", 1),
    "model_code/from_windows.txt": (f"token\n{TOKEN}".encode("utf-16"), 2),
    "model_code/broken.py": (f"x = (\n'{TOKEN}'\n", 2),
    "model_data/.env": (f"A=1\nHF_TOKEN={TOKEN}\n", 2),
    "model_data/pcs/source.yaml": (f"token: {TOKEN}\n", 1),
}


def _secrets(folder: Path) -> list[tuple[str, str]]:
    found = read_credentials(read_package(folder, RUNNING), POLICY.metadata_files)
    assert found.complete
    return [(secret.kind, str(secret.where)) for secret in found.found]


@pytest.mark.parametrize("source", NO_SECRETS)
def test_code_without_secrets(source: str, write_modules: WriteModules) -> None:
    assert _secrets(write_modules(m=source)) == []


@pytest.mark.parametrize(("source", "kind"), SECRETS.items())
def test_code_with_secrets(source: str, kind: str, write_modules: WriteModules) -> None:
    assert _secrets(write_modules(m=source)) == [(kind, "model_code/m.py:1")]


def test_files_without_secrets(tmp_path: Path) -> None:
    assert _secrets(_write(tmp_path, {"model_code/a": "", **WITHOUT_SECRETS})) == []


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_files_with_secrets(name: str, tmp_path: Path) -> None:
    content, line = WITH_SECRETS[name]
    _write(tmp_path, {name: content})
    assert [where for _, where in _secrets(tmp_path)] == [f"{name}:{line}"]


def test_no_secret_is_shown_and_the_others_are_counted(reference: Path) -> None:
    append_text(reference / WRAPPER, "\npassword = 'k7#Qz-81bv'\n" + f"A = '{TOKEN}'\n" * 2)
    violation = _violation(StaticSettings(reference), "VCP114")
    assert violation.received == "a Hugging Face token, hf_a**** (and 2 more)"
    assert "k7" not in str(violation)


def test_where_not_all_was_read_nothing_is_claimed(reference: Path) -> None:
    _write(reference, {f"model_data/many/{number}.txt": "" for number in range(2001)})
    assert isinstance(judge(StaticSettings(reference))["VCP114"], Unverified)
    append_text(reference / "model_spec.py", f"\nX = '{TOKEN}'\n")
    assert _violation(StaticSettings(reference), "VCP114")


# VCP116: the model config

Config = dict[str, Any]
NETWORK: Config = {"network": {"width": 4, "depth": 2}, "organism": "human"}
WIDTH: Config = {"width": 4}
# The body of load_context, and what follows.
READ: dict[str, tuple[Config, str]] = {
    "empty config": ({}, "pass"),
    "by key": (WIDTH, "w = context.model_config['width']"),
    "get": (WIDTH, "w = (context.model_config or {}).get('width', 3)"),
    "a constant as key": (WIDTH, "w = context.model_config[KEY]\nKEY = 'width'"),
    "not ASCII": ({"größe": {"µm": 1}}, "w = context.model_config['größe']['µm']"),
    "part by part": (
        NETWORK,
        "c = context.model_config\n n = c['network']\n n['width'] + n['depth']\n c['organism']",
    ),
    "all of it": (NETWORK, "Net(**context.model_config)"),
    "part as a whole": (
        NETWORK,
        "config = context.model_config\n Net(**config['network'], x=config.get('organism'))",
    ),
    "part by another name": (
        NETWORK,
        "config = context.model_config\n n = config.get('network', {})\n f(n, config['organism'])",
    ),
    "dataclass": (NETWORK, "args = Args(**context.model_config)"),
    "namespace": (NETWORK, "args = argparse.Namespace(**context.model_config)\n args.network"),
    "OmegaConf": (NETWORK, "cfg = OmegaConf.create(context.model_config)\n cfg.network.width"),
    "hparams": (NETWORK, "self.hparams = context.model_config\ndef f(s): Net(**s.hparams)"),
    "hparams updated": (NETWORK, "self.hparams.update(context.model_config)"),
    "helper": (NETWORK, "build(context.model_config)\ndef build(options): Net(**options)"),
    "method": (NETWORK, "self._build(context)\ndef f(ctx): return Net(**ctx.model_config)"),
    "loop": (NETWORK, "for k, v in context.model_config.items(): setattr(self, k, v)"),
    "loop over keys": (NETWORK, "c = context.model_config\n for k in KEYS: setattr(self, k, c[k])"),
    "loop over known keys": (
        NETWORK,
        "config = context.model_config\n for k in KEYS:\n  if k in config: f(k, config[k])",
    ),
    "made keys": ({"a_x": 1}, "config = context.model_config\n config[f'{name}_x']"),
    "merged": (NETWORK, "config = {**DEFAULTS, **context.model_config}\n Net(**config)"),
    "merged by operator": (NETWORK, "c = DEFAULTS | context.model_config\n Net(**c)"),
    "merged by update": (NETWORK, "s = dict(DEFAULTS)\n s.update(context.model_config)\n f(s)"),
    "conditional": (NETWORK, "c = context.model_config if context.model_config else {}\n f(**c)"),
    "conditional, by a call": (NETWORK, "config = f(context.model_config) if x else config"),
    "getattr": (NETWORK, "config = getattr(context, 'model_config', None) or {}\n Net(**config)"),
    "pop": (NETWORK, "config = dict(context.model_config)\n config.pop('a')\n Net(**config)"),
    "match": (WIDTH, "match context.model_config:\n  case {'width': w}: self.w = w"),
    "constructor": (WIDTH, "pass\ndef __init__(self, width=4): self.w = width"),
    "constructor with all": (WIDTH, "pass\ndef __init__(self, **kwargs): self.k = kwargs"),
    "constructor with config": (WIDTH, "pass\ndef __init__(self, config): self.n = Net(**config)"),
    "list": ({"layers": [{"n": 1}]}, "for layer in context.model_config['layers']: f(layer)"),
}
UNREAD: dict[str, tuple[Config, str, list[str]]] = {
    "nothing is read": ({"a": 1, "b": 2}, "pass", ["a", "b"]),
    "typo": ({"widht": 4}, "w = context.model_config.get('width', 3)", ["widht"]),
    "one of two": ({"width": 4, "x": 1}, "w = context.model_config['width']", ["x"]),
    "other case": ({"Width": 4}, "w = context.model_config['width']", ["Width"]),
    "in a docstring": ({"width": 4}, "'Reads width.'", ["width"]),
    "nested": (
        {"network": {"widht": 4}},
        "config = context.model_config\n w = config['network']['width']",
        ["network.widht"],
    ),
    "stored": (
        {"widht": 4},
        "self.config = context.model_config or {}\ndef f(self): return self.config['width']",
        ["widht"],
    ),
    "questions alone": (
        {"widht": 4},
        """config = context.model_config
 if not config or 'width' not in config: raise ValueError
 assert isinstance(config, dict) and len(config)
 if config: f(config['width'])""",
        ["widht"],
    ),
    "shown alone": (
        {"widht": 4},
        "config = context.model_config\n print(config)\n log.info(f'{config}')\n config['width']",
        ["widht"],
    ),
    "defaults": (
        {"widht": 4},
        "config = {'width': 3, **(context.model_config or {})}\n f(config['width'])",
        ["widht"],
    ),
    "defaults by operator": (
        {"widht": 4},
        "config = DEFAULTS | (context.model_config or {})\n f(config['width'])",
        ["widht"],
    ),
    "conditional": (
        {"widht": 4},
        "config = context.model_config if context.model_config else {}\n f(config['width'])",
        ["widht"],
    ),
    "constructor": ({"n": 5}, "pass\ndef __init__(self, n_components=50): self.n_ = 1", ["n"]),
    "copy": ({"x": 1}, "config = dict(context.model_config or {})\n f(config['width'])", ["x"]),
}


def _unread(folder: Path, config: Config) -> list[str]:
    use = read_config_use(_modules(folder))
    return [".".join(path) for path in use.unread(config)]


def _load(body: str) -> str:
    return f"def load_context(self, context):\n {body}\n"


@pytest.mark.parametrize(("config", "body"), READ.values(), ids=list(READ))
def test_config_that_is_read(config: Config, body: str, write_modules: WriteModules) -> None:
    assert _unread(write_modules(m=_load(body)), config) == []


@pytest.mark.parametrize(("config", "body", "keys"), UNREAD.values(), ids=list(UNREAD))
def test_config_that_is_not_read(
    config: Config, body: str, keys: list[str], write_modules: WriteModules
) -> None:
    assert _unread(write_modules(m=_load(body)), config) == keys


def test_keys_are_looked_for_in_all_modules(write_modules: WriteModules) -> None:
    init = _load("self.w = build(context.model_config['network'])")
    folder = write_modules(init, sub__SUB__keys="class Keys:\n    ORGANISM = 'organism'\n")
    assert _unread(folder, {**NETWORK, "x": 1}) == ["x"]


def test_the_key_that_was_meant_is_named(reference: Path) -> None:
    settings = StaticSettings(reference, model_config={"n_component": 50, "a\nb" * 30: {}})
    violation = _violation(settings, "VCP116")
    assert violation.received == "n_component, which nothing reads (and 1 more)"
    assert violation.remedy == "did you mean n_components?"
    _violation(replace(settings, model_config={"a\nb" * 30: {}}), "VCP116")


def test_a_base_from_a_library_may_read_the_config(reference: Path) -> None:
    source = "from zoo import Base\nclass Model(Base):\n    x = 1\n"
    _write(reference, {"model_code/m.py": source})
    settings = StaticSettings(reference, ModelClass("model_code.m", "Model"))
    settings = replace(settings, model_config={"unknown": 1})
    assert isinstance(judge(settings)["VCP116"], Unverified)
