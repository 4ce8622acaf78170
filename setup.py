"""Carry the notebooks in the wheel, so that an installed course can give learners their copy.

Everything else about the package is in pyproject.toml.
"""

from pathlib import Path
from shutil import copy2

from setuptools import setup
from setuptools.command.build_py import build_py

NOTEBOOKS = Path(__file__).parent / "notebooks"


class BuildWithNotebooks(build_py):
    """Build the package and put the executed notebooks beside its modules."""

    def run(self) -> None:
        """Copy the notebooks, except where the installation only points to this folder."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "course_lib", "notebooks")
        target.mkdir(parents=True, exist_ok=True)
        for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
            copy2(notebook, target)


setup(cmdclass={"build_py": BuildWithNotebooks})
