"""The command line options and their ini settings: names and help texts only.

A separate module that imports only pytest, because every pytest run imports it where the plugin is
installed, active or not.
"""

from __future__ import annotations

from typing import Literal

import pytest


class Option:
    """One setting; `name` is its command line option without `--vcp-`.

    A plain class, since generating a dataclass takes longer than the rest of this module.
    """

    __slots__ = ("help", "many", "metavar", "name")

    def __init__(self, name: str, metavar: str | None, help: str, many: bool = False) -> None:
        self.name = name
        self.metavar = metavar
        self.help = help
        self.many = many

    @property
    def flag(self) -> str:
        return f"--vcp-{self.name}"

    @property
    def key(self) -> str:
        """Name of the ini value and of the argparse destination."""
        return f"vcp_{self.name.replace('-', '_')}"


OPTIONS = (
    Option(
        "model-class",
        "MODULE:CLASS",
        "wrapper class to package, such as model_code.scvi_mlflow_model:ScviMLflowModel; "
        "switches the plugin on",
    ),
    Option(
        "artifact",
        "NAME=PATH",
        "file or directory of weights, relative to model_data/ (repeatable)",
        many=True,
    ),
    Option("model-config-json", "JSON", "configuration of the model, one JSON object (default {})"),
    Option("model-tag", "KEY=VALUE", "tag to record in the artifact (repeatable)", many=True),
    Option(
        "json-payload-filepath",
        "PATH",
        "serving payload to use for the forward pass instead of the input example",
    ),
    Option(
        "artifact-dir-path",
        "PATH",
        "where the artifact goes (default ./mlflow_model_artifact in the package directory)",
    ),
    Option("skip-inference", None, "package only; the forward pass is left unverified"),
    Option(
        "variant",
        "NAME|all",
        "variant of the metadata file to package, in place of class, artifacts and configuration; "
        "switches the plugin on",
    ),
    Option(
        "verify-artifact",
        "PATH",
        "judge a finished artifact, without a source package; switches the plugin on",
    ),
    Option("pkg-dir", "DIR", "the package directory (default: where pytest was started)"),
    Option(
        "env-manager",
        "virtualenv|conda|local",
        "how to get the model's environment (default virtualenv)",
    ),
    Option("python", "X.Y", "Python of the model's environment (default: the running one)"),
    Option(
        "device",
        "auto|cpu|cuda|cuda:N",
        "device for the forward pass (default auto); cuda:N shows the model that GPU alone",
    ),
    Option("require-gpu", None, "a run whose model sees no GPU is an error"),
    Option(
        "level",
        "static|quick|full",
        "how much is judged: what the files alone tell, everything but MLflow's own commands, or "
        "everything (default full)",
    ),
    Option("strict", None, "advice fails the run"),
    Option(
        "must-verify",
        "RULES|all",
        "rule ids, separated by commas, that may not stay unverified (exit code 11)",
    ),
    Option(
        "waive",
        "RULE [variant NAME] [until DATE]: REASON",
        "let a rule fail, for a reason (repeatable)",
        many=True,
    ),
    Option("waivers", "FILE", "YAML file of waivers: rule, reason, variant, expires"),
    Option("policy", "FILE", "YAML file that extends or replaces the shipped policy"),
    Option("report-dir", "DIR", "where report.json goes (default .vcp in the package directory)"),
    Option("cache-dir", "DIR", "where environments are kept (default: the user's cache)"),
    Option(
        "tracking-uri",
        "URI",
        "where MLflow keeps the run (default: a store of its own in mlflow/ below the report "
        "directory)",
    ),
    Option(
        "tracking-experiment",
        "NAME",
        "MLflow experiment for the run (default: the name of the model)",
    ),
    Option(
        "register-model",
        "NAME",
        "make the model of a conformant run a new version of this registered model",
    ),
    Option("no-tracking", None, "don't keep the run with MLflow"),
    Option(
        "scaling",
        None,
        "measure the forward pass on the example's observations 1, 4 and 16 times over, where they "
        "are AnnData; changes no verdict",
    ),
    Option("no-pictures", None, "draw no pictures of the output for report.html"),
    Option("timeout", "SECONDS", "limit for each step in the model's process (default 600)"),
)


# Each of these activates the plugin; together they define what is judged.
ACTIVATING = ("model-class", "variant", "verify-artifact")
# Actions that replace a run, on the command line only.
RULES_FLAG = "--vcp-rules"
RULES_KEY = "vcp_rules"
LOCK_FLAG = "--vcp-lock"
LOCK_KEY = "vcp_lock"
CACHE = Option(
    "cache",
    "show|prune|clear",
    "list the environments that are kept, remove those that the policy has no room for, or all "
    "that no run is using, and do nothing else",
)
ATTESTATION = Option(
    "attestation",
    "FILE",
    "compare the artifact of --vcp-verify-artifact with an attestation, file by file, and do "
    "nothing else",
)
# On the command line only: if every run recorded, because of an ini file, none would compare.
RECORD = Option(
    "record-expected",
    None,
    "keep the prediction on the input example in the package, if the run is conformant; later runs "
    "have to reproduce it (VCP714)",
)
DOCTOR_FLAG = "--vcp-doctor"
DOCTOR_KEY = "vcp_doctor"
COMPARE_FLAG = "--vcp-compare"
COMPARE_KEY = "vcp_compare"


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and its ini setting; unset means None, to identify the source."""
    group = parser.getgroup("vcp", "model package conformance (pytest-vcp)")
    group.addoption(
        RULES_FLAG,
        dest=RULES_KEY,
        nargs="?",
        const="",
        default=None,
        metavar="RULE",
        help="print the table of rules, or the page of one, and do nothing else",
    )
    group.addoption(
        LOCK_FLAG,
        dest=LOCK_KEY,
        nargs="?",
        const="",
        default=None,
        metavar="upgrade",
        help="write requirements.txt from requirements.in, for --vcp-python, and do nothing else; "
        "existing pins are kept unless upgrade is given",
    )
    for option in (CACHE, ATTESTATION):
        group.addoption(
            option.flag, dest=option.key, default=None, metavar=option.metavar, help=option.help
        )
    group.addoption(
        DOCTOR_FLAG,
        dest=DOCTOR_KEY,
        action="store_const",
        const=True,
        default=None,
        help="tell what this machine has of what a run can use, and do nothing else",
    )
    group.addoption(
        COMPARE_FLAG,
        dest=COMPARE_KEY,
        nargs="+",
        default=None,
        metavar="REPORT",
        help="print reports of several runs side by side, given by file or directory, and do "
        "nothing else",
    )
    group.addoption(
        RECORD.flag,
        dest=RECORD.key,
        action="store_const",
        const=True,
        default=None,
        help=RECORD.help,
    )
    for option in OPTIONS:
        if option.metavar is None:
            group.addoption(
                option.flag,
                dest=option.key,
                action="store_const",
                const=True,
                default=None,
                help=option.help,
            )
        else:
            group.addoption(
                option.flag,
                dest=option.key,
                action="append" if option.many else "store",
                default=None,
                metavar=option.metavar,
                help=option.help,
            )
        kind: Literal["bool", "linelist", "string"] = "string"
        if option.metavar is None:
            kind = "bool"
        elif option.many:
            kind = "linelist"
        parser.addini(option.key, f"{option.flag}: {option.help}", type=kind, default=None)
