"""The cells that open every notebook: the same everywhere, and a setup that works anywhere."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from urllib.parse import urlsplit

import nbformat
import pytest

from course_lib import SYLLABUS
from course_lib.authoring import opening
from course_lib.authoring.build import ROOT, source_path
from course_lib.authoring.opening import (
    ELSEWHERE,
    addresses,
    links,
    opening_problems,
    project,
    setup_code,
    with_opening,
)
from course_lib.authoring.source import HIDDEN, SETUP, read_source

TEXT = '# %% [markdown] id="04"\n# # 04 · Softmax\n\n# %% id="imports"\nimport math\n'


class Kernel:
    """A kernel in which some packages are missing until pip is asked for the course."""

    def __init__(self, monkeypatch, missing=(), offline=False):
        self.missing, self.offline, self.asked = set(missing), offline, []
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in self.missing else real(name)
        )
        shell = SimpleNamespace(run_line_magic=self.run_line_magic)
        monkeypatch.setattr("IPython.get_ipython", lambda: shell)
        exec(setup_code(), {})

    def run_line_magic(self, name, line):
        self.asked.append((name, line))
        if not self.offline:
            self.missing.clear()


def test_where_the_course_is_installed_the_setup_does_nothing(monkeypatch, capsys):
    assert Kernel(monkeypatch).asked == []
    assert "google.colab" not in sys.modules
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("missing", [["course_lib"], ["ipywidgets"]])
def test_what_is_missing_comes_with_this_release(monkeypatch, capsys, missing):
    wanted = f"install --quiet llm-insides=={project()['version']}"
    assert Kernel(monkeypatch, missing).asked == [("pip", wanted)]
    assert "takes a minute" in capsys.readouterr().out, "pip is quiet meanwhile"


def test_what_pip_could_not_install_or_put_where_the_kernel_looks_is_told(monkeypatch):
    with pytest.raises(ImportError, match=r"If it says nothing, restart the kernel"):
        Kernel(monkeypatch, ["course_lib"], offline=True)


def test_in_colab_widgets_are_enabled(monkeypatch):
    enabled = []
    colab = ModuleType("google.colab")
    colab.output = SimpleNamespace(enable_custom_widget_manager=lambda: enabled.append(True))
    google = ModuleType("google")
    google.colab = colab
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert Kernel(monkeypatch).asked == []
    assert enabled == [True]


@pytest.mark.parametrize("entry", SYLLABUS, ids=lambda entry: entry.stem)
def test_every_source_opens_with_both_cells(entry):
    text = source_path(entry).read_text(encoding="utf-8")
    assert with_opening(text, entry.stem) == text, f"`course build {entry.slug}` writes them"


def test_both_cells_follow_the_title_and_outdated_ones_go(monkeypatch):
    done = with_opening(TEXT, "04_softmax")
    ids = [line.split('id="')[1][:-1] for line in done.splitlines() if "id=" in line]
    assert ids == ["04", ELSEWHERE, SETUP, "imports"]
    assert done.endswith('# %% id="imports"\nimport math\n')
    now = project()
    monkeypatch.setattr(opening, "project", lambda: {**now, "version": "7.1"})
    later = with_opening(done, "04_softmax")
    assert "llm-insides==7.1" in later
    assert "/v7.1/" in later
    assert now["version"] not in later
    assert later == with_opening(TEXT, "04_softmax")


def test_the_code_is_folded_wherever_a_program_can_fold_it(tmp_path):
    path = tmp_path / "04_softmax.py"
    path.write_text(with_opening(TEXT, "04_softmax"), encoding="utf-8")
    notebook = read_source(path)
    nbformat.validate(notebook)
    folded = [cell.id for cell in notebook.cells if HIDDEN.items() <= cell.metadata.items()]
    assert folded == [SETUP]


@pytest.mark.parametrize("lost", ["links", "setup", "both"])
def test_a_notebook_without_them_is_a_fault(tmp_path, lost):
    def cells(first, second):
        title = nbformat.v4.new_markdown_cell("# 04 · Softmax")
        text = nbformat.v4.new_markdown_cell(first, id=ELSEWHERE)
        return [title, text, nbformat.v4.new_code_cell(second, id=SETUP)]

    path = tmp_path / "04_softmax.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells(links(path.stem), setup_code())), path)
    assert opening_problems(path) == []
    said = "Elsewhere" if lost != "setup" else links(path.stem)
    code = "pass" if lost != "links" else setup_code()
    nbformat.write(nbformat.v4.new_notebook(cells=cells(said, code)), path)
    faults = opening_problems(path)
    assert len(faults) == (2 if lost == "both" else 1)
    assert all("course build" in fault for fault in faults)


def test_the_readme_leads_to_this_release():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for host, address in addresses("00_start_here").items():
        assert f"({address})" in readme, f"the badge of {host} must lead to {address}"
    owner, name = urlsplit(project()["repository"]).path.strip("/").split("/")
    pages = f"https://{owner}.github.io/{name}/"  # where the workflow `pages` publishes
    assert readme.count(f"({pages})") == 2, f"a badge and a link must lead to {pages}"
