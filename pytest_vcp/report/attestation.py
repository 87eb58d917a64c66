"""The attestation: an in-toto statement that this artifact was judged, by which rules, and how.

Its subjects are the files of the artifact, its predicate is *test result*
(https://in-toto.io/attestation/test-result/v0.1). It contains neither a time nor a location, so
that two runs with the same result make the same statement; the signer adds both.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_vcp import __version__
from pytest_vcp.report.outcomes import WORDS, Kind, Outcome, Word
from pytest_vcp.settings.resolved import Settings

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
TOOL = "pytest-vcp"
RESULTS = ("PASSED", "WARNED", "FAILED")

_LOCK = "requirements.txt"


def build(
    files: Mapping[str, str],
    word: Word,
    outcomes: Mapping[str, Outcome],
    settings: Settings,
    python: str,
    names: Sequence[str],
) -> dict[str, Any]:
    """Build the statement as plain values.

    `files` maps the path of each file in the artifact to its SHA-256, `word` is the verdict on it,
    `python` the version on which it was judged, `names` are the variants of the run.
    """

    def rules(*kinds: Kind) -> list[str]:
        return sorted(rule for rule, outcome in outcomes.items() if outcome.kind in kinds)

    failed = rules("failed", "advice") if settings.strict else rules("failed")
    warned = [rule for rule in rules("advice", "waived") if rule not in failed]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_resource(name, sha256) for name, sha256 in sorted(files.items())],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _result(word, warned),
            "configuration": [
                _resource("policy", _policy_digest(settings)),
                # Also a subject; tools that compare configurations look for it here.
                *([_resource(_LOCK, files[_LOCK])] if _LOCK in files else []),
                {
                    "name": TOOL,
                    "uri": f"pkg:pypi/{TOOL}@{__version__}",
                    "annotations": {
                        "version": __version__,
                        "verdict": word,
                        "variant": settings.variant,
                        "python": python,
                        "waived": {
                            rule: _reason(outcomes[rule], settings, names)
                            for rule in rules("waived")
                        },
                        "unverified": rules("unverified", "skipped"),
                    },
                },
            ],
            "passedTests": rules("passed"),
            "warnedTests": warned,
            "failedTests": failed,
        },
    }


def _resource(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _result(word: Word, warned: Sequence[str]) -> str:
    """Map the verdict to an in-toto result; advice, waivers or `unverified` make it WARNED."""
    if word == "nonconformant":
        return "FAILED"
    return "WARNED" if warned or word == "unverified" else "PASSED"


def _reason(outcome: Outcome, settings: Settings, names: Sequence[str]) -> str:
    """Return why a rule was waived; a package rule can be waived by a waiver for any variant."""
    owners = [outcome.variant] if outcome.variant else names
    waivers = (settings.waivers.find(outcome.rule, owner) for owner in owners)
    # A waiver until today has expired when the run ends after midnight.
    return next((waiver.reason for waiver in waivers if waiver is not None), outcome.message)


def _policy_digest(settings: Settings) -> str:
    """Return the SHA-256 over the values of the policy in force, regardless of their source."""
    values = json.dumps(asdict(settings.policy), sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()


# --------------------------------------------------------------------------- reading a statement
#
# Reading an attestation: as written by a run, or in the envelope of its signer.

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
# An envelope may use either Base64 alphabet.
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class Statement:
    """The content of an attestation.

    `files` maps the path of each file to its SHA-256; `unverified` and `waived` are numbers of
    rules. `is_signed` is whether it came in an envelope, not whether the signature is valid.
    """

    files: Mapping[str, str]
    result: str
    verdict: str
    version: str
    python: str
    variant: str
    unverified: int
    waived: int
    is_signed: bool


def read_statement(content: bytes) -> Statement:
    """Read a statement, or a DSSE envelope or Sigstore bundle that contains one.

    Raises ValueError with a message that says what is wrong.
    """
    try:
        document = _json(content)
        if "messageSignature" in document:
            raise ValueError("it holds a signature, not what was signed")
        envelope = document.get("dsseEnvelope", document)
        is_signed = "payload" in envelope
        if is_signed:
            document = _payload(envelope)
        if (document["_type"], document["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError("it is no in-toto statement of a test result")
        return _statement(document, is_signed)
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"it is no attestation of {TOOL}") from None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None


def _payload(envelope: Mapping[str, Any]) -> Any:
    if envelope["payloadType"] != _PAYLOAD_TYPE:
        raise ValueError("its envelope holds no in-toto statement")
    text = envelope["payload"].encode().translate(_URL_SAFE)
    try:
        return _json(base64.b64decode(text, validate=True))
    except ValueError:
        raise ValueError("the payload of its envelope can't be decoded") from None


def _statement(document: Mapping[str, Any], is_signed: bool) -> Statement:
    predicate = document["predicate"]
    by_name = {entry["name"]: entry for entry in predicate["configuration"]}
    judged = by_name[TOOL]["annotations"]
    subjects = document["subject"]
    files = {str(entry["name"]): str(entry["digest"]["sha256"]) for entry in subjects}
    if not files or len(files) != len(subjects):
        raise ValueError("it names no file, or one of them twice")
    if predicate["result"] not in RESULTS:
        raise ValueError(f"its result is none of {', '.join(RESULTS)}")
    if judged["verdict"] not in WORDS or (judged["verdict"] == "nonconformant") != (
        predicate["result"] == "FAILED"
    ):
        raise ValueError("its result and its verdict don't fit one another")
    return Statement(
        files=files,
        result=predicate["result"],
        verdict=str(judged["verdict"]),
        version=str(judged["version"]),
        python=str(judged["python"]),
        variant=str(judged["variant"]),
        unverified=len(judged["unverified"]),
        waived=len(judged["waived"]),
        is_signed=is_signed,
    )
