"""Credentials in URLs: found, and masked in every message."""

from __future__ import annotations

import re
from urllib.parse import unquote

_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/@\s]+)@")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")


def has_secret_url(text: str) -> bool:
    """Return whether a URL in the text contains a password or a token."""
    return any(_is_secret(match["scheme"], match["user"]) for match in _USER.finditer(text))


def mask_secrets(text: str) -> str:
    """Return the text with stars in place of passwords and tokens."""
    return _USER.sub(_mask, text)


def _mask(match: re.Match[str]) -> str:
    secret = _is_secret(match["scheme"], match["user"])
    return f"{match['scheme']}://****@" if secret else match[0]


def _is_secret(scheme: str, user: str) -> bool:
    """Return whether this is more than a user name: hosts also accept a token in its place."""
    name, colon, password = user.partition(":")
    if colon:
        return _VARIABLE.sub("", password) != ""
    # The user of git's own protocol is the same for everyone.
    over_http = scheme.lower().endswith(("http", "https"))
    return over_http and name != "git" and _VARIABLE.sub("", name) != ""


def redacted_uri(uri: str) -> str:
    """Return the URI of a store for messages: without user, password and query.

    It is not parsed as a URI, because a malformed one would then keep its password.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        scheme, rest = "", uri
    address, query, _ = rest.partition("?")
    if "@" in rest:
        address = f"****@{rest.rpartition('@')[2].partition('?')[0]}"
    return f"{scheme}{separator}{address}{query and '?****'}"


def secrets_of(uri: str) -> tuple[str, ...]:
    """Return the strings to hide of a URI, as written and decoded, the longest first."""
    rest = uri.partition("://")[2] or uri
    found = {uri}
    if "@" in rest:
        user, _, password = rest.rpartition("@")[0].partition(":")
        found |= {password or user}
    found |= {entry.partition("=")[2] for entry in rest.partition("?")[2].split("&")}
    known = found | {unquote(secret) for secret in found}
    return tuple(sorted(filter(None, known), key=len, reverse=True))
