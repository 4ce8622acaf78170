"""The interactive figures of this chapter.

Taught in:        embeddings_and_norms
Checked against:  `course_lib.chapters.embeddings_and_norms.figures`
Shapes:           C features, L layers
"""

from collections.abc import Sequence
from itertools import product

import torch
from matplotlib.figure import Figure

from course_lib.chapters.embeddings_and_norms import figures
from course_lib.device import one_thread
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider

VECTOR = (0.8, -0.4, 1.6, 0.2, -1.2, 0.5, 2.4, -0.1)
DEPTHS = (1, 2, 4, 8, 16, 32, 64)


def norm_effects(vector: Sequence[float] = VECTOR) -> Explorer:
    """Scale and shift a vector, and see which of the two the norms undo."""
    row = torch.tensor(vector, dtype=torch.float64)

    def figure(factor: float, shift: float) -> Figure:
        return figures.norm_effects(row, factor, shift)

    controls = {
        "factor": log_slider("scale ×", 1.0, 0.01, 100.0),
        "shift": slider("shift +", 0.0, -10.0, 10.0, step=0.25),
    }
    return Explorer(figure, controls, "What LayerNorm and RMSNorm undo, and what they keep.")


def sizes_through_depth(depth: int = 32) -> Explorer:
    """Choose the depth of an untrained stack, and see how stream and gradient change."""
    with one_thread():  # all sizes now, so that no redraw waits for them
        for each, arrangement in product(DEPTHS, figures.ARRANGEMENTS):
            figures.stack_sizes(each, arrangement)
    controls = {"depth": choice("layers", depth, DEPTHS)}
    return Explorer(figures.sizes_through_depth, controls, "Sizes through an untrained stack.")
