"""Pure functions that draw, one module for each notebook: `figures.softmax.overflow_map(...)`."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:
        raise AttributeError(f"there are no figures for a notebook named {name!r}") from missing
