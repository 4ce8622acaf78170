"""What a saved notebook keeps of its outputs, and that any Jupyter server asks for it."""

import asyncio
import json
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_server.extension.manager import ExtensionManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from course_lib.study.display import saving
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


@pytest.mark.parametrize("replaced", [False, True])
def test_a_server_that_reads_the_installed_setting_saves_without_views(
    tmp_path: Path, replaced: bool
) -> None:
    setting = Path(saving.__file__).with_name("llm-insides.json")
    wanted = json.loads(setting.read_text(encoding="utf-8"))["ServerApp"]["jpserver_extensions"]
    server = SimpleNamespace(contents_manager=AsyncLargeFileManager(root_dir=str(tmp_path)))
    manager = ExtensionManager()
    for name, enabled in wanted.items():
        assert manager.add_extension(name, enabled=enabled)
        (point,) = manager.extensions[name].extension_points.values()
        point.load(server)
        if replaced:  # by an extension that is loaded later, as Jupytext does
            server.contents_manager = AsyncLargeFileManager(root_dir=str(tmp_path))
            asyncio.run(point.start(server))
    data = {WIDGET_VIEW: VIEW, "image/png": "iVBO", "text/plain": "explorer"}
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
    model = {"type": "notebook", "content": nbformat.v4.new_notebook(cells=[cell])}
    asyncio.run(server.contents_manager.save(model, "04.ipynb"))
    (stored,) = nbformat.read(tmp_path / "04.ipynb", as_version=4).cells[0].outputs
    assert set(stored.data) == {"image/png", "text/plain"}
