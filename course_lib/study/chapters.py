"""One part of every chapter, found by the chapter's name: `figures.softmax`, `explorers.softmax`.

A package with one module for each notebook loads a module when it is first asked for, so that
importing the package costs nothing and the module of another chapter is never touched.
"""

import pkgutil
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType


def chapter_modules(package: str) -> Callable[[str], ModuleType]:
    """Return the `__getattr__` of a package that holds one module for each notebook."""

    def find(name: str) -> ModuleType:
        wanted = f"{package}.{name}"
        try:
            return import_module(wanted)
        except ModuleNotFoundError as missing:
            if missing.name != wanted:
                raise  # the module is there, but something that it needs is not
        there = [module.name for module in pkgutil.iter_modules(import_module(package).__path__)]
        near = get_close_matches(name, there, n=1)
        kind = package.rpartition(".")[2]
        remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(there)}."
        raise AttributeError(f"there are no {kind} for a notebook named {name!r}. {remedy}")

    return find
