"""Each notebook, opened and run from top to bottom by a learner who has done nothing yet.

What it shows then is what is stored, so where these tests pass the notebooks need no other replay.
"""

import nbformat
import pytest

from course_lib import SYLLABUS
from course_lib.authoring.replay import name_home
from course_lib.authoring.same_outputs import differences
from course_lib.study.files.workspace import shipped_notebooks
from tests.browser.lab import Lab
from tests.browser.sheet import Opener

pytestmark = pytest.mark.timeout(900)

PLANTED = {
    "raises": "1 / 0",
    "asks_outside": (
        "from IPython.display import HTML\n"
        'HTML(\'<img alt="far" src="https://example.invalid/picture.png">\')'
    ),
    "view_that_fails": (
        "import anywidget\n"
        "class Wrong(anywidget.AnyWidget):\n"
        '    _esm = \'function render() { throw new Error("a view that fails"); }'
        " export default { render };'\n"
        "Wrong()"
    ),
}


@pytest.mark.parametrize("stem", [notebook.stem for notebook in SYLLABUS])
def test_a_notebook_runs_without_a_fault(lab: Lab, open_notebook: Opener, stem: str) -> None:
    lab.results().reset()
    sheet = open_notebook(lab.fresh(stem))
    sheet.run_all()
    assert sheet.faults() == []
    stored = nbformat.read(shipped_notebooks() / f"{stem}.ipynb", as_version=4)
    again = sheet.content()
    name_home(again, lab.environment["COURSE_HOME"])
    assert "\n".join(differences(stored, again)) == ""
    sheet.keep_picture(stem)


def test_each_kind_of_fault_is_noticed(lab: Lab, open_notebook: Opener) -> None:
    sheet = open_notebook(lab.write("planted", fine="print(1)", **PLANTED))
    sheet.run("raises", "asks_outside", "view_that_fails")
    found = "\n".join(sheet.faults())
    assert "cell fine did not run" in found
    assert "cell raises raised ZeroDivisionError" in found
    assert "request to https://example.invalid/picture.png" in found
    assert "cell asks_outside shows far" in found
    assert "a view that fails" in found
