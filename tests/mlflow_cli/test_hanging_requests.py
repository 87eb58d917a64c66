"""A server that never answers a request: told as that, after one time-out."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from pytest_vcp.mlflow_cli.commands import SERVER_RULES
from tests.runs import run_vcp

_SEEN = "the server asks for a prediction"
_ABOVE = "import sys\nimport threading\nimport time"
# Waits where the server's threads are, as a pool does that was forked from one of them.
_HANGS = f"""
if threading.current_thread() is not threading.main_thread():
    print({_SEEN!r}, file=sys.stderr, flush=True)
    if {{condition}}:
        time.sleep(3600)
return scores
"""
REQUESTS = {
    "the first": ("True", "mlflow models serve --env-manager local predicts on the serving"),
    "a later one": ("getattr(self, 'asked', False)", "an answer to a param that the signature"),
}


@pytest.mark.parametrize("request_that_hangs", REQUESTS)
def test_it_is_told_once(request_that_hangs: str, tmp_path: Path) -> None:
    condition, expected = REQUESTS[request_that_hangs]
    statements = _HANGS.format(condition=condition).replace(
        "return scores", "self.asked = True\nreturn scores"
    )
    package = PCA_50.copy(tmp_path)
    returning(statements, above=_ABOVE)(package)
    run = run_vcp(package, PCA_50.options, "--vcp-timeout=45", commands=SERVER_RULES)
    assert run.outcomes["VCP804"] == "advice", run.output
    entry = run.variant["rules"]["VCP804"]
    # Either gives up first: MLflow's server, or who asks it.
    assert entry["found"].startswith(("no answer within 45 s", "HTTP 504")), run.output
    assert entry["expected"].startswith(expected)
    assert "by fork" in entry["remedy"]
    log = (package / ".vcp" / "logs" / "default-mlflow-serve.log").read_text(encoding="utf-8")
    assert log.count(_SEEN) == (1 if condition == "True" else 2)
