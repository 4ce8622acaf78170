"""Squares to paint on, and the picture with what was painted.

The script is in `pad.js` and loads nothing from the network.

Taught in:        multimodal
Checked against:  pixels that were painted by hand
Shapes:           3 channels, H x W pixels
"""

from pathlib import Path
from typing import Any

import torch
import traitlets
from jaxtyping import Float
from torch import Tensor

from course_lib.study.display.live import AnyWidget
from course_lib.vision.world import COLOURS

SCRIPT = Path(__file__).with_name("pad.js")
SQUARES = 16  # on a side
EMPTY = "."
CSS = [f"rgb({', '.join(f'{255 * part:.0f}' for part in paint)})" for paint in COLOURS.values()]


class Pad(AnyWidget):
    """A control to paint on; its value is empty, or has a character for each square."""

    _esm = SCRIPT.read_text(encoding="utf-8")
    value: Any = traitlets.Unicode("").tag(sync=True)
    description: Any = traitlets.Unicode("paint").tag(sync=True)
    squares: Any = traitlets.Int(SQUARES).tag(sync=True)
    names: Any = traitlets.List(list(COLOURS)).tag(sync=True)
    colours: Any = traitlets.List(CSS).tag(sync=True)


def painted(picture: Float[Tensor, "3 H W"], value: str) -> Float[Tensor, "3 H W"]:
    """Return the picture with what was painted over it: the number of a colour, or `.`."""
    if not value:
        return picture
    known = EMPTY + "".join(str(number) for number in range(len(COLOURS)))
    if len(value) != SQUARES**2 or set(value) - set(known):
        raise ValueError(
            f"what is painted has {SQUARES**2} characters, each one of {known!r}; got "
            f"{len(value)} characters, among them {''.join(sorted(set(value)))!r}."
        )
    numbers = [known.index(each) - 1 for each in value]
    cells = torch.tensor(numbers, device=picture.device).view(SQUARES, SQUARES)
    height, width = picture.shape[1] // SQUARES, picture.shape[2] // SQUARES
    cells = cells.repeat_interleave(height, 0).repeat_interleave(width, 1)
    paint = picture.new_tensor(list(COLOURS.values()))[cells].permute(2, 0, 1)
    return torch.where(cells >= 0, paint, picture)
