"""Where a run is to be kept, as it is asked for on the command line and in an ini file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.settings.tracking import Tracking
from pytest_vcp.tracking.store import TrackingStore
from tests.plugin.conftest import Configure

pytest_plugins = ["pytester"]


def test_by_default_in_a_store_of_its_own(configure: Configure) -> None:
    assert configure().tracking == Tracking()


def test_a_server_and_a_name(configure: Configure) -> None:
    asked = ("--vcp-tracking-uri=https://hub.example/mlflow", "--vcp-register-model=pca")
    assert configure(*asked).tracking == Tracking(
        uri="https://hub.example/mlflow", registered="pca", is_asked_for=True
    )


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("sqlite:///runs.db", "sqlite:///{here}/runs.db"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db"),
        ("postgresql+psycopg2://db.example/runs", "postgresql+psycopg2://db.example/runs"),
        ("file:///srv/runs", "file:///srv/runs"),
        ("file:./runs", "file://{here}/runs"),
        ("databricks", "databricks"),
        ("runs", "file://{here}/runs"),
    ],
)
def test_places(configure: Configure, package: Path, given: str, uri: str) -> None:
    """A relative one is seen from where pytest was started: MLflow runs elsewhere."""
    tracking = configure(f"--vcp-tracking-uri={given}").tracking
    assert tracking is not None
    assert tracking.uri == uri.format(here=package)


def test_an_ini_file_is_seen_from_where_it_lies(configure: Configure, package: Path) -> None:
    tracking = configure(ini=["vcp_tracking_uri = sqlite:///runs.db"]).tracking
    assert tracking is not None
    assert tracking.uri == f"sqlite:///{package}/runs.db"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--vcp-tracking-uri=localhost:5000",), "write a URI, such as https://"),
        (("--vcp-tracking-uri=LICENSE",), "it is a file; of a database, write sqlite:///LICENSE"),
        (("--vcp-register-model=a/b",), "MLflow takes no / and no : in the name"),
        (("--vcp-register-model= ",), "write a name of 1 to 200 printable characters"),
        (("--vcp-tracking-experiment=a\x1b[31m",), "write a name of 1 to 200 printable characters"),
        (
            ("--vcp-register-model=a", "--vcp-no-tracking"),
            "--vcp-no-tracking says that no run is kept; leave one of the two out",
        ),
        (
            ("--vcp-register-model=a", "--vcp-skip-inference"),
            "without a forward pass no run is conformant; leave --vcp-skip-inference out",
        ),
    ],
)
def test_what_can_not_be_is_refused(
    configure: Configure, options: tuple[str, ...], told: str
) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        configure(*options)
    flag, _, value = options[0].partition("=")
    assert str(caught.value).startswith(f"{flag}: {value!r} is not usable; ")
    assert told in str(caught.value)


def test_the_command_line_goes_before_the_ini_file(configure: Configure) -> None:
    off = ["vcp_no_tracking = true"]
    assert configure(ini=off).tracking is None
    assert configure("--vcp-register-model=a", ini=off).tracking == Tracking(
        registered="a", is_asked_for=True
    )
    on = ["vcp_register_model = a"]
    assert configure("--vcp-no-tracking", ini=on).tracking is None


def test_one_run_can_leave_out_the_forward_pass(configure: Configure) -> None:
    """What the ini file asks of every run is done by those that can."""
    settings = configure("--vcp-skip-inference", ini=["vcp_register_model = a"])
    assert settings.tracking == Tracking(registered="a", is_asked_for=True)


@pytest.mark.parametrize(
    ("uri", "told", "secret"),
    [
        ("https://anna:hunter2@hub.example/x", "https://****@hub.example/x", "hunter2"),
        ("https://hunter2@hub.example", "https://****@hub.example", "hunter2"),
        ("https://anna:p@ss@hub.example", "https://****@hub.example", "p@ss"),
        ("https://anna:hun/ter2@hub.example", "https://****@hub.example", "hun/ter2"),
        ("https://anna:hunter%202@hub.example", "https://****@hub.example", "hunter 2"),
        ("postgresql://hub/runs?password=hunter2", "postgresql://hub/runs?****", "hunter2"),
    ],
)
def test_people_see_no_password(configure: Configure, uri: str, told: str, secret: str) -> None:
    settings = configure(f"--vcp-tracking-uri={uri}")
    assert settings.texts["tracking-uri"] == told
    assert settings.tracking is not None
    place = TrackingStore(settings.tracking.uri)
    assert place.told == told
    hidden = place.hide(f"could not reach {uri}: {secret} was refused")
    assert hidden == f"could not reach {told}: **** was refused"


def test_a_login_goes_by_the_variables_of_mlflow() -> None:
    place = TrackingStore("https://anna:hunter%322@hub.example/x")
    assert place.uri("mlflow.db") == "https://hub.example/x"
    told = place.variables({"MLFLOW_TRACKING_USERNAME": "other", "MLFLOW_RUN_ID": "1", "A": "b"})
    assert told["MLFLOW_TRACKING_USERNAME"] == "anna"
    assert told["MLFLOW_TRACKING_PASSWORD"] == "hunter22"
    assert not {"MLFLOW_RUN_ID", "A"} & set(told)


def test_a_password_is_not_told_by_a_refusal(configure: Configure) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        configure("--vcp-tracking-uri=anna:hunter2@hub.example:5000")
    assert "'****@hub.example:5000' is not usable; write a URI" in str(caught.value)
    assert "hunter2" not in str(caught.value)
