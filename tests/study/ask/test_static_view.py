"""The quiz in a saved file: what its text and its picture say, and what they keep to themselves."""

import itertools
import warnings

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    Option,
    PredictOutput,
    SeveralAnswers,
)
from course_lib.study.ask.question_parts import Criterion, Mistake
from course_lib.study.ask.static_view import printed_figure, printed_text
from course_lib.study.display.markup import rich, spans, without_stars
from course_lib.study.display.plotting import png_bytes

QUESTIONS = (
    OneAnswer(
        "demo.tag",
        "What does `<s>` mean in a < b & $c$? " + "It is a long question, asked at length. " * 4,
        (Option("`</s>` <b>bold</b>", True, "SECRET one"), Option("_x_ $1", False, "SECRET two")),
    ),
    SeveralAnswers(
        "demo.several",
        "Which?",
        (Option("this", True, "SECRET three"), Option("that", False, "SECRET four")),
    ),
    Numeric(
        "demo.half",
        "Half of {n}?",
        draw=lambda rng: {"n": rng.randint(1, 10**6)},
        answer=lambda n: n / 2,
        explain=lambda n: "SECRET five",
        unit="m",
    ),
    FindTheBug(
        "demo.bug",
        "Doubles.",
        code="def double(n):\n\n    return 3 * n",
        line=3,
        fixed="return 2 * SECRET",
        why="SECRET six",
        shows_bug=lambda names: names["double"](1) != 2,
    ),
    PredictOutput(
        "demo.print",
        "This runs.",
        code="x = 'SEC' + 'RET'\nprint(x)",
        why="SECRET seven",
        mistakes=(Mistake("x", "SECRET eight"),),
    ),
    OpenQuestion("demo.open", "Why?", (Criterion("SECRET nine", "SECRET ten"),), 1, "SECRET"),
)


def drawn(questions):
    return [text.get_text() for text in printed_figure("A heading", questions).texts]


def test_the_text_lists_questions_and_options_without_answers():
    text = printed_text("A heading", QUESTIONS)
    assert text.startswith("A heading\n\n1. What does `<s>` mean in a < b & $c$? It is")
    assert "   A. _x_ $1\n   B. `</s>` <b>bold</b>\n   Choose one answer." in text
    assert "Choose every answer that is right; there may be one or more." in text
    assert "   Give a number in m. In a running notebook the numbers are fresh ones." in text
    assert text.endswith(
        "    1  def double(n):\n    2\n    3      return 3 * n\n   One line is wrong. Which?\n\n"
        "5. This runs.\n    1  x = 'SEC' + 'RET'\n    2  print(x)\n   What does this print?\n\n"
        "6. Why?\n   Write your answer first; then compare it with a rubric."
    )
    assert "SECRET" not in text
    assert max(map(len, text.split("\n"))) <= 100
    assert printed_text("A heading", QUESTIONS) == text


def test_the_picture_says_the_same_as_the_text():
    words = " ".join(drawn(QUESTIONS)).replace(r"\$", "$").split()
    expected = printed_text("A heading", QUESTIONS).replace("`", " ").split()
    glue = str.maketrans("", "", " ?&")
    assert "".join(words).translate(glue) == "".join(expected).translate(glue)


def test_the_picture_is_the_same_each_time_and_differs_with_the_questions():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks
        first, again, other = (
            png_bytes(printed_figure("A heading", questions))
            for questions in (QUESTIONS, QUESTIONS, QUESTIONS[1:])
        )
    assert first == again
    assert first != other
    assert first.startswith(b"\x89PNG")


def test_nothing_is_drawn_outside_the_picture():
    figure = printed_figure("A heading", QUESTIONS)
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.canvas.get_width_height()
    boxes = [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= width
    assert min(box.y0 for box in boxes) >= 0
    assert max(box.y1 for box in boxes) <= height
    assert max(box.x1 for box in boxes) > 0.8 * width, "long prompts use the width"


def test_pieces_of_a_line_follow_each_other_without_overlap():
    figure = printed_figure("A heading", QUESTIONS)
    renderer = FigureCanvasAgg(figure).get_renderer()
    lines: dict[float, list] = {}
    for text in figure.texts:
        lines.setdefault(text.get_position()[1], []).append(text.get_window_extent(renderer))
    neighbours = [
        (left, right) for line in lines.values() for left, right in itertools.pairwise(line)
    ]
    assert len(neighbours) > 5
    assert all(right.x0 - left.x1 > -1.0 for left, right in neighbours)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<s> & </s>", "&lt;s&gt; &amp; &lt;/s&gt;"),
        ('"quoted"', "&quot;quoted&quot;"),
        ("one\ntwo", "one<br>two"),
        ("a lone ` stays", "a lone ` stays"),
        ("$x$ _y_ **z**", "$x$ _y_ **z**"),
        ("2 * a * b, x*y*z, *args, **more", "2 * a * b, x*y*z, *args, **more"),
    ],
)
def test_text_shows_as_it_is_written(text, shown):
    assert rich(text) == shown


def test_words_between_stars_weigh():
    assert rich("it *is* so, *may read*.") == "it <em>is</em> so, <em>may read</em>."
    assert "*so*</code>" in rich("`*so*`")
    assert without_stars("it *is* so: 2 * a * b") == "it is so: 2 * a * b"


def test_code_is_marked_and_escaped():
    marked = rich("see `x<y>` and `z`")
    assert marked.count("<code ") == marked.count("</code>") == 2
    assert ">x&lt;y&gt;</code> and <code " in marked
    assert "#fff" not in marked
    assert spans("see `x` and `y`") == [("see ", False), ("x", True), (" and ", False), ("y", True)]
