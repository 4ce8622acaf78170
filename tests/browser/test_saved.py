"""What is left of stored notebooks without a kernel."""

import shutil

import nbformat
import pytest
from nbformat import NotebookNode
from playwright.sync_api import expect

from course_lib import SYLLABUS
from course_lib.study.display.saving import WIDGET_VIEW
from course_lib.study.files.workspace import shipped_notebooks
from tests.browser.lab import Lab
from tests.browser.sheet import Look, Opener

pytestmark = pytest.mark.timeout(900)

STEMS = [notebook.stem for notebook in SYLLABUS]

WITHOUT_KERNEL = "Cannot read properties of null (reading 'kernel')"


def ours(seen: list[str]) -> list[str]:
    """Leave out what ipywidgets' own extension of JupyterLab stumbles over without a kernel."""
    return [each for each in seen if not (WITHOUT_KERNEL in each and "jupyterlab-manager" in each)]


def pictures_in(notebook: NotebookNode) -> dict[str, int]:
    """Return how many pictures a saved file holds in each cell that has any."""
    counts = {
        cell.id: sum(_is_picture(output) for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    return {name: count for name, count in counts.items() if count}


def data_of(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the contents of all outputs."""
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    return [output.get("data", {}) for output in outputs]


def _is_picture(output: NotebookNode) -> bool:
    data = output.get("data", {})
    return "image/png" in data or "<img " in data.get("text/html", "")


@pytest.mark.parametrize("stem", STEMS)
def test_a_stored_notebook_shows_its_pictures_without_a_kernel(
    lab: Lab, open_still: Opener, stem: str
) -> None:
    stored = shipped_notebooks() / f"{stem}.ipynb"
    shutil.copyfile(stored, lab.workspace / f"stored_{stem}.ipynb")
    expected = pictures_in(nbformat.read(stored, as_version=4))
    assert expected
    sheet = open_still(f"stored_{stem}.ipynb")
    assert sheet.look() == Look([], expected)
    assert not sheet.ask("hasKernel")
    assert ours(sheet.watch.seen) == []


def test_a_notebook_saved_by_a_learner_shows_its_pictures_when_it_is_opened_again(
    lab: Lab, open_notebook: Opener, open_still: Opener
) -> None:
    file = lab.fresh("04_softmax")
    sheet = open_notebook(file)
    sheet.run_all()
    views = sum(WIDGET_VIEW in each for each in data_of(sheet.content()))
    sheet.ask("save")
    saved = nbformat.read(lab.workspace / file, as_version=4)
    expected = pictures_in(saved)
    assert sum(expected.values()) >= views - 1 > 5, "each view but the quiz leaves a picture"
    assert "widgets" not in saved.metadata
    for with_kernel, open_again in ((False, open_still), (True, open_notebook)):
        sheet = open_again(file)
        assert sheet.look() == Look([], expected)
        assert sheet.ask("hasKernel") is with_kernel
        quiz = sheet.output("quiz-softmax")
        expect(quiz.locator("em", has_text="Choose one answer.").first).to_be_visible()
        assert quiz.locator("li").count() > 8, "the options are a list"
        sheet.keep_picture(f"saved-quiz-{with_kernel}", quiz)
        sheet.keep_picture(f"saved-{with_kernel}", sheet.cell("explorers-softmax-temperature"))
    assert ours(sheet.watch.seen) == []


def test_a_picture_that_is_gone_is_missed(lab: Lab, open_still: Opener) -> None:
    stored = nbformat.read(shipped_notebooks() / "04_softmax.ipynb", as_version=4)
    expected = pictures_in(stored)
    spoiled = next(cell for cell in stored.cells if cell.id == "explorers-softmax-temperature")
    del spoiled.outputs[0].data["image/png"]
    nbformat.write(stored, lab.workspace / "spoiled.ipynb")
    seen = open_still("spoiled.ipynb").look().pictures
    assert set(expected) - set(seen) == {"explorers-softmax-temperature"}
