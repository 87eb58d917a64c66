"""Reading an attestation: as a run wrote it, or in the envelope of whoever signed it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vcp.report.attestation import PREDICATE_TYPE, RESULTS, STATEMENT_TYPE, TOOL
from pytest_vcp.report.verdict import WORDS

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
# An envelope may have either alphabet.
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class Statement:
    """What an attestation says.

    `files` are the SHA-256 of each file by its path; `unverified` and `waived` are numbers of
    rules. `is_signed` is whether it came in an envelope, not whether the signature holds.
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
    """Read a statement, a DSSE envelope or a Sigstore bundle with one.

    Raises ValueError that says what is wrong.
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
