"""Text in pictures without the second time of asking: measures and letters are kept.

Most of the text of an explorer stays where it is while a control moves: the names and numbers of
the axes, the labels of tokens. To lay it out, to measure it and to paint its letters takes half of
the time of a redraw, so what matplotlib sends to its painter for a text is kept, and sent again
when the same text stands at the same place of another picture. The pixels are the same.

    canvas = KeptTextCanvas(figure)
    canvas.draw()
    pixels = canvas.buffer_rgba()

Taught in:        every notebook
Checked against:  the pixels of matplotlib's own canvas
Shapes:           none
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties, findfont, get_font

Kept = TypeVar("Kept")
Letters = list[tuple[Any, ...]]  # shades of grey, and where they are painted

MOST_TEXTS = 2000  # at places, each of some 3 kB
MOST_MEASURES = 4000


class Newest(Generic[Kept]):
    """Results by key; of more than `most`, the one that was used least recently is dropped."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._found: dict[Hashable, Kept] = {}

    def get(self, key: Hashable) -> Kept | None:
        """Return what was kept under the key, if anything was."""
        found = self._found.pop(key, None)
        if found is not None:
            self._found[key] = found  # the newest stands last
        return found

    def keep(self, key: Hashable, result: Kept) -> Kept:
        """Keep a result, and return it."""
        self._found[key] = result
        if len(self._found) > self.most:
            del self._found[next(iter(self._found))]
        return result


TEXTS: Newest[Letters] = Newest(MOST_TEXTS)
MEASURES: Newest[tuple[float, float, float]] = Newest(MOST_MEASURES)
HEIGHTS: Newest[tuple[float, float, float]] = Newest(MOST_MEASURES)


class _Recorder:
    """Passes everything on to the painter, and keeps the shades of letters."""

    def __init__(self, painter: Any) -> None:
        self._painter = painter
        self.letters: Letters = []
        self.only_letters = True

    def draw_text_image(self, shades: Any, x: Any, y: Any, angle: Any, gc: Any) -> None:
        self.letters.append((np.array(shades), x, y, angle))  # a copy: a font reuses its memory
        self._painter.draw_text_image(shades, x, y, angle, gc)

    def __getattr__(self, name: str) -> Any:
        self.only_letters = False  # such as the line of a fraction
        return getattr(self._painter, name)


class KeptTextRenderer(RendererAgg):
    """Agg's renderer, which does not lay out, measure or paint the letters of a text twice."""

    def draw_text(
        self,
        gc: Any,
        x: Any,
        y: Any,
        s: str,
        prop: FontProperties,
        angle: Any,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        """Paint a text as `RendererAgg` does, or send the shades of its letters again."""
        place = (x, y, self.height, angle, gc.get_antialiased(), _shaping(mtext))
        key = (*self._font(s, prop, ismath), *place)
        painter, known = self._renderer, TEXTS.get(key)
        if known is not None:
            for shades, left, bottom, turned in known:
                painter.draw_text_image(shades, left, bottom, turned, gc)
            return
        self._renderer = recorder = _Recorder(painter)
        try:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        finally:
            self._renderer = painter
        if recorder.only_letters:
            TEXTS.keep(key, recorder.letters)

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Return the size of a text in pixels, which is the same in every picture."""
        key = self._font(s, prop, ismath)
        known = MEASURES.get(key)
        if known is not None:
            return known
        return MEASURES.keep(key, super().get_text_width_height_descent(s, prop, ismath))

    def _get_font_height_metrics(self, prop: FontProperties) -> tuple[float | None, ...]:
        """Return a line's ascent, descent and gap in pixels, as matplotlib's own `Text` has them.

        `Text` asks a renderer that has this method, and else reads the font's tables for every text
        anew. What has no such tables is left to it.
        """
        key = hash(prop), self.dpi
        known = HEIGHTS.get(key)
        if known is not None:
            return known
        font = get_font(findfont(prop))
        lines, head = font.get_sfnt_table("OS/2"), font.get_sfnt_table("head")
        if lines is None or head is None:
            return None, None, None
        scale = 1 / head["unitsPerEm"] * prop.get_size_in_points() * self.dpi / 72
        ascent, descent = lines["sTypoAscender"] * scale, -lines["sTypoDescender"] * scale
        return HEIGHTS.keep(key, (ascent, descent, lines["sTypoLineGap"] * scale))

    def _font(self, s: str, prop: FontProperties, ismath: Any) -> tuple[Hashable, ...]:
        """Return what the letters of a text depend on, apart from their place."""
        return s, hash(prop), ismath, self.dpi, matplotlib.rcParams["text.hinting"]


def _shaping(mtext: Any) -> str:
    """Return the language and the features of the font that a text asks for, if it can."""
    asked = (getattr(mtext, f"get_{name}", None) for name in ("language", "fontfeatures"))
    return repr([each() for each in asked if each])


class KeptTextCanvas(FigureCanvasAgg):
    """A canvas whose texts are kept for the next figure."""

    _size: tuple[float, ...] = ()

    def get_renderer(self) -> KeptTextRenderer:
        """Return a renderer for the figure's present size."""
        size = (*self.get_width_height(physical=True), self.figure.dpi)
        if self._size != size:
            self.renderer, self._size = KeptTextRenderer(*size), size
        return self.renderer
