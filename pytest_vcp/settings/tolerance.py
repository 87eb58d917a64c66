"""How far two outputs may be apart, by the policy."""

from __future__ import annotations

from dataclasses import dataclass

# The precision in which a model computes when nothing else is said.
FULL = "float32"


@dataclass(frozen=True)
class Tolerance:
    """Two floats agree where ``|a - b| <= absolute + relative * |b|``.

    Of each million values of an output, `mismatch_ppm` may differ by more.
    """

    absolute: float
    relative: float
    mismatch_ppm: float

    def times(self, factor: float) -> Tolerance:
        """The same for values that are coarser by this factor; as many may differ by more."""
        return Tolerance(self.absolute * factor, self.relative * factor, self.mismatch_ppm)

    def or_wider(self, other: Tolerance) -> Tolerance:
        """Of each number the larger one."""
        return Tolerance(
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
            max(self.mismatch_ppm, other.mismatch_ppm),
        )
