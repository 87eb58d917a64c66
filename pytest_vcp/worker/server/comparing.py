"""The only comparison of two arrays: floats within a tolerance, everything else exactly.

A tolerance is given as plain values: `absolute`, `relative` and `mismatch_ppm`, and under
`by_dtype` the same for the dtypes that have their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .plain import dtype_name, is_same, to_python

Reply = dict[str, Any]

# Values that are compared at a time, so that a large output needs little additional memory.
_AT_A_TIME = 1 << 18
_LONGEST = 60


@dataclass(frozen=True)
class Mismatch:
    """The difference of an array from the expected one, and where it is largest.

    `wrong` of `size` values differ, `allowed_ppm` of a million may. `index` is that of the worst,
    `values` gives the value there, the expected one, and how far they are apart.
    """

    wrong: int
    size: int
    allowed_ppm: float
    index: tuple[int, ...]
    is_float: bool
    values: str

    def format(
        self, among: str = "", index: list[int] | None = None, *, share: bool = False
    ) -> str:
        """Format as one line; `index` replaces its own, `share` adds the ppm if none is allowed."""
        ppm = f"{round(self.wrong / self.size * 1e6)} ppm"
        shares = f" ({ppm})" if share else ""
        if self.allowed_ppm:
            shares = f" ({ppm}; {self.allowed_ppm:g} allowed)"
        where = "the most" if self.is_float else "first"
        return (
            f"{self.wrong} of {self.size} values{among} differ{shares}, {where} at "
            f"{list(self.index) if index is None else index}: {self.values}"
        )


def compare(wanted: dict[str, Any], found: dict[str, Any], tolerance: Reply) -> Reply | None:
    """Describe the first output that differs, under `what`; None where two sets of arrays agree."""
    if wanted.keys() != found.keys():
        return {"what": f"outputs {sorted(found)} instead of {sorted(wanted)}"}
    for name in sorted(wanted):
        what = difference(wanted[name], found[name], tolerance)
        if what is not None:
            return {"what": f"in output {name!r}: {what}" if name else what}
    return None


def difference(wanted: Any, found: Any, tolerance: Reply) -> str | None:
    """Describe how an array differs from the expected one; None where they agree.

    Floats of different widths are compared by value, and arrays of different kinds never agree.
    """
    if wanted.shape != found.shape:
        return f"shape {found.shape} instead of {wanted.shape}"
    if not _of_one_kind(wanted.dtype, found.dtype):
        return f"dtype {dtype_name(found.dtype)} instead of {dtype_name(wanted.dtype)}"
    mismatch = compare_arrays(wanted, found, tolerance)
    return None if mismatch is None else mismatch.format()


def compare_arrays(wanted: Any, found: Any, tolerance: Reply) -> Mismatch | None:
    """Compare two arrays of the same shape and kind; None where they agree.

    Floats agree where ``|found - wanted| <= absolute + relative * |wanted|``; NaN equals NaN, and
    infinity only itself. `mismatch_ppm` of them may differ by more.
    """
    import numpy

    size, shape = wanted.size, wanted.shape
    is_float = wanted.dtype.kind in "fc"
    limits = _limits(tolerance, wanted.dtype, found.dtype)
    before, after = (numpy.ravel(numpy.asarray(array)) for array in (wanted, found))
    wrong, worst, most = 0, 0, -1.0
    for start in range(0, size, _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        apart = (
            _distances(before[part], after[part], limits)
            if is_float
            else _mark_unequal(before[part], after[part])
        )
        wrong += int(numpy.count_nonzero(apart >= 0))
        position = int(numpy.argmax(apart))
        if apart[position] > most:
            worst, most = start + position, float(apart[position])
    allowed = limits["mismatch_ppm"] if is_float else 0.0
    if wrong * 1e6 <= allowed * size:
        return None
    index = tuple(int(position) for position in numpy.unravel_index(worst, shape))
    values = f"{_format_value(after[worst])} instead of {_format_value(before[worst])}"
    if is_float and numpy.isfinite(most):
        room = limits["absolute"] + limits["relative"] * float(abs(before[worst]))
        values += f" ({most:.3g} apart; {room:.3g} allowed)"
    return Mismatch(wrong, size, allowed, index, is_float, values)


def _of_one_kind(wanted: Any, found: Any) -> bool:
    """Return whether values of two dtypes can be compared; records need the same fields."""
    if wanted.kind == "V":
        return bool(wanted == found)
    return bool(wanted.kind == found.kind)


def _limits(tolerance: Reply, *dtypes: Any) -> Reply:
    """Return the limits for values of these dtypes: the widest of their tolerances."""
    own = [tolerance.get("by_dtype", {}).get(str(dtype), tolerance) for dtype in dtypes]
    return {
        name: max(entry[name] for entry in own) for name in ("absolute", "relative", "mismatch_ppm")
    }


def _distances(wanted: Any, found: Any, limits: Reply) -> Any:
    """Return the distance of values that differ, infinity where one is not finite; else -1."""
    import numpy

    # A difference of float16 values would itself be rounded, and overflow early.
    wide = numpy.result_type(wanted.dtype, found.dtype, numpy.dtype("float64"))
    wanted, found = wanted.astype(wide), found.astype(wide)
    with numpy.errstate(all="ignore"):
        apart = numpy.abs(found - wanted)
        agree = apart <= limits["absolute"] + limits["relative"] * numpy.abs(wanted)
    finite = numpy.isfinite(wanted) & numpy.isfinite(found)
    agree &= finite
    agree |= (wanted == found) | (numpy.isnan(wanted) & numpy.isnan(found))
    apart[~finite] = numpy.inf
    apart[agree] = -1.0
    return apart


def _mark_unequal(wanted: Any, found: Any) -> Any:
    """Return 0 where the values differ, -1 where they are the same."""
    import numpy

    if wanted.dtype.kind == "O":
        pairs = zip(wanted, found, strict=True)
        agree = numpy.fromiter((_alike(*pair) for pair in pairs), bool, len(wanted))
    else:
        agree = numpy.asarray(wanted == found)
        if wanted.dtype.kind in "mM":
            agree = agree | (numpy.isnat(wanted) & numpy.isnat(found))
    return numpy.where(agree, -1.0, 0.0)


def _alike(wanted: Any, found: Any) -> bool:
    """Return whether two Python objects are equal; if that fails, whether their reprs are."""
    try:
        return is_same(to_python(wanted), to_python(found))
    except Exception:  # noqa: BLE001 - objects of any type are compared
        return repr(wanted) == repr(found)


def _format_value(value: Any) -> str:
    """Format a value of an array on one line: strings in quotes, and long values truncated."""
    is_text = isinstance(value, (str, bytes))
    text = repr(to_python(value)) if is_text else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
