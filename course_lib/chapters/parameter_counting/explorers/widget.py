"""The interactive icicle: point at a part to read its formula, tie or untie the output head.

A small widget. Its script is in the file beside this one and loads nothing; the rectangles of all
models are sent as numbers and text. A saved notebook holds a static picture of the first model.

Taught in:        parameter_counting
Checked against:  `figures.parameter_counting.icicle`, `course_lib.accounting`, a real browser
"""

import base64
from pathlib import Path
from typing import Any

import traitlets

from course_lib.accounting import MODELS
from course_lib.chapters.parameter_counting.figures.icicle import cells, finding, icicle, retied
from course_lib.study.display.live import AnyWidget
from course_lib.study.display.plotting import figure_title, png_bytes

SCRIPT = Path(__file__).parent / "widget.js"


class Rectangles(AnyWidget):
    """The live view: the rectangles of all models, and which of them is shown."""

    _esm = SCRIPT.read_text(encoding="utf-8")
    models: Any = traitlets.List().tag(sync=True)  # name, findings and cells, untied and tied
    name = traitlets.Unicode().tag(sync=True)
    tied = traitlets.Bool().tag(sync=True)


def sent(name: str) -> dict[str, Any]:
    """Return the data of a model for the live view: its cells and its title, untied and tied."""
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
        self.widget: Any = Rectangles(models=[sent(each) for each in MODELS], name=name, tied=tied)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, with a picture and a text for readers that cannot show it."""
        live = self.widget._repr_mimebundle_()[0]
        said = f"icicle of parameters: {self.finding}"
        picture = base64.b64encode(self.image).decode()
        data = {**live, "image/png": picture, "text/plain": said}
        return data, {"image/png": {"alt": self.finding}}
