"""What a saved notebook keeps of its outputs."""

from copy import deepcopy

from course_lib.study.display.saving import WIDGET_VIEW, keep_pictures

VIEW = {"model_id": "1", "version_major": 2}


def saved(*outputs: dict) -> list[dict]:
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": list(outputs)}]
    model = {"type": "notebook", "content": {"cells": deepcopy(cells)}}
    keep_pictures(model=model, path="04.ipynb", contents_manager=None)
    return model["content"]["cells"][1]["outputs"]


def test_a_view_with_a_picture_leaves_the_picture() -> None:
    data = {WIDGET_VIEW: VIEW, "image/png": "iVBO", "text/plain": "explorer"}
    (kept,) = saved({"output_type": "execute_result", "data": data})
    assert kept["data"] == {"image/png": "iVBO", "text/plain": "explorer"}


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
        keep_pictures(model=model)
        assert model == before
