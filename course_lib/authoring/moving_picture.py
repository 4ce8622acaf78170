"""The moving picture of the README: a real explorer while somebody moves its slider.

    python -m course_lib.authoring.moving_picture      draws docs/explorer.png anew

It is an animated PNG, which code hosts and browsers play without a script. The slider goes from
where it starts to its one end, to the other, and back.

Checked against:  pictures of the explorer, drawn anew
"""

import io
from itertools import pairwise
from pathlib import Path

from PIL import Image

from course_lib.atomic_write import write_whole
from course_lib.authoring.edition.frames import Stops, stops
from course_lib.chapters.softmax.explorers import temperature
from course_lib.study.display.explorer import Explorer
from course_lib.study.display.plotting import DPI, FAINT, OKABE_ITO, Margins, new_figure, png_bytes

FILE = Path(__file__).resolve().parents[2] / "docs" / "explorer.png"
MOVED = "temperature"  # the control of the explorer `temperature()`
STEP = 70  # milliseconds that a frame stays
REST = 900  # the same at both ends and at the start
COLOURS = 48
WIDTH = 880  # pixels; as wide as a README is shown
STRIP = 0.42  # inches; the slider above the picture


def walk(control: Stops) -> list[int]:
    """Return the stops that the slider passes: start, low end, high end, and towards the start."""
    last = len(control.values) - 1
    turns = (control.start, 0, last, control.start)
    steps = [range(a, b, 1 if a < b else -1) for a, b in pairwise(turns)]
    return [at for stretch in steps for at in stretch]


def frame(explorer: Explorer, control: Stops, at: int) -> Image.Image:
    """Draw the explorer with its slider at one stop, and the slider above it."""
    values = {**explorer.first_values, control.name: control.values[at]}
    below = _image(png_bytes(explorer.figure(**values)))
    above = _image(_slider(control, at, below.width / DPI))
    whole = Image.new("RGB", (below.width, above.height + below.height), "white")
    whole.paste(above, (0, 0))
    whole.paste(below, (0, above.height))
    return whole.resize(
        (WIDTH, round(whole.height * WIDTH / whole.width)), Image.Resampling.LANCZOS
    )


def _slider(control: Stops, at: int, width: float) -> bytes:
    figure, ax = new_figure(width, STRIP, margins=Margins(1.5, 1.2, 0.02, 0.02))
    place = at / (len(control.values) - 1)
    ax.plot([0, 1], [0, 0], color=FAINT, linewidth=2, solid_capstyle="round")
    ax.plot([place], [0], "o", color=OKABE_ITO.blue, markersize=10)
    ax.text(-0.02, 0, control.label, ha="right", va="center")
    ax.text(1.02, 0, control.written[at], ha="left", va="center")
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-1, 1)
    ax.axis("off")
    return png_bytes(figure)


def _image(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def write(path: Path = FILE) -> Path:
    """Draw every frame and store the picture; return its path."""
    explorer = temperature()
    control = stops(MOVED, explorer.controls[MOVED])
    places = walk(control)
    drawn = {at: frame(explorer, control, at) for at in sorted(set(places))}
    palette = drawn[control.start].quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    frames = [drawn[at].quantize(palette=palette, dither=Image.Dither.NONE) for at in places]
    ends = {0, len(control.values) - 1, control.start}
    first, *others = frames
    durations = [REST if at in ends else STEP for at in places]
    played = {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    write_whole(path, lambda part: first.save(part, format="PNG", optimize=True, **played))
    return path


if __name__ == "__main__":
    print(write())
