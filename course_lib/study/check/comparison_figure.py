"""The picture beside a wrong answer: the target, yours, and where the two differ."""

from jaxtyping import Shaped
from torch import Tensor

from course_lib.study.display.plotting import SIGNED, Margins, heatmap, new_figure, png_bytes, title

_MARGINS = Margins(left=0.35, right=0.1, bottom=0.3, top=0.35, across=0.4)


def target_and_yours(
    expected: Shaped[Tensor, "rows cols"], got: Shaped[Tensor, "your_rows your_cols"]
) -> bytes:
    """Return a PNG with both matrices on one colour scale; equal shapes add their difference."""
    panels = [("Target", expected.double()), ("Yours", got.double())]
    if expected.shape == got.shape:
        panels.append(("Yours − target", got.double() - expected.double()))
    figure, axes = new_figure(2.2 * len(panels), 2.0, cols=len(panels), margins=_MARGINS)
    limit = float(expected.double().nan_to_num(posinf=0.0, neginf=0.0).abs().max()) or 1.0
    for ax, (name, matrix) in zip(axes, panels, strict=True):
        heatmap(ax, matrix, shades=SIGNED, limit=limit)
        title(ax, name)
    return png_bytes(figure)
