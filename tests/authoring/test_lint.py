"""Each rule over stored notebooks, held by the smallest notebook that breaks it."""

import pytest
from nbformat import from_dict, v4, write

from course_lib.authoring.lint import code_lines, headings, lint
from course_lib.study.display.saving import WIDGET_VIEW

PNG = "iVBORw0KGgo="


def stored(*cells, **metadata):
    opening = v4.new_markdown_cell("# Mini", id="title")
    recap = v4.new_markdown_cell("## Recap\nFive lines.", id="recap")
    quiz = code('quiz("mini")')
    return v4.new_notebook(cells=[opening, *cells, recap, quiz], metadata=metadata)


def code(source="x = 1", *outputs, tags=(), count=1):
    made = v4.new_code_cell(source, outputs=list(outputs), execution_count=count)
    if tags:
        made.metadata["tags"] = list(tags)
    return made


def shown(**data):
    named = {"png": "image/png", "svg": "image/svg+xml"}
    named |= {each: f"text/{each}" for each in ("html", "markdown", "plain")}
    return v4.new_output("display_data", {named.get(k, k): v for k, v in data.items()})


def printed(text):
    return v4.new_output("stream", name="stdout", text=text)


def raised(name="ZeroDivisionError", value="division by zero"):
    return v4.new_output("error", ename=name, evalue=value, traceback=[])


def faults(tmp_path, notebook):
    path = tmp_path / "99_mini.ipynb"
    write(notebook, path)
    return lint(path)


IMPORT = "from course_lib.study import hint, reveal\n"
SOUND = [
    code("print(2)", printed("2\n")),
    code("show(figure)", shown(png=PNG, plain="figure: two lines")),
    code("1 / 0", raised(), tags=["raises-exception"]),
    code("bar", printed(" 45%|████▌     | 9/20 [00:01]"), tags=["nbval-ignore-output"]),
    code(f'{IMPORT}@exercise("mini.a")\ndef f():\n' + "    x = 1\n" * 20),
    code("# a remark\n\n" * 20 + "x = 1"),
    code(
        "picture", shown(html=f'<img src="data:image/png;base64,+/tmp/{PNG}">', plain="a picture")
    ),
    code(
        "w",
        shown(**{WIDGET_VIEW: {"model_id": "1"}, "markdown": "**1.** Why?", "plain": "1. Why?"}),
    ),
    code("print(hex(255 << 16))", printed("0xff0000\n")),
    code("print(ratio)", printed("3/4 of the home/work balance, 50% off\n")),
]


@pytest.mark.parametrize("cell", SOUND, ids=range(len(SOUND)))
def test_a_sound_cell_has_no_fault(tmp_path, cell):
    assert faults(tmp_path, stored(cell)) == []


BROKEN = {
    "a widget has no image/png or text/markdown": code(
        "w", shown(**{WIDGET_VIEW: {"model_id": "1"}, "plain": "w"})
    ),
    "points to another host: 'src=\"https": code("x", shown(html='<img src="https://a.b/c.png">')),
    "points to another host: 'href=//cdn": code("x", shown(html="<link href=//cdn.a/x.css>")),
    'points to another host: "@import': code("x", shown(html="<style>@import 'http://a.b/c';")),
    "points to another host: 'url(": code(
        "x", shown(html="<b style='background:url(http://a.b)'>")
    ),
    'points to another host: "fetch(': code(
        "x", shown(html="<b onclick=\"fetch('https://a.b')\">")
    ),
    "is JavaScript": code("x", shown(**{"application/javascript": "alert(1)"})),
    "an output is JavaScript": code("x", shown(html="<script>let a</script>")),
    "a memory address (at 0x7f": code("x", shown(plain="<Line2D object at 0x7f3a12bc>")),
    "memory address": code("x", printed("<object object at 0x10e4c3f>\n")),
    "more than 1,000,000": code("x", shown(png="A" * 1_000_001, plain="large")),
    "it was not executed": code("x", count=None),
    "raised ValueError: no": code("x", raised("ValueError", "no")),
    "tagged raises-exception and raises nothing": code("x", tags=["raises-exception"]),
    "16 lines of code, above 15": code("x = 1\n" * 16),
    "26 lines of code, above 25": code(
        f'{IMPORT}@exercise("mini.a")\ndef f():\n' + "    x = 1\n" * 23
    ),
    "a progress bar": code("x", printed(" 45%|████▌     | 9/20 [00:01<00:01,  8.9it/s]")),
    "one machine: /home/ann": code("x", printed("saved in /home/ann/course\n")),
    "one machine: C:\\Users": code("x", printed("saved in C:\\Users\\ann\n")),
    "image/png has no text/plain beside it": code("x", shown(png=PNG)),
    "text/markdown has no text/plain beside it": code("x", shown(markdown="**1.** Why?")),
    "an SVG picture": code("x", shown(svg="<svg/>", plain="a drawing")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_each_fault_is_found_and_alone(tmp_path, fault):
    found = faults(tmp_path, stored(BROKEN[fault]))
    assert len(found) == 1
    assert fault in found[0]


def test_stored_widget_state_is_a_fault(tmp_path):
    state = from_dict({"application/vnd.jupyter.widget-state+json": {"state": {}}})
    assert "state of widgets" in faults(tmp_path, stored(widgets=state))[0]


def test_a_file_that_is_too_large_is_a_fault(tmp_path):
    cells = [code(f"x{i}", printed("word " * 150_000)) for i in range(3)]
    (found,) = faults(tmp_path, stored(*cells))
    assert "above 2,000,000" in found


def test_what_a_notebook_must_contain(tmp_path):
    bare = v4.new_notebook(cells=[code()])
    assert [each[:30] for each in faults(tmp_path, bare)] == [
        "the first cell is the title, a",
        "a heading with the word Recap ",
        "a cell that calls quiz(...) is",
    ]


def test_the_first_words_are_the_title(tmp_path):
    notebook = stored()
    notebook.cells[0].source = "Mini\n\n## Softmax"
    (found,) = faults(tmp_path, notebook)
    assert "the first cell is the title" in found


def test_headings_read_as_a_table_of_contents(tmp_path):
    deep = v4.new_markdown_cell("### Too deep")
    (found,) = faults(tmp_path, stored(deep))
    assert "'Too deep' skips a level" in found
    second = v4.new_markdown_cell("# Another title")
    (found,) = faults(tmp_path, stored(second))
    assert "there is one title" in found


def test_a_remark_inside_a_code_block_is_no_heading():
    cell = v4.new_markdown_cell("# Title\n```python\n# not a heading\n```\n## Part")
    assert headings(v4.new_notebook(cells=[cell])) == [(1, "Title"), (2, "Part")]


def test_only_code_counts_as_lines():
    assert code_lines("# no\n\nx = 1  # yes\n   # no\ny") == 2
