"""Credentials, and what only looks like one. None of these opens anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants import append_text
from pytest_vcp.rules.outcomes import Unverified
from pytest_vcp.source.credentials import read_credentials
from pytest_vcp.source.package import read_package
from tests.static.judging import StaticSettings, WriteModules, judge
from tests.static.written import POLICY, RUNNING, WRAPPER, violation, write

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
    assert _secrets(write(tmp_path, {"model_code/a": "", **WITHOUT_SECRETS})) == []


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_files_with_secrets(name: str, tmp_path: Path) -> None:
    content, line = WITH_SECRETS[name]
    write(tmp_path, {name: content})
    assert [where for _, where in _secrets(tmp_path)] == [f"{name}:{line}"]


def test_no_secret_is_shown_and_the_others_are_counted(reference: Path) -> None:
    append_text(reference / WRAPPER, "\npassword = 'k7#Qz-81bv'\n" + f"A = '{TOKEN}'\n" * 2)
    told = violation(StaticSettings(reference), "VCP114")
    assert told.found == "a Hugging Face token, hf_a**** (and 2 more)"
    assert "k7" not in str(told)


def test_where_not_all_was_read_nothing_is_claimed(reference: Path) -> None:
    write(reference, {f"model_data/many/{number}.txt": "" for number in range(2001)})
    assert isinstance(judge(StaticSettings(reference))["VCP114"], Unverified)
    append_text(reference / "model_spec.py", f"\nX = '{TOKEN}'\n")
    assert violation(StaticSettings(reference), "VCP114")
