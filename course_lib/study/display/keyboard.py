"""Keep key presses in the focused control away from the notebook's shortcuts.

JupyterLab's shortcuts work wherever no text can be typed: with the focus on a list of answers an
arrow key would select another cell, and the digit 1 would turn the cell into a heading.

Checked against:  a real browser, by keyboard alone
"""

from pathlib import Path

from course_lib.study.display.live import AnyWidget

SCRIPT = Path(__file__).with_name("keyboard.js")


class KeyboardGuard(AnyWidget):
    """What a box needs among its children so that its controls get their keys; it is invisible."""

    _esm = SCRIPT.read_text(encoding="utf-8")
