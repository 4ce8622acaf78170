"""A missing package is told in a sentence; what reads what it would have made waits for it."""

import ast
import atexit
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_lib.study import missing
from course_lib.study.missing import watch_for_missing_packages

LACKING = "needs transformers, which is not installed. After `pip install transformers` run it"


@pytest.fixture
def shell(monkeypatch, tmp_path):
    """A notebook's Python without transformers, as it is once the desk was imported."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    InteractiveShell.clear_instance()
    hook = sys.excepthook
    made = InteractiveShell.instance()
    made.history_manager.enabled = False
    sys.excepthook = hook
    take_away(monkeypatch)
    watch_for_missing_packages()
    yield made
    atexit.unregister(made.atexit_operations)
    made.atexit_operations()
    InteractiveShell.clear_instance()


def take_away(monkeypatch, name="transformers"):
    find = missing.find_spec
    monkeypatch.setattr(missing, "find_spec", lambda name: None if name in GONE else find(name))
    monkeypatch.setattr(sys, "meta_path", [Gone(), *sys.meta_path])
    for module in [each for each in sys.modules if each.partition(".")[0] in GONE]:
        monkeypatch.delitem(sys.modules, module)


GONE = {"transformers"}


class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_cell_that_imports_it_says_so_and_is_no_error(shell, capsys):
    done = shell.run_cell("before = 1\nfrom transformers import AutoModel\nafter = 1")
    said = capsys.readouterr()
    assert LACKING in said.out
    assert "Traceback" not in said.out + said.err
    assert done.success
    assert (shell.user_ns["before"], "after" in shell.user_ns) == (1, False)


def test_a_cell_that_reads_what_was_not_made_waits(shell, capsys):
    shell.run_cell("theirs = 'of an earlier section'\nkept = 1")
    shell.run_cell("kept = 2\nimport transformers\ntheirs = transformers.thing()")
    capsys.readouterr()
    done = shell.run_cell("print(theirs)\nresult = theirs")
    said = capsys.readouterr().out
    assert done.success
    assert "needs `theirs`, which a cell above makes with transformers" in said
    assert "earlier section" not in said
    shell.run_cell("print(result)")
    assert "needs `result`" in capsys.readouterr().out, "what depends on it waits too"
    shell.run_cell("print('kept is', kept)")
    assert capsys.readouterr().out == "kept is 2\n"
    shell.run_cell("theirs = 'made otherwise'\nprint(theirs)")
    shell.run_cell("print(theirs)")
    assert capsys.readouterr().out == "made otherwise\n" * 2


def test_once_it_is_installed_all_cells_run(shell, capsys, monkeypatch):
    shell.run_cell("import transformers\ntheirs = 1")
    monkeypatch.setattr(sys.modules[__name__], "GONE", set())
    monkeypatch.setattr(missing, "find_spec", lambda name: object())
    shell.run_cell("print(theirs)")
    assert "NameError" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("import trnasformers", "No module named 'trnasformers'"),
        ("import course_lib.sofmax", "No module named 'course_lib.sofmax'"),
        ("import torch.nothing_here", "No module named 'torch.nothing_here'"),
        ("print(never_made)", "name 'never_made' is not defined"),
    ],
)
def test_other_errors_keep_their_traceback(shell, capsys, cell, error):
    done = shell.run_cell(cell)
    said = capsys.readouterr().out
    assert error in said
    assert "Traceback" in said
    assert not done.success


def test_an_author_s_run_and_other_handlers_are_left_alone(shell, monkeypatch):
    shell.ast_transformers.clear()
    watch_for_missing_packages()
    assert shell.ast_transformers == [], "a second import, or somebody else's handler"
    shell.set_custom_exc((), None)
    monkeypatch.setenv("COURSE_REPLAY", "1")
    watch_for_missing_packages()
    assert shell.custom_exceptions == ()


def test_without_a_notebook_nothing_happens(monkeypatch):
    InteractiveShell.clear_instance()
    assert watch_for_missing_packages() is None


def test_a_cell_is_handed_back_as_it_was(shell):
    cell = ast.parse("x = 1")
    assert shell.ast_transformers[-1].visit(cell) is cell
