"""The two cells that follow a notebook's title: where else it can be opened, and the setup.

Both are the same in every notebook, apart from the notebook's own name in the links. `course build`
writes them into the sources, so that a release changes the version in one place, pyproject.toml.
Links and setup name one release: what Colab opens and what pip installs there belong together.

The setup cell runs before the course is known to be there, so it needs nothing but IPython. Its
code is folded in JupyterLab and VS Code (`jupyter`), in Colab (`cellView`) and on Kaggle.

Checked against:  a kernel without the course, one without ipywidgets, Colab's module as a stub
"""

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import nbformat

from course_lib.atomic_write import write_whole_text
from course_lib.authoring.source import SETUP

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "open-elsewhere"
HOSTS = {
    "Colab": "https://colab.research.google.com/github/{path}/blob/{tag}/{notebook}",
    "Kaggle": "https://kaggle.com/kernels/welcome?src=https://{host}/{path}/blob/{tag}/{notebook}",
    "Binder": "https://mybinder.org/v2/gh/{path}/{tag}?urlpath=lab/tree/{notebook}",
}
CODE = """\
# @title Set up: does nothing where the course is installed
import sys
from importlib.util import find_spec

from IPython import get_ipython

if find_spec("course_lib") is None or find_spec("ipywidgets") is None:
    print("Installing the course, which takes a minute or two.")
    get_ipython().run_line_magic("pip", "install --quiet {requirement}")
    if find_spec("course_lib") is None:
        raise ImportError("pip failed, as it says above. If it says nothing, restart the kernel.")
if "google.colab" in sys.modules:
    from google.colab import output

    output.enable_custom_widget_manager()"""
_CELLS = re.compile(
    rf"""^\# %%[^\n]* id="(?:{SETUP}|{ELSEWHERE})"\n.*?(?=^\# %%)""", re.MULTILINE | re.DOTALL
)
_SECOND = re.compile(r"^# %%", re.MULTILINE)


def project() -> dict[str, str]:
    """Return the project's name, its version and the address of its repository."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "name": table["name"],
        "version": table["version"],
        "repository": table["urls"]["Repository"],
    }


def setup_code() -> str:
    """Return the code of the setup cell, which installs this release where it is missing."""
    facts = project()
    return CODE.format(requirement=f"{facts['name']}=={facts['version']}")


def addresses(stem: str) -> dict[str, str]:
    """Return where a notebook of this release can be opened, by the name of the host."""
    facts = project()
    place = urlsplit(facts["repository"])
    words = {
        "host": place.netloc,
        "path": place.path.strip("/"),
        "tag": f"v{facts['version']}",
        "notebook": f"notebooks/{stem}.ipynb",
    }
    return {host: pattern.format(**words) for host, pattern in HOSTS.items()}


def links(stem: str) -> str:
    """Return the text that says where else a notebook can be opened."""
    written = [f"[{host}]({address})" for host, address in addresses(stem).items()]
    return "Open this notebook in\n" + ",\n".join(written[:-1]) + f"\nor {written[-1]}."


def with_opening(text: str, stem: str) -> str:
    """Return a notebook's source with both cells, as they are now, after its first cell."""
    bare = _CELLS.sub("", text)
    second = list(_SECOND.finditer(bare))[1:2]
    place = second[0].start() if second else len(bare)
    said = "\n".join(f"# {line}" for line in links(stem).splitlines())
    cells = f'# %% [markdown] id="{ELSEWHERE}"\n{said}\n\n# %% id="{SETUP}"\n{setup_code()}\n\n'
    return bare[:place] + cells + bare[place:]


def refresh(source: Path) -> None:
    """Bring both cells of a source up to date; the file is left alone when they are."""
    text = source.read_text(encoding="utf-8")
    fresh = with_opening(text, source.stem)
    if fresh != text:
        write_whole_text(source, fresh)


def opening_problems(path: Path) -> list[str]:
    """Return where a stored notebook does not open with the two cells of this release."""
    cells = nbformat.read(path, as_version=4).cells[1:3]
    found = [(cell.id, cell.source) for cell in cells]
    wanted = [(ELSEWHERE, links(path.stem)), (SETUP, setup_code())]
    return [
        f"after the title comes the cell {name}, as `course build` writes it"
        for at, (name, source) in enumerate(wanted)
        if found[at : at + 1] != [(name, source)]
    ]
