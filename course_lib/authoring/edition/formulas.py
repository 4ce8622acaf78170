"""Formulas as MathML, which browsers draw by themselves.

TeX puts a thin space between the name of a function and what it is applied to, as in log p, and
none before a parenthesis, as in exp(x). MathML leaves that to whoever writes it.

Taught in:        none
Checked against:  every formula of the course, in a real browser
"""

import html
import re
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import unescape

from latex2mathml.converter import convert_to_element

LONG = 28  # characters of LaTeX in a line of text, beyond which a formula may exceed a phone
THIN = "0.17em"
_SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
_MORE_ROOM = re.compile(r"\\\\\[[^\]]*\]")  # between two lines, which MathML would write out
_NAME_OF_PARTS = re.compile(r"\\operatorname\{([^{}]*\\[^{}]*)\}")  # as arg max, rotate_half
_PRIME = "&#x02032;"
_CLOSING = ("&#x00029;", "&#x0005D;", "&#x0007C;")


def formula(latex: str, display: str = "inline") -> str:
    """Return a formula, in a box of its own if it may be too wide for a phone."""
    plain = html.unescape(latex).strip()
    known = _NAME_OF_PARTS.sub(_as_text, _MORE_ROOM.sub(r"\\\\", plain))
    drawn = convert_to_element(known, display=display)
    for part in list(drawn.iter()):
        _set_functions_apart(part)
        _set_legibly(part)
    text = unescape(tostring(drawn, encoding="unicode"))
    if display == "block":
        return f'<div class="formula" tabindex="0">{text}</div>'
    return f'<span class="formula">{text}</span>' if len(plain) > LONG else text


def _as_text(name: re.Match[str]) -> str:
    words = name[1].replace(r"\,", " ")
    return rf"\text{{{words}}}"


def _set_functions_apart(part: Element) -> None:
    """Mark the names of functions as names, and put thin spaces beside them as TeX does."""
    if part.tag == "mo" and (part.text or "").isalpha():
        part.tag = "mi"  # as an operator it would have wide spaces on both sides
    if part.tag not in ("mrow", "mtd", "math", "mstyle"):
        return
    inside = list(part)
    for at in range(len(inside) - 1, 0, -1):
        before, after = inside[at - 1], inside[at]
        applied = _is_function(before) and after.tag not in ("mo", "mspace")
        follows = before.text in _CLOSING or before.tag not in ("mo", "mspace")
        if applied or (_is_function(after) and follows):
            part.insert(at, Element("mspace", width=THIN))


def _set_legibly(part: Element) -> None:
    """Write an underscore as one; and a prime, which is high and small by itself, in full size."""
    if part.tag == "mtext":
        part.text = (part.text or "").replace(r"\_", "_")
    if part.tag == "msup" and part[1].text == _PRIME:
        part.tag, part[1].tag = "mrow", "mtext"


def _is_function(part: Element) -> bool:
    name = part[0] if part.tag in _SCRIPTS else part
    text = name.text or ""
    return name.tag in ("mi", "mo") and len(text) > 1 and text.isalpha()
