"""The pictures of an explorer, drawn before anybody moves it: the frames that a page plays.

A control stops at its values; one with very many, at an even selection of them. Controls are
combined while their combinations stay under `MOST_FRAMES`. The others move alone, with the rest at
the values they start with, and `Plan.groups` says which are which.

Pictures of one explorer share nearly all of their lines, so a frame is a list of places in a table
of lines. After compression that takes about 1 kB a frame, where the same pictures take 11 kB as
PNG with a palette, 11 to 33 kB as WebP without loss and 8 to 15 kB as single compressed SVG files.

Taught in:        none
Checked against:  the figure that the explorer draws for the same values
"""

import base64
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from course_lib.study.display.explorer import Explorer
from course_lib.study.display.plotting import STYLE, figure_title

MOST_FRAMES = 200  # of controls that are combined
MOST_STOPS = 41  # of one control; an even number of steps keeps the middle

_SETTINGS = {**STYLE, "svg.hashsalt": "course", "svg.fonttype": "path"}
_DIGITS = re.compile(r"(?<!scale\()(?<!\d)(\d+\.\d\d)\d+")  # a glyph's scale needs them all


@dataclass(frozen=True)
class Stops:
    """The values at which a control stops, as they are and as they read, and where it starts."""

    name: str
    label: str
    kind: str  # "range", "select" or "text"
    values: tuple[Any, ...]
    written: tuple[str, ...]
    start: int


@dataclass(frozen=True)
class Plan:
    """Which controls there are, and which of them are combined with each other."""

    controls: tuple[Stops, ...]
    groups: tuple[tuple[int, ...], ...]

    def places(self) -> list[tuple[int, ...]]:
        """Return the place of each control in each frame, every frame once."""
        start = [control.start for control in self.controls]
        found: dict[tuple[int, ...], None] = {tuple(start): None}
        for group in self.groups:
            for chosen in itertools.product(*(range(len(self.controls[c].values)) for c in group)):
                place = list(start)
                for control, value in zip(group, chosen, strict=True):
                    place[control] = value
                found[tuple(place)] = None
        return list(found)


def stops(name: str, control: Any) -> Stops:
    """Return the stops of one control of an explorer."""
    kind = type(control).__name__
    if kind in ("Text", "Pad"):  # what is typed or painted; a page keeps what it starts with
        return Stops(name, control.description, "text", (control.value,), (control.value,), 0)
    if kind == "Dropdown":
        labels = tuple(str(label) for label in control._options_labels)
        return Stops(
            name,
            control.description,
            "select",
            tuple(control._options_values),
            labels,
            control.index,
        )
    values = _slider_values(kind, control)
    pattern = getattr(control, "readout_format", "d")
    written = tuple(format(value, pattern) for value in values)
    start = values.index(control.value)
    return Stops(name, control.description, "range", values, written, start)


def _slider_values(kind: str, control: Any) -> tuple[int | float, ...]:
    """Return the values of a slider, the one it starts with among them."""
    if kind == "IntSlider":
        every: list[int | float] = list(range(control.min, control.max + 1, control.step))
    else:
        count = round((control.max - control.min) / control.step)
        every = [control.min + (control.max - control.min) * at / count for at in range(count + 1)]
        if kind == "FloatLogSlider":
            every = [control.base**exponent for exponent in every]
    if len(every) > MOST_STOPS:
        last = len(every) - 1
        every = [every[round(at * last / (MOST_STOPS - 1))] for at in range(MOST_STOPS)]
    gap = abs(every[1] - every[0]) * 1e-6
    others = [value for value in every if abs(value - control.value) > gap]
    return tuple(sorted([*others, control.value]))


def plan(controls: Mapping[str, Any]) -> Plan:
    """Return the frames to draw for these controls; those with few stops are combined first."""
    each = tuple(stops(name, control) for name, control in controls.items())
    together: list[int] = []
    alone: list[tuple[int, ...]] = []
    size = 1
    for at in sorted(range(len(each)), key=lambda at: len(each[at].values)):
        if size * len(each[at].values) <= MOST_FRAMES:
            together.append(at)
            size *= len(each[at].values)
        else:
            alone.append((at,))
    return Plan(each, (tuple(together), *alone))


def svg(figure: Figure) -> str:
    """Return a figure as SVG in hundredths of a point; equal figures give equal text."""
    stream = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return _DIGITS.sub(r"\1", stream.getvalue())


def rendered(explorer: Explorer) -> dict[str, Any]:
    """Return an explorer as its page needs it: its controls, findings and packed pictures."""
    planned = plan(explorer.controls)
    places = planned.places()
    drawn = [_drawn(explorer, planned.controls, place) for place in places]
    return {
        "summary": explorer.summary,
        "controls": [
            {"label": c.label, "kind": c.kind, "stops": c.written, "start": c.start}
            for c in planned.controls
        ],
        "groups": planned.groups,
        "places": places,
        "findings": [finding for finding, _ in drawn],
        "pictures": packed([picture for _, picture in drawn]),
    }


def _drawn(
    explorer: Explorer, controls: Sequence[Stops], place: tuple[int, ...]
) -> tuple[str, str]:
    """Return what a frame says and its picture, which is empty where none could be drawn."""
    values = {c.name: c.values[at] for c, at in zip(controls, place, strict=True)}
    try:
        figure = explorer.figure(**values)
        return figure_title(figure), svg(figure)
    except ValueError as error:  # what these values do not allow, in the figure's own words
        return f"This could not be drawn. {error}", ""


def packed(pictures: Iterable[str]) -> str:
    """Return pictures as one compressed text: a table of lines, and steps through it for each."""
    places: dict[str, int] = {}
    frames = [
        [places.setdefault(line, len(places)) for line in picture.split("\n")]
        for picture in pictures
    ]
    table = {"lines": list(places), "frames": [list(_steps(frame)) for frame in frames]}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> list[str]:
    """Return the pictures that were packed."""
    table = json.loads(zlib.decompress(base64.b64decode(text)))
    sums = (itertools.accumulate(frame) for frame in table["frames"])
    return ["\n".join(table["lines"][at] for at in places) for places in sums]


def _steps(places: Sequence[int]) -> Iterator[int]:
    """Yield the differences of neighbours, nearly all of them 1, which compress best."""
    yield from (here - before for before, here in itertools.pairwise([0, *places]))
