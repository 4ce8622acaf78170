"""What counts as the same output of a notebook that ran again."""

import pytest
from nbformat import v4

from course_lib.authoring.same_outputs import VARIES, differences
from course_lib.study.display.saving import WIDGET_VIEW


def result(data):
    return v4.new_output("execute_result", data)


def printed(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def error(value, place="line 1"):
    return v4.new_output("error", ename="ValueError", evalue=value, traceback=[place, value])


def notebook(*outputs, tags=()):
    cells = [
        v4.new_markdown_cell("Words.", id="words"),
        v4.new_code_cell("x", id="x", outputs=list(outputs), metadata={"tags": list(tags)}),
    ]
    return v4.new_notebook(cells=cells)


HTML = {"text/html": "<b>1</b>", "text/plain": "1"}
DIFFERENT = {
    "a text": ([printed("1\n")], [printed("2\n")]),
    "a space at the end": ([printed("1\n")], [printed("1 \n")]),
    "an end of a line": ([printed("1\n")], [printed("1")]),
    "another stream": ([printed("1\n")], [printed("1\n", "stderr")]),
    "one form of a result": ([result(HTML)], [result({**HTML, "text/html": "<b>2</b>"})]),
    "a form less": ([result(HTML)], [result({"text/plain": "1"})]),
    "a form more": ([result({"text/plain": "1"})], [result(HTML)]),
    "a result twice": ([result(HTML)], [result(HTML), result(HTML)]),
    "the order of results": (
        [result({"text/plain": "1"}), result({"text/plain": "2"})],
        [result({"text/plain": "2"}), result({"text/plain": "1"})],
    ),
    "nothing any more": ([printed("1\n")], []),
    "something new": ([], [printed("1\n")]),
    "what an error says": ([error("x < 1")], [error("x < 2")]),
    "no error any more": ([error("x < 1")], []),
    "a number in JSON": (
        [result({"application/json": {"a": 1}})],
        [result({"application/json": {"a": 2}})],
    ),
}
SAME = {
    "nothing": ([], []),
    "a text in pieces": ([printed("1\n2\n")], [printed("1\n"), printed("2\n")]),
    "a text as lines": ([result({"text/plain": "1\n2"})], [result({"text/plain": ["1\n", "2"]})]),
    "other pixels": (
        [result({"image/png": "AAAA", "text/plain": "a figure"})],
        [result({"image/png": "BBBB", "text/plain": "a figure"})],
    ),
    "a live view": ([result(HTML)], [result({**HTML, WIDGET_VIEW: {"model_id": "7"}})]),
    "where an error was raised": ([error("x")], [error("x", "line 7")]),
    "how streams and results follow each other": (
        [printed("1\n"), result(HTML)],
        [result(HTML), printed("1\n")],
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_differs_is_found_and_named(what):
    stored, again = (notebook(*outputs) for outputs in DIFFERENT[what])
    (found,) = differences(stored, again)
    assert found.startswith("the outputs of cell x differ\n--- stored\n+++ now")
    assert differences(notebook(*DIFFERENT[what][0], tags=[VARIES]), again) == []


@pytest.mark.parametrize("what", SAME)
def test_what_cannot_be_the_same_everywhere_is_not_compared(what):
    stored, again = (notebook(*outputs) for outputs in SAME[what])
    assert differences(stored, again) == []


def test_a_long_difference_is_cut():
    lines = "".join(f"{number}\n" for number in range(500))
    (found,) = differences(notebook(), notebook(printed(lines)))
    assert found.endswith("lines more")
    assert len(found.splitlines()) < 40
