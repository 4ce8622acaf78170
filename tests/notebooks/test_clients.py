"""Stored outputs in programs that choose by kind: what each shows must be the form that is meant.

An output carries several forms, and each program has an order of its own in which it prefers them.
The orders are those of VS Code's notebooks, with the renderers of its Jupyter extension in front,
and of JupyterLab's renderers by their rank.
"""

import nbformat
import pytest

from course_lib import SYLLABUS
from course_lib.authoring.build import notebook_path
from course_lib.study.display.saving import WIDGET_VIEW

VS_CODE = (
    WIDGET_VIEW,
    "application/json",
    "application/javascript",
    "text/html",
    "image/svg+xml",
    "text/latex",
    "text/markdown",
    "image/png",
    "image/jpeg",
    "text/plain",
)
JUPYTERLAB = (
    WIDGET_VIEW,
    "text/html",
    "text/markdown",
    "text/latex",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "application/javascript",
    "text/plain",
)


def shown(data: dict, order: tuple[str, ...]) -> str:
    """Return the kind that a program shows."""
    return next(kind for kind in order if kind in data)


def meant(data: dict) -> str:
    """Return the kind that the course means: a picture, or a text with structure, or plain text."""
    kinds = ("image/png", "text/markdown", "text/html", "text/plain")
    return next(kind for kind in kinds if kind in data)


@pytest.mark.parametrize("entry", SYLLABUS, ids=lambda entry: entry.stem)
def test_every_program_shows_the_form_that_is_meant(entry):
    cells = nbformat.read(notebook_path(entry), as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("image/png" in output.data for output in outputs)
    for output in outputs:
        for order in (VS_CODE, JUPYTERLAB):
            assert set(output.data) <= set(order), "a kind that no program was asked about"
            assert shown(output.data, order) == meant(output.data)


@pytest.mark.parametrize("order", [VS_CODE, JUPYTERLAB])
def test_while_the_kernel_runs_the_live_view_comes_first(order):
    from course_lib.chapters.softmax.explorers import temperature

    data, _ = temperature()._repr_mimebundle_()
    assert shown(data, order) == WIDGET_VIEW
    del data[WIDGET_VIEW]  # as in a saved file
    assert shown(data, order) == "image/png"
