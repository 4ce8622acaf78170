"""Running notebooks: what is kept, what is compared, and what a kernel knows of its user."""

import os
import sys
from pathlib import Path

import pytest
from nbformat import v4, write

from course_lib.authoring import replay
from course_lib.authoring.replay import (
    execute,
    exercise_outcomes,
    kernel_environment,
    replay_untouched,
    solved_source,
    untagged_errors,
)
from course_lib.study.chapter_parts import exercises_of, retired_exercises

EXERCISE, OTHER = exercises_of("softmax")[:2]
STUB = f"""from course_lib.study.check.decorator import exercise
@exercise("{EXERCISE.id}")
def mine(*args, **kwargs):
    ..."""


def run(tmp_path, *sources, keep_going=False):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    execute(notebook, tmp_path, keep_going)
    return notebook


def text(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def save(notebook, path):
    write(notebook, path)
    return path


def test_a_kernel_runs_on_this_python_in_the_folder_and_knows_the_course(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", "/nowhere/of/the/learner")
    notebook = run(
        tmp_path,
        "import os, sys, course_lib\nprint(sys.executable)\nprint(os.getcwd())",
        "print(os.environ['COURSE_REPLAY'], 'learner' in os.environ['COURSE_HOME'])",
        "from IPython import get_ipython\nprint(get_ipython().ipython_dir)",
    )
    executable, folder = text(notebook.cells[0]).split("\n")[:2]
    assert os.path.samefile(executable, sys.executable)
    assert os.path.samefile(folder, tmp_path)
    assert text(notebook.cells[1]) == "1 False\n"
    assert Path.home() not in Path(text(notebook.cells[2]).strip()).parents


def test_the_folder_of_a_run_is_shown_under_a_lasting_name(tmp_path):
    notebook = run(
        tmp_path,
        "from course_lib.study.record.paths import course_home\nprint(course_home() / 'workspace')",
        "str(course_home())",
    )
    assert text(notebook.cells[0]) == f"{Path('…/llm-insides/workspace')}\n"
    assert notebook.cells[1].outputs[0].data["text/plain"] == "'…/llm-insides'"


def test_a_run_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(replay.tempfile, "tempdir", str(tmp_path))
    with kernel_environment() as environment:
        os.makedirs(environment["IPYTHONDIR"])
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_an_error_stops_the_run_and_says_where(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)1 / 0.*ZeroDivisionError"):
        run(tmp_path, "1 / 0", "print('later')")


def test_a_cell_that_takes_too_long_stops_the_run_and_says_so(tmp_path):
    notebook = v4.new_notebook(cells=[v4.new_code_cell("import time\ntime.sleep(300)")])
    with pytest.raises(RuntimeError, match=r"(?s)took too long.*sleep"):
        execute(notebook, tmp_path, cell_timeout=1)


def test_a_learner_s_run_goes_on_after_an_error(tmp_path):
    notebook = run(tmp_path, "1 / 0", "print('later')", keep_going=True)
    assert text(notebook.cells[1]) == "later\n"
    (line,) = untagged_errors(notebook)
    assert "raised ZeroDivisionError: division by zero" in line


def test_a_cell_that_may_raise_is_not_a_fault(tmp_path):
    cell = v4.new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    notebook = v4.new_notebook(cells=[cell])
    execute(notebook, tmp_path)
    assert cell.outputs[0].ename == "ZeroDivisionError"
    assert untagged_errors(notebook) == []


def test_widgets_leave_the_outputs_that_the_kernel_sent(tmp_path):
    notebook = run(
        tmp_path,
        "import ipywidgets as w\nfrom IPython.display import clear_output\nout = w.Output()\nout",
        "with out:\n    print('inside')\nprint('kept')\nclear_output()\nprint('after')",
    )
    assert text(notebook.cells[1]) == "inside\nkept\nafter\n"
    assert "widgets" not in notebook.metadata


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    notebook = run(folder, "x = 2\nprint('x is', x)", "x + 1")
    return save(notebook, folder / "mini.ipynb")


def test_a_notebook_that_gives_the_same_again_passes(stored):
    before = stored.read_bytes()
    assert replay_untouched(stored) is None
    assert stored.read_bytes() == before


def test_a_text_that_differs_is_found(stored, tmp_path):
    changed = stored.read_text(encoding="utf-8").replace('"x is 2\\n"', '"x is 3\\n"')
    assert changed != stored.read_text(encoding="utf-8")
    copy = tmp_path / "changed.ipynb"
    copy.write_text(changed, encoding="utf-8")
    report = replay_untouched(copy)
    assert "the outputs of cell" in report
    assert "-x is 3\n+x is 2" in report


def test_an_error_that_is_stored_is_still_a_fault_and_a_dead_kernel_too(tmp_path):
    notebook = run(tmp_path, "1 / 0", keep_going=True)
    assert "ZeroDivisionError" in replay_untouched(save(notebook, tmp_path / "raises.ipynb"))
    notebook.cells[0].source = "import os\nos._exit(3)"
    assert "died" in replay_untouched(save(notebook, tmp_path / "dies.ipynb"))


def test_a_replay_computes_on_the_device_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda:97")
    source = "from course_lib.device import default_device\nprint(default_device())"
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source)])
    output = v4.new_output("stream", name="stdout", text="cpu\n")
    notebook.cells[0].outputs, notebook.cells[0].execution_count = [output], 1
    path = save(notebook, tmp_path / "device.ipynb")
    assert replay_untouched(path, "cpu") is None
    assert "cuda:97" in replay_untouched(path)


def test_outcomes_as_they_stand_and_solved(tmp_path):
    wrong = STUB.replace(EXERCISE.id, OTHER.id).replace("...", "return 1 / 0")
    wrong = "print(1)\n" + wrong  # other outputs may come before the feedback
    silent = "exercise = lambda name: lambda f: f\n" + '@exercise("softmax.silent")\ndef f(): ...'
    cells = [v4.new_code_cell(source) for source in (STUB, wrong, "oops", silent)]
    path = save(v4.new_notebook(cells=cells), tmp_path / "learner.ipynb")
    before = path.read_bytes()
    assert exercise_outcomes(path) == {
        EXERCISE.id: "not attempted",
        OTHER.id: "your code raised",
        "softmax.silent": "no feedback",
    }
    save(v4.new_notebook(cells=cells[:2]), path)
    assert exercise_outcomes(path, solved=True) == {EXERCISE.id: "passed", OTHER.id: "passed"}
    save(v4.new_notebook(cells=cells), path)
    assert path.read_bytes() == before


def test_a_retired_exercise_goes_by_the_id_of_the_one_that_replaced_it(tmp_path):
    old, new = next(iter(retired_exercises().items()))
    cell = v4.new_code_cell(STUB.replace(EXERCISE.id, old))
    path = save(v4.new_notebook(cells=[cell]), tmp_path / "learner.ipynb")
    assert exercise_outcomes(path) == {new: "not attempted"}
    assert exercise_outcomes(path, solved=True) == {new: "passed"}


def test_a_solution_keeps_the_learner_s_name_for_the_function():
    source = solved_source("softmax.stable", STUB)
    assert "mine = exercise(" in source
    assert "..." not in source
    assert 'find_exercise("softmax.stable").solution' in source
