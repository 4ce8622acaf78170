"""The cells of a stored notebook as HTML: prose with formulas, code with colours, outputs.

An output that comes in several kinds is shown as a picture if it has one, or else as Markdown. What
answers in a notebook answers here too: an explorer plays its frames, a quiz grades, an exercise
unfolds its hints and its solution.

Taught in:        none
Checked against:  every output of the course
"""

import ast
import html
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import mistune
from mistune import InlineParser, InlineState
from mistune.plugins.math import math
from mistune.plugins.table import render_table_cell, table
from nbformat import NotebookNode

from course_lib.authoring.edition.code import coloured
from course_lib.authoring.edition.exercises import exercise_html
from course_lib.authoring.edition.explorers import explorer_html
from course_lib.authoring.edition.formulas import formula
from course_lib.authoring.edition.pictures import picture_html
from course_lib.authoring.edition.quizzes import quiz_html
from course_lib.authoring.source import SETUP, exercise_of
from course_lib.study.ask.quiz import quiz_heading
from course_lib.study.chapter_parts import asked_questions, find_exercise

Cell = Mapping[str, Any]
Frames = Mapping[str, Mapping[str, Any]]  # of the explorers, by the id of their cells

# What mistune takes for a formula, and one that goes on in the next line, as it may in a notebook.
_IN_LINES = r"\$(?![\s$])(?P<formula>(?:[^$\\\n]|\\.|\n(?!\n))+?)\$(?!\d)"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_HIGHLIGHTED = re.compile(r'<div class="highlight".*?<pre[^>]*>(.*?)</pre></div>', re.DOTALL)
_IN_COLUMNS = re.compile(r"^(.*\S {2,}\S| +\[)", re.MULTILINE)


def notebook_body(notebook: Mapping[str, Any], frames: Frames | None = None) -> str:
    """Return all cells of a notebook, one after another."""
    prose = markdown()
    parts = []
    for cell in notebook["cells"]:
        source = _joined(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"<section>\n{prose(source)}</section>")
        elif cell["cell_type"] == "code" and cell.get("id") != SETUP:
            parts.append(coloured(source, "python"))
            parts += cell_outputs({**cell, "source": source}, frames or {})
    return "\n".join(parts)


def cell_outputs(cell: Cell, frames: Frames) -> list[str]:
    """Return what stands below a code cell."""
    if (name := exercise_of(NotebookNode(cell))) is not None:
        return [exercise_html(find_exercise(name))]
    if (asked := quiz_of(cell["source"])) is not None:
        return [quiz_html(quiz_heading(*asked), asked_questions(*asked))]
    if cell.get("id") in frames:
        return [_explorer(cell, output, frames) for output in cell["outputs"]]
    return [output_html(output) for output in cell["outputs"]]


def quiz_of(source: str) -> tuple[str, ...] | None:
    """Return the chapter and the part of the quiz that a cell shows, if it shows one."""
    match ast.parse(source).body:
        case [*_, ast.Expr(value=ast.Call(func=ast.Name(id="quiz"), args=args))]:
            return tuple(str(ast.literal_eval(each)) for each in args)
        case _:
            return None


def _explorer(cell: Cell, output: Mapping[str, Any], frames: Frames) -> str:
    picture = _joined(output.get("data", {}).get("image/png", ""))
    if not picture:
        return output_html(output)
    said = output["metadata"]["image/png"]["alt"]
    name = f"explorer-{cell['id']}"
    return explorer_html(name, frames[cell["id"]], picture.strip(), said)


@cache
def markdown() -> mistune.Markdown:
    """Return a function from Markdown to HTML that knows tables and formulas."""
    prose = mistune.create_markdown(renderer=_Renderer(escape=False), plugins=[table, math])
    assert prose.renderer is not None
    prose.inline.register("wrapped_math", _IN_LINES, _parse_in_lines, before="inline_math")
    prose.renderer.register("table_cell", _table_cell)
    for kind, display in (("inline_math", "inline"), ("block_math", "block")):
        prose.renderer.register(kind, lambda _, text, display=display: formula(text, display))
    return prose


def _parse_in_lines(_: InlineParser, found: re.Match[str], state: InlineState) -> int:
    state.append_token({"type": "inline_math", "raw": found["formula"]})
    return found.end()


def _table_cell(renderer: mistune.BaseRenderer, text: str, **how: Any) -> str:
    """Return a cell; a bar in its code has a backslash, by which it is no border."""
    return render_table_cell(renderer, text.replace(r"\|", "|"), **how)


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


def output_html(output: Mapping[str, Any]) -> str:
    """Return what a cell printed, showed or returned."""
    if output["output_type"] == "stream":
        return _text(_joined(output["text"]))
    if output["output_type"] == "error":
        return _text("\n".join(output["traceback"]))
    data = {kind: _joined(content) for kind, content in output["data"].items()}
    if "image/png" in data:
        return picture_html(data["image/png"].strip(), data.get("text/plain", ""))
    if "text/markdown" in data:
        return f'<div class="output prose">{markdown()(data["text/markdown"])}</div>'
    if "text/html" in data:
        shown = _HIGHLIGHTED.sub(_in_the_colours_of_pages, data["text/html"])
        return f'<div class="output">{shown}</div>'
    return _text(data["text/plain"])


def _in_the_colours_of_pages(highlighted: re.Match[str]) -> str:
    """Return code that a notebook stores in colours of its own, which no theme changes."""
    return coloured(html.unescape(re.sub(r"<[^>]+>", "", highlighted[1])), "python")


def _text(text: str) -> str:
    """Return printed text; lines break where there is no room, unless they are those of a table."""
    plain = _COLOURS.sub("", text)
    columns = len(_IN_COLUMNS.findall(plain)) > 1
    return f'<pre class="output{" table" * columns}">{html.escape(plain)}</pre>'


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
