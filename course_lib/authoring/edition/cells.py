"""The cells of a stored notebook as HTML: prose with formulas, code with colours, outputs.

Formulas become MathML, which browsers draw by themselves. An output that comes in several kinds is
shown as a picture if it has one, or else as Markdown.

Taught in:        none
Checked against:  every formula and every output of the course
"""

import html
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import mistune
from latex2mathml.converter import convert
from mistune.plugins.math import math
from mistune.plugins.table import table
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, PythonLexer, TextLexer

Cell = Mapping[str, Any]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LEXERS = {"python": PythonLexer, "bash": BashLexer, "sh": BashLexer}


def notebook_body(notebook: Mapping[str, Any]) -> str:
    """Return all cells of a notebook, one after another."""
    prose = markdown()
    parts = []
    for cell in notebook["cells"]:
        source = _joined(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"<section>\n{prose(source)}</section>")
        elif cell["cell_type"] == "code":
            parts.append(coloured(source, "python"))
            parts += [output_html(output) for output in cell["outputs"]]
    return "\n".join(parts)


@cache
def markdown() -> mistune.Markdown:
    """Return a function from Markdown to HTML that knows tables and formulas."""
    prose = mistune.create_markdown(renderer=_Renderer(escape=False), plugins=[table, math])
    assert prose.renderer is not None
    for kind, display in (("inline_math", "inline"), ("block_math", "block")):
        prose.renderer.register(kind, lambda _, text, display=display: formula(text, display))
    return prose


class _Renderer(mistune.HTMLRenderer):
    """Colours blocks of code, and gives headings an anchor for links."""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Make links between notebooks point to their pages."""
        return super().link(text, re.sub(r"^(\d\d_\w+)\.ipynb(?=$|#)", r"\1.html", url), title)

    def block_code(self, code: str, info: str | None = None) -> str:
        return coloured(code, (info or "").strip())

    def heading(self, text: str, level: int, **attributes: Any) -> str:
        plain = re.sub(r"<[^>]+>", "", html.unescape(text)).lower()
        name = "-".join(re.findall(r"\w+", plain))
        return f'<h{level} id="{name}">{text}</h{level}>\n'


def formula(latex: str, display: str = "inline") -> str:
    """Return a formula as MathML, with its source as the alternative text."""
    return convert(html.unescape(latex).strip(), display=display)


def coloured(code: str, language: str = "") -> str:
    """Return code with the classes of pygments."""
    lexer = _LEXERS.get(language, TextLexer)()
    return highlight(code, lexer, HtmlFormatter(cssclass="code"))


def output_html(output: Mapping[str, Any]) -> str:
    """Return what a cell printed, showed or returned."""
    if output["output_type"] == "stream":
        return _text(_joined(output["text"]))
    if output["output_type"] == "error":
        return _text("\n".join(output["traceback"]))
    data = {kind: _joined(content) for kind, content in output["data"].items()}
    if "image/png" in data:
        said = html.escape(data.get("text/plain", ""), quote=True)
        return f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="{said}">'
    if "text/markdown" in data:
        return f'<div class="output prose">{markdown()(data["text/markdown"])}</div>'
    if "text/html" in data:
        return f'<div class="output">{data["text/html"]}</div>'
    return _text(data["text/plain"])


def _text(text: str) -> str:
    return f'<pre class="output">{html.escape(_COLOURS.sub("", text))}</pre>'


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
