"""The place in which a run is watched."""

from __future__ import annotations

from tests.place import place

__all__ = ["place"]
