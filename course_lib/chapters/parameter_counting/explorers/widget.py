"""The icicle that can be touched: point at a part to read its formula, tie or untie the head.

A small widget of our own. Its script stands beside this file and loads nothing; the rectangles of
all models travel as numbers and words. In a saved file, and where anywidget is missing, the picture
of the first model stands still.

Taught in:        parameter_counting
Checked against:  `figures.parameter_counting.icicle`, `course_lib.accounting`, a real browser
"""

import base64
from functools import cache
from pathlib import Path
from typing import Any

from course_lib.accounting import MODELS
from course_lib.chapters.parameter_counting.figures.icicle import cells, finding, icicle, retied
from course_lib.study.display.plotting import figure_title, png_bytes

SCRIPT = Path(__file__).parent / "widget.js"
INSTALL = "To point at parts, install anywidget (pip install anywidget) and run this cell again."


@cache
def _widget_class() -> Any:
    """Return the class of the live view, or None where anywidget is not installed."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class Rectangles(anywidget.AnyWidget):
        _esm = SCRIPT.read_text(encoding="utf-8")
        models: Any = traitlets.List().tag(sync=True)  # name, findings and cells, untied and tied
        name = traitlets.Unicode().tag(sync=True)
        tied = traitlets.Bool().tag(sync=True)

    return Rectangles


def sent(name: str) -> dict[str, Any]:
    """Return what the live view draws for a model: its cells and its finding, untied and tied."""
    both = [retied(MODELS[name], tied) for tied in (False, True)]
    return {
        "name": name,
        "tied": MODELS[name].tie_word_embeddings,
        "findings": [finding(name, config) for config in both],
        "cells": [[list(cell) for cell in cells(config)] for config in both],
    }


class Icicle:
    """The parameters of a model on one linear scale, with the formula of each part."""

    def __init__(self, name: str = "Qwen3-8B", tied: bool | None = None) -> None:
        if name not in MODELS:
            raise ValueError(f"name must be one of {', '.join(MODELS)}; got {name!r}. Choose one.")
        tied = MODELS[name].tie_word_embeddings if tied is None else tied
        drawn = icicle(name, retied(MODELS[name], tied))
        self.image, self.finding = png_bytes(drawn), figure_title(drawn)
        made = _widget_class()
        self.widget = made and made(models=[sent(each) for each in MODELS], name=name, tied=tied)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and for those who cannot show it the first picture and a text."""
        live = self.widget._repr_mimebundle_()[0] if self.widget is not None else {}
        said = f"icicle of parameters: {self.finding}"
        if self.widget is None:
            said += f"\n  {INSTALL}"
        picture = base64.b64encode(self.image).decode()
        data = {**live, "image/png": picture, "text/plain": said}
        return data, {"image/png": {"alt": self.finding}}
