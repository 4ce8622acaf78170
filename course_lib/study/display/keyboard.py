"""Keys for the controls that have the focus, and not for the notebook around them.

JupyterLab's shortcuts work wherever no text can be typed: with the focus on a list of answers an
arrow key would select another cell, and the digit 1 would turn the cell into a heading.

Checked against:  a real browser, by keyboard alone
"""

from functools import cache
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("keyboard.js")


@cache
def _guard_class() -> Any:
    """Return the class of the invisible guard, or None where anywidget is not installed."""
    try:
        import anywidget
    except ImportError:
        return None

    class KeyboardGuard(anywidget.AnyWidget):
        _esm = SCRIPT.read_text(encoding="utf-8")

    return KeyboardGuard


def keyboard_guard() -> list[Any]:
    """Return what a box needs among its children so that its controls get their keys."""
    made = _guard_class()
    return [made()] if made else []
