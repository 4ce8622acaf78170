"""What a saved notebook keeps of its outputs."""

from copy import deepcopy

import pytest

from course_lib.study.display.saving import WIDGET_VIEW, keep_static_forms

VIEW = {"model_id": "1", "version_major": 2}


def saved(*outputs: dict) -> list[dict]:
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": list(outputs)}]
    model = {"type": "notebook", "content": {"cells": deepcopy(cells)}}
    keep_static_forms(model=model, path="04.ipynb", contents_manager=None)
    return model["content"]["cells"][1]["outputs"]


@pytest.mark.parametrize("static", [{"image/png": "iVBO"}, {"text/markdown": "**Quiz**"}])
def test_a_view_with_a_static_form_leaves_that(static: dict) -> None:
    rest = {**static, "text/plain": "explorer"}
    (kept,) = saved({"output_type": "execute_result", "data": {WIDGET_VIEW: VIEW, **rest}})
    assert kept["data"] == rest


def test_everything_else_stays_as_it_is() -> None:
    others = (
        {"output_type": "stream", "text": "printed"},
        {"output_type": "display_data", "data": {"image/png": "iVBO"}},
        {"output_type": "display_data", "data": {WIDGET_VIEW: VIEW, "text/plain": "own"}},
    )
    assert saved(*others) == list(others)


def test_other_files_are_no_matter() -> None:
    for model in ({"type": "file", "content": "text"}, {"type": "notebook", "content": None}):
        before = deepcopy(model)
        keep_static_forms(model=model)
        assert model == before
