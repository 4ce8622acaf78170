"""Bytes with three digits, in GB, TB or PB.

Taught in:        parameter_counting
Checked against:  sizes written by hand
"""

UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"))


def scale(largest: int | float) -> tuple[float, str]:
    """Return the unit for a figure with sizes up to `largest` bytes."""
    return next(((unit, name) for unit, name in UNITS if largest >= unit), UNITS[-1])


def written_bytes(size: int | float) -> str:
    """Return a size in three digits, kept on one line with its unit."""
    unit, name = scale(size)
    digits = f"{size / unit:.3g}"
    if "e" in digits:  # 999.6 would be rounded to 1e+03
        digits = f"{size / unit:,.0f}"
    return f"{digits}\u00a0{name}"
