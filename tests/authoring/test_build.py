"""From a source to a stored notebook, and the checks between the two."""

import json
import re

import nbformat
import pytest

from course_lib import Notebook
from course_lib.authoring import build as tools
from course_lib.authoring.build import (
    build,
    build_file,
    chapter_problems,
    chosen,
    rebuild_problems,
    solved_problems,
    verify,
)
from course_lib.authoring.opening import with_opening
from course_lib.authoring.source import FOLDED
from course_lib.study.chapter_parts import exercises_of

EXERCISES = [each.id for each in exercises_of("softmax")]
CELLS = "\n".join(
    f'# %%\n@exercise("{name}")\ndef answer_{i}(*args, **kwargs):\n    ...\n'
    for i, name in enumerate(EXERCISES)
)
SOURCE = f"""\
# %% [markdown]
# # Mini

# %%
import ipywidgets
from course_lib.study import exercise, hint, quiz, reveal, show
from course_lib.study.display.plotting import new_figure

{CELLS}
# %%
figure, axes = new_figure(3, 2)
axes.plot([0, 1])
axes.set_title("a line")
show(figure)

# %%
class Seen(ipywidgets.IntSlider):
    def _repr_mimebundle_(self, **options):
        live = super()._repr_mimebundle_(**options)
        return {{**live, "image/png": "iVBORw0KGgo=", "text/plain": "a slider"}}
Seen()

# %% tags=["raises-exception"]
1 / 0

# %% tags=["nbval-ignore-output"]
import time; print(time.time())

# %% [markdown]
# ## Recap

# %%
quiz("softmax")
"""
ENTRY = Notebook(4, "softmax", "Softmax", "How?", 90, ("softmax",))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "source").mkdir()
    text = with_opening(SOURCE, "04_softmax")
    (folder / "source" / "04_softmax.py").write_text(text, encoding="utf-8")
    build_file(folder / "source" / "04_softmax.py", folder / "04_softmax.ipynb")
    return folder


@pytest.fixture
def here(course, tmp_path, monkeypatch):
    """A copy of the built notebook and its source, which the tools take for the course's own."""
    (tmp_path / "source").mkdir()
    for name in ("04_softmax.ipynb", "source/04_softmax.py"):
        (tmp_path / name).write_bytes((course / name).read_bytes())
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    monkeypatch.setattr(tools, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(tools, "SOURCES", tmp_path / "source")
    monkeypatch.setattr(tools, "SYLLABUS", (ENTRY,))
    return tmp_path


def change(path, edit):
    notebook = nbformat.read(path, as_version=4)
    edit(notebook)
    nbformat.write(notebook, path)


def by_source(notebook, words):
    return next(cell for cell in notebook.cells if words in cell.source)


STEADY = """\
# %%
import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from course_lib.study.display.plotting import show

# %%
figure = Figure()
figure.add_subplot().plot([0, 1])
show(figure)

# %%
display({"image/png": "iVBORw0KGgo=", "text/plain": "a slider"}, raw=True)
print({"b": 1, "a": 2})

# %% tags=["raises-exception"]
1 / 0
"""


def test_two_builds_give_the_same_bytes(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(STEADY, encoding="utf-8")
    first = build_file(source, tmp_path / "a.ipynb").read_bytes()
    assert build_file(source, tmp_path / "b.ipynb").read_bytes() == first


def test_a_stored_notebook_has_pictures_and_nothing_of_the_machine(course):
    text = (course / "04_softmax.ipynb").read_text(encoding="utf-8")
    stored = nbformat.reads(text, as_version=4)
    nbformat.validate(stored)
    slider = by_source(stored, "Seen()").outputs[0].data
    assert set(slider) == {"image/png", "text/plain"}, "a view without its kernel shows nothing"
    assert by_source(stored, "show(figure)").outputs[0].data["image/png"]
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert "version" not in stored.metadata.language_info
    assert all("execution" not in cell.metadata for cell in stored.cells)


def test_a_widget_without_a_picture_keeps_its_view_so_that_it_is_noticed(tmp_path):
    source = tmp_path / "plain.py"
    source.write_text("# %%\nimport ipywidgets\nipywidgets.IntSlider()\n", encoding="utf-8")
    path = build_file(source, tmp_path / "plain.ipynb")
    assert any("no image/png" in each for each in tools.lint(path))


def test_building_writes_ids_into_the_source(course):
    text = (course / "source" / "04_softmax.py").read_text(encoding="utf-8")
    markers = [line for line in text.splitlines() if line.startswith("# %%")]
    assert all("id=" in line for line in markers)
    assert f'# %% id="{EXERCISES[0]}"' in markers


def test_a_cell_that_raises_stops_the_build_and_nothing_is_stored(tmp_path):
    source = tmp_path / "broken.py"
    source.write_text("# %%\nprint(missing)\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"NameError.*'missing'"):
        build_file(source, tmp_path / "broken.ipynb")
    assert not (tmp_path / "broken.ipynb").exists()


def test_an_error_that_stops_nothing_is_found_as_well(tmp_path):
    source = tmp_path / "quiet.py"
    quiet = "get_ipython().showtraceback((ValueError, ValueError('x'), None))"
    source.write_text(f"# %%\n{quiet}\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"quiet\.py.*ValueError: x"):
        build_file(source, tmp_path / "quiet.ipynb")


def test_a_traceback_names_no_folder_of_the_machine(tmp_path):
    source = tmp_path / "raises.py"
    call = "from course_lib.study.files.merging import merge_cells\nmerge_cells([{}], [], [])"
    source.write_text(f'# %% tags=["raises-exception"]\n{call}\n', encoding="utf-8")
    path = build_file(source, tmp_path / "raises.ipynb")
    (shown,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert any("course_lib/study/files/merging.py" in line for line in shown.traceback)
    assert not [each for each in tools.lint(path) if "one machine" in each]


def test_a_missing_source_is_named(here):
    (here / "source" / "04_softmax.py").unlink()
    with pytest.raises(ValueError, match=r"04_softmax\.py.*missing"):
        build(["softmax"])


@pytest.mark.parametrize("name", ["4", "04", "softmax", "04_softmax"])
def test_a_notebook_has_several_names(here, name):
    assert chosen([name]) == [ENTRY]
    assert chosen() == [ENTRY]


def test_an_unknown_name_error_names_the_nearest(here):
    with pytest.raises(ValueError, match=r"'sofmax'.*'softmax'"):
        chosen(["sofmax"])
    with pytest.raises(ValueError, match=r"'qqq'.*04_softmax"):
        chosen(["qqq"])


EDITS = {
    "cell recap differs": lambda n: by_source(n, "Recap").update(source="## The recap"),
    "cell quiz-softmax is in the source only": lambda n: n.cells.pop(),
    "cell added is in the notebook only": lambda n: n.cells.append(
        nbformat.v4.new_markdown_cell("x", id="added")
    ),
    "cells are in a different order": lambda n: n.cells.reverse(),
    "cell 1-0 differs": lambda n: by_source(n, "1 / 0").metadata.pop("tags"),
    "cell setup differs": lambda n: n.cells[2].metadata.pop("jupyter"),
    "cell quiz-softmax differs": lambda n: n.cells[-1].metadata.update({FOLDED: True}),
}


@pytest.mark.parametrize("fault", EDITS)
def test_a_notebook_that_its_source_does_not_give_is_found(here, fault):
    path = here / "04_softmax.ipynb"
    assert rebuild_problems(path) == []
    change(path, EDITS[fault])
    (found,) = rebuild_problems(path)
    assert found.startswith(fault) or fault in found
    assert "`course build 04_softmax`" in found


def test_exercises_and_questions_of_the_chapter_are_all_met(here):
    path = here / "04_softmax.ipynb"
    assert chapter_problems(ENTRY, path) == []
    name = EXERCISES[0]
    change(path, lambda n: by_source(n, f'"{name}"').update(source='@exercise("softmax.no")\nx'))
    change(path, lambda n: by_source(n, "quiz(").update(source="pass"))
    found = chapter_problems(ENTRY, path)
    assert f"the exercise {name} has no cell" in found
    assert "softmax.no is no exercise of this chapter" in found
    assert 'the chapter has questions; no cell calls quiz("softmax")' in found


def test_a_stored_answer_is_found(here):
    path = here / "04_softmax.ipynb"
    said = {"exercise": EXERCISES[0], "outcome": "passed"}
    shown = nbformat.v4.new_output("display_data", {"text/plain": "…"}, metadata=said)
    change(path, lambda n: by_source(n, f'"{EXERCISES[0]}"').update(outputs=[shown]))
    (found,) = chapter_problems(ENTRY, path)
    assert found.endswith("it says 'passed'")


def test_a_solution_that_does_not_pass_is_found(here, monkeypatch):
    monkeypatch.setattr(tools, "exercise_outcomes", lambda *_, **__: {"a.b": "not yet"})
    assert solved_problems(ENTRY) == ["the solution of a.b gives 'not yet'"]


def test_verify_runs_everything_and_prints_a_line(here, capsys):
    assert verify() == 0
    printed = capsys.readouterr().out
    assert re.search(r"04_softmax +as it stands +\d+\.\d s, solved +\d+\.\d s +sound", printed)


def test_verify_counts_the_faults_of_every_check(here, capsys, monkeypatch):
    monkeypatch.setattr(tools, "replay_untouched", lambda _: "Cell outputs differ")
    monkeypatch.setattr(tools, "exercise_outcomes", lambda *_, **__: {"a.b": "not yet"})
    change(here / "04_softmax.ipynb", EDITS["cell recap differs"])
    assert verify(["softmax"]) == 3
    printed = capsys.readouterr().out
    assert "3 faults\n" in printed
    for fault in ("Cell outputs differ", "cell recap differs", "a.b gives 'not yet'"):
        assert fault in printed


def test_what_ran_elsewhere_as_it_stands_runs_with_solutions_only(here, capsys, monkeypatch):
    monkeypatch.setattr(tools, "replay_untouched", lambda _: "Cell outputs differ")
    monkeypatch.setattr(tools, "exercise_outcomes", lambda *_, **__: {"a.b": "passed"})
    (verdict,) = tools.verified(chosen(), as_they_stand=False)
    assert verdict.faults == []
    assert re.search(r"04_softmax +solved +\d+\.\d s +sound", capsys.readouterr().out)
    (verdict,) = tools.verified(chosen())
    assert verdict.faults == ["replayed as it stands: Cell outputs differ"]


def test_verify_counts_what_is_missing(here, capsys):
    (here / "04_softmax.ipynb").unlink()
    assert verify() == 1
    assert "04_softmax.ipynb is missing" in capsys.readouterr().out


def test_the_stored_file_is_plain_json_with_one_key_order(course):
    text = (course / "04_softmax.ipynb").read_text(encoding="utf-8")
    again = json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False)
    assert again + "\n" == text
