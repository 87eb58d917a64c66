"""What a rule on the source can't do without; where it is missing, another rule says so."""

from __future__ import annotations

from pytest_vcp.rulebook.violations import Blocked, Unverified
from pytest_vcp.source.package import CODE, DATA, ModelPackage


def require_code(package: ModelPackage) -> None:
    """Raise Blocked without model_code."""
    if package.lacks(CODE):
        raise Blocked("VCP101")


def require_data(package: ModelPackage) -> None:
    """Raise Blocked without model_data."""
    if package.lacks(DATA):
        raise Blocked("VCP101")


def require_parsed(package: ModelPackage) -> None:
    """Raise Blocked where a module of model_code can't be read, Unverified where it can't here."""
    require_code(package)
    if any(not module.certain for module in package.unparsed):
        raise Unverified("a module of model_code is in syntax newer than the Python that looks")
    if package.unparsed:
        raise Blocked("VCP102")
