"""A picture that grows while a cell runs, and stays in the file as it was at the end.

    with LiveCurve(lambda looks: figures.training.live(looks, 600)) as curve:
        ...                      # train
        curve({"step": 40, "loss": 2.9})

The picture is one output of the cell, drawn anew in its place. It needs no widget, so it moves in
every notebook program that can replace an output, and a saved file holds the last picture.

Taught in:        training
Checked against:  the messages that a notebook is sent, an executed notebook, a real browser
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from matplotlib.figure import Figure

from course_lib.study.display.plotting import picture_bundle

Record = Mapping[str, Any]
HURRY = ("COURSE_REPLAY", "COURSE_HURRY")
"""With either variable a notebook takes fewer steps; under the second, progress is recorded."""


def steps_here(patient: int, hurried: int) -> int:
    """Return the first number for a learner, the second where a notebook is only tested."""
    return hurried if any(map(os.environ.get, HURRY)) else patient


class LiveCurve:
    """Collects records, and draws them at most once per interval, and at the end."""

    def __init__(
        self, figure: Callable[[Sequence[Record]], Figure], every_seconds: float = 1.0
    ) -> None:
        self.figure = figure
        self.every_seconds = every_seconds
        self.records: list[Record] = []
        self._handle: Any = None
        self._drawn_at = float("-inf")
        self._waiting = False

    def __call__(self, record: Record) -> None:
        """Add a measurement; the picture is redrawn once the interval has passed."""
        self.records.append(record)
        self._waiting = True
        if time.monotonic() - self._drawn_at >= self.every_seconds:
            self._draw()

    def __enter__(self) -> "LiveCurve":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Draw what is not drawn yet, even if the cell was interrupted."""
        if self._waiting:
            self._draw()

    def _draw(self) -> None:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if get_ipython() is None:
            return
        data, metadata = picture_bundle(self.figure(self.records))
        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)
        self._drawn_at, self._waiting = time.monotonic(), False
