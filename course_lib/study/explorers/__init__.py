"""Pictures that answer to the hand, one module for each notebook."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:
        raise AttributeError(f"there are no explorers for a notebook named {name!r}") from missing
