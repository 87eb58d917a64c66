"""Devices that are taken for granted, and those that are checked for."""

from __future__ import annotations

import pytest

from pytest_vcp.source.fixed_devices import fixed_devices
from tests.static.judging import WriteModules
from tests.static.written import modules

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
    assert fixed_devices(modules(write_modules(m=source))) == ()


@pytest.mark.parametrize(("source", "code"), FIXED.items())
def test_fixed_devices(source: str, code: str, write_modules: WriteModules) -> None:
    assert [found.code for found in fixed_devices(modules(write_modules(m=source)))] == [code]


def test_an_answer_serves_other_modules_and_other_methods_do_not(
    write_modules: WriteModules,
) -> None:
    asks = "GPU = torch.cuda.is_available()\n"
    uses = "from .asks import GPU\ndef f(x):\n    return x.cuda() if GPU else x\n"
    assert fixed_devices(modules(write_modules(asks=asks, uses=uses))) == ()
    careless = """
        class M:
            def load_context(self, context):
                self.device = "cuda" if torch.cuda.is_available() else "cpu"
            def predict(self, model_input):
                return self.net.to(self.device)(torch.tensor(model_input).cuda())
        """
    (found,) = fixed_devices(modules(write_modules(asks=asks, uses=uses, m=careless)))
    assert str(found.where) == "model_code/m.py:6"
