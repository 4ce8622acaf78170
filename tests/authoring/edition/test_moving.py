"""Frames are drawn from a notebook's own cells, and kept until something they show changes."""

import base64
import errno
import json
import os
import re

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib.authoring.edition import moving
from course_lib.authoring.edition.moving import moving_pictures
from course_lib.study import explorers

IMPORTS = "from course_lib.study import explorers\nfrom course_lib.study.display.plotting import *"
SHOWN = [new_output("execute_result", {"image/png": "AAAA", "text/plain": "explorer: a figure"})]


def notebook(folder, scores="(2.0, 1.0, 0.0)", prose="Words."):
    cells = [
        new_code_cell(IMPORTS, id="imports"),
        new_markdown_cell(prose),
        new_code_cell("raise RuntimeError('nothing that an explorer needs')", id="other"),
        new_code_cell(f"scores = {scores}", id="scores"),
        new_code_cell("explorers.softmax.merge(scores, cut=1)", id="merge", outputs=SHOWN),
    ]
    path = folder / "04_small.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_FRAMES", str(tmp_path / "frames"))
    return tmp_path / "frames"


def test_frames_are_kept_until_their_code_changes(tmp_path, cache, monkeypatch):
    first = moving_pictures(notebook(tmp_path))
    assert list(first) == ["merge"]
    assert first["merge"]["places"][0] == [1]
    assert len(first["merge"]["findings"]) == 4, "cuts 0 to 3"
    stored = json.loads((cache / "04_small.json").read_text(encoding="utf-8"))
    assert list(stored["ran"]) == ["imports", "scores", "merge"]
    assert {"softmax.py", "chapters/softmax/explorers.py"} <= set(stored["files"])
    assert not [each for each in stored["files"] if "publishing" in each]

    drawn = []
    monkeypatch.setattr(moving, "_drawn", lambda *given: drawn.append(given) or ({}, {}))
    assert moving_pictures(notebook(tmp_path, prose="Other words.")) == first
    assert drawn == []
    monkeypatch.setattr(moving, "_digest", lambda path: f"changed {path.name}")
    moving_pictures(notebook(tmp_path))
    assert len(drawn) == 1, "a file of the course is not as it was"


def test_what_is_edited_while_it_is_drawn_is_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "PACKAGE", tmp_path)
    for name, when in {"before.py": 1000, "meanwhile.py": 3000}.items():
        (tmp_path / name).write_text("x = 1")
        os.utime(tmp_path / name, (when, when))
    loaded = moving._as_loaded(["before.py", "meanwhile.py"], began=2000.0)
    now = moving._hashes(loaded)
    assert loaded["before.py"] == now["before.py"]
    assert loaded["meanwhile.py"] != now["meanwhile.py"]


def test_a_notebook_without_explorers_runs_nothing(tmp_path, cache):
    path = tmp_path / "plain.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0", id="x")]), path)
    assert moving_pictures(path) == {}
    assert not cache.exists()


def test_a_damaged_store_is_drawn_anew(tmp_path, cache, monkeypatch):
    cache.mkdir()
    (cache / "04_small.json").write_text('{"format": ')
    monkeypatch.setattr(moving, "_drawn", lambda *given: ({"merge": {"places": []}}, {}))
    assert moving_pictures(notebook(tmp_path)) == {"merge": {"places": []}}


def test_a_disk_that_is_full_keeps_no_frames_and_the_pages_get_them(
    tmp_path, cache, monkeypatch, capsys
):
    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(moving, "_drawn", lambda *given: ({"merge": {"places": []}}, {}))
    monkeypatch.setattr(moving, "write_whole_text", full)
    assert moving_pictures(notebook(tmp_path)) == {"merge": {"places": []}}
    assert f"could not be kept in {cache}: No space left" in capsys.readouterr().out
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows guesses where another user's folder is")
def test_a_store_in_a_home_that_is_not_there_is_an_error_and_no_folder_called_tilde(monkeypatch):
    monkeypatch.setenv("COURSE_FRAMES", "~nobody-of-this-name/frames")
    with pytest.raises(OSError, match=r"~nobody-of-this-name/frames leads.*Set COURSE_FRAMES"):
        moving.cache_folder()


def test_an_explorer_is_a_last_call_that_shows_a_picture():
    outputs = [{"data": {"image/png": "AAAA"}}]
    for source, found in {
        "x = 1\nexplorers.softmax.merge(x)": True,
        "explorers.softmax.merge(x)\nx": False,
        "show(explorers.softmax.TOKENS)": False,
        "figures.softmax.merge(x)": False,
    }.items():
        assert moving.is_explorer({"source": source, "outputs": outputs}) is found
        assert not moving.is_explorer({"source": source, "outputs": []})


def test_a_widget_is_stored_with_its_script_and_all_that_it_reads():
    weights = torch.rand(1, 2, 3, 3)
    lines = explorers.attention.lines(weights, ["a", "b", "c"], 0, 1)
    found = json.loads(json.dumps(moving.widget_state(lines.widget)))
    assert set(found["state"]) == {"weights", "shape", "tokens", "layer", "head", "query"}
    assert base64.b64decode(found["state"]["weights"]["base64"]) == lines.widget.weights
    assert "export default" in found["module"]
    assert set(re.findall(r'model\.get\("(\w+)"\)', found["module"])) == set(found["state"])
