"""Logarithmic axes that are quick to draw: powers of ten as plain text, and no marks between them.

By default a power of ten is a formula, which is typeset anew for every picture, and each decade has
eight smaller marks. Together they take longer than all the rest of a picture.

    ax.set(yscale="log")
    powers_of_ten(ax.yaxis)

Taught in:        every notebook
Checked against:  the drawn labels of an axis whose marks are known
"""

from math import log10

from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, NullLocator

from course_lib.study.display.plotting import Number

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def powers_of_ten(*axes: Axis) -> None:
    """Label the powers of ten on axes that are already logarithmic, and mark nothing between."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
        axis.set_minor_locator(NullLocator())


def power_of_ten(value: Number) -> str:
    """Return a power of ten as it is written on an axis, such as 10⁻³."""
    return "10" + str(round(log10(value))).translate(_RAISED)
