"""Carry the notebooks in the wheel, so that an installed course can give learners their copy.

A copy has no outputs, so the wheel has none either: they would take a third of its size.
Everything else about the package is in pyproject.toml, apart from its description: that is the
README with links that also lead somewhere outside the repository.
"""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from course_lib.study.files.merging import without_outputs  # noqa: E402

NOTEBOOKS = HERE / "notebooks"
LINK = re.compile(r"(!\[[^\]\[]*)?\]\(((?!https?:)[^)]+)\)")  # of an image, or of a text


class BuildWithNotebooks(build_py):
    """Build the package and put the notebooks beside its modules."""

    def run(self) -> None:
        """Write the notebooks, except where the installation only points to this folder.

        What an earlier build left goes first: a file that the course no longer has would be packed.
        """
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(Path(self.build_lib, "course_lib"), ignore_errors=True)
        super().run()
        notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
        if not notebooks:
            raise FileNotFoundError(f"the wheel carries the notebooks, and {NOTEBOOKS} has none.")
        target = Path(self.build_lib, "course_lib", "notebooks")
        target.mkdir(parents=True, exist_ok=True)
        for notebook in notebooks:
            bare = without_outputs(json.loads(notebook.read_text(encoding="utf-8")))
            text = json.dumps(bare, indent=1, ensure_ascii=False) + "\n"
            (target / notebook.name).write_text(text, encoding="utf-8", newline="\n")


class WithSettings(Distribution):
    """Install the setting of Jupyter's server also where the installation points to this folder."""

    def has_data(self) -> bool:
        """Answer by the name under which an editable installation asks."""
        return bool(self.has_data_files())


def description() -> str:
    """Return the README, its links into the repository written in full."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository, tag = project["urls"]["Repository"], f"v{project['version']}"

    def whole(link: re.Match[str]) -> str:
        image, place = link.groups(default="")
        return f"{image}]({repository}/{'raw' if image else 'blob'}/{tag}/{place})"

    return LINK.sub(whole, (HERE / "README.md").read_text(encoding="utf-8"))


setup(
    distclass=WithSettings,
    cmdclass={"build_py": BuildWithNotebooks},
    long_description=description(),
    long_description_content_type="text/markdown",
)
