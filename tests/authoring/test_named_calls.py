"""What a notebook's text tells the reader to call can be called."""

import pytest
from nbformat import v4

from course_lib import SYLLABUS
from course_lib.authoring.build import source_path
from course_lib.authoring.lint import lint
from course_lib.authoring.named_calls import unknown_calls
from course_lib.authoring.source import read_source

EXERCISE = '@exercise("softmax.stable")\ndef softmax(x):\n    """Use helper_of(x)."""\n    ...'


def notebook(*cells):
    """Return a notebook of text cells, which begin with `#`, and code cells."""
    made = (
        v4.new_markdown_cell(each[1:]) if each.startswith("#") else v4.new_code_cell(each)
        for each in cells
    )
    return v4.new_notebook(cells=list(made))


@pytest.mark.parametrize("entry", SYLLABUS, ids=lambda each: each.stem)
def test_every_notebook_names_what_is_there(entry):
    assert unknown_calls(read_source(source_path(entry))) == []


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (("# Put `hint()` in a cell.",), "hint"),
        (("# Put `hint()` in a cell.", "x = 1", "from course_lib.study import hint"), "hint"),
        (
            ("from course_lib.study import reveal", "# Run `reveal(token_offsets)`."),
            "token_offsets",
        ),
        (("def outer():\n    inner = print", "# Call `inner(3)`."), "inner"),
        (("print('Now call `again(2)`.')",), "again"),
        (("from course_lib.study import exercise, reveal", EXERCISE), "hint"),
        (("from course_lib.study import exercise, hint", EXERCISE), "reveal"),
    ],
)
def test_a_name_that_is_unknown_by_then_is_found(cells, name):
    (said,) = unknown_calls(notebook(*cells))
    assert f"`{name}`" in said


@pytest.mark.parametrize(
    "cells",
    [
        ("from course_lib.study import hint", "# Put `hint()` in a cell."),
        (
            "import course_lib.rope as r\nfor f in (r,):\n    pass",
            "# `r(1)` and `f(2)` and `len(x)`",
        ),
        ("class A:\n    pass", "# `A()`"),
        ("with open(p) as file, q as (a, b):\n    c = (d := 1)", "# `file(a(b(c(d()))))`"),
        ("# Then `made()`.", "def made():\n    ..."),
        ("from course_lib.study import exercise, hint, reveal", "# `helper_of(x)`", EXERCISE),
        ("# `x.view(2)`, `.view(2)`, `torch.ones(3)`, `f(`, `name`, f(x)",),
        ("# \n```python\nunknown(1)\n`unknown(2)`\n```\n",),
        ("%matplotlib inline\nf = 1", "# `f()`"),
        ("not python (", "# `print(1)`"),
    ],
)
def test_what_can_be_called_is_fine(cells):
    assert unknown_calls(notebook(*cells)) == []


def test_the_lint_of_a_stored_notebook_reports_it(tmp_path):
    from nbformat import write

    path = tmp_path / "text.ipynb"
    write(notebook("# # Title\nPut `hint()` in a cell."), path)
    assert any("`hint`" in each for each in lint(path))
