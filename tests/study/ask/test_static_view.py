"""The quiz in a saved file: what its text and its Markdown say, and what they keep to themselves.

Markdown is read by two parsers: that of the exported pages, and one that follows CommonMark and
GitHub as JupyterLab and code hosts do. Both must show what the live cards show.
"""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from course_lib.authoring.edition.cells import markdown as page_parser
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
from course_lib.study.ask.static_view import markdown_of, rows, text_of
from course_lib.study.display.markup import markdown, rich, spans

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


PARSERS = {"pages": page_parser(), "GitHub": MarkdownIt("gfm-like", {"linkify": False}).render}


class Shown(HTMLParser):
    """What a reader sees: pieces of text, each with the marks that it stands in."""

    MARKS = ("code", "em", "strong", "li", "pre", "h1", "hr", "a", "img", "table", "s", "math")

    def __init__(self, markup):
        super().__init__()
        self.open, self.pieces = [], []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "br":
            self.handle_data("\n")
        elif tag in self.MARKS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.MARKS:
            self.open.remove(tag)

    def handle_data(self, data):
        for character in data:
            if not character.isspace():
                self.pieces.append((character, tuple(self.open)))


def static(questions=QUESTIONS):
    return list(rows("A heading", questions))


def test_the_text_lists_questions_and_options_without_answers():
    text = text_of(static())
    assert text.startswith("A heading\n\n1. What does `<s>` mean in a < b & $c$? It is")
    assert "   A. _x_ $1\n   B. `</s>` <b>bold</b>\n   Choose one answer." in text
    assert "Choose every answer that is right; there may be one or more." in text
    assert "   Give a number in m. In a running notebook the numbers are fresh ones." in text
    assert text.endswith(
        "    1  def double(n):\n    2\n    3      return 3 * n\n   One line is wrong. Which?\n\n"
        "5. This runs.\n       x = 'SEC' + 'RET'\n       print(x)\n   What does this print?\n\n"
        "6. Why?\n   Write your answer first; then compare it with a rubric."
    )
    assert "SECRET" not in text
    assert max(map(len, text.split("\n"))) <= 100
    assert text_of(static()) == text


def test_the_markdown_numbers_questions_lists_options_and_fences_code():
    text = markdown_of(static())
    assert text.startswith("**A heading**\n\n**1.** What does `<s>` mean in a \\< b \\& ")
    assert "\n\n- **A.** \\_x\\_ " in text
    assert "\n- **B.** `</s>` \\<b\\>bold\\</b\\>\n\n_Choose one answer._\n\n**2.** " in text
    assert "_Give a number in m. In a running notebook the numbers are fresh ones._" in text
    assert "\n\n```text\n 1  def double(n):\n 2\n 3      return 3 * n\n```\n\n_One line" in text
    assert "\n\n```python\nx = 'SEC' + 'RET'\nprint(x)\n```\n\n_What does this print?_" in text
    assert "SECRET" not in text
    assert markdown_of(static()) == text != markdown_of(static(QUESTIONS[1:]))


def test_a_fence_is_longer_than_the_backticks_in_the_code():
    question = PredictOutput("demo.ticks", "This runs.", code="print('``````')", why="SECRET")
    text = markdown_of(static([question]))
    assert "\n```````python\nprint('``````')\n```````\n" in text
    for parse in PARSERS.values():
        assert "SECRET" not in parse(text)
        assert ("`", ("pre",)) in {(sign, marks[:1]) for sign, marks in Shown(parse(text)).pieces}


@pytest.mark.parametrize("parser", PARSERS)
def test_both_forms_say_the_same(parser):
    seen = "".join(sign for sign, _ in Shown(PARSERS[parser](markdown_of(static()))).pieces)
    assert seen == re.sub(r"\s", "", text_of(static()).replace("`", ""))


TRICKY = r"""
a b 1 . - + = # > < & * _ ~ | $ \ ( ) [ ] { } ! : / ` `` ``` <s> </s> <b> &lt; **x** __x__ ~~x~~
[x](y)
![x](y) <!-- 1. 1) ## --- === $x$ $$ \( \) `c` `*c*` `a_b_c` *weighs*
<http://a.b> http://a.b 3*4*5
""".split()  # noqa: SIM905


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from([*TRICKY, "\n", "` c`", "` c `", "*may read*"]), max_size=8),
    st.sampled_from([" ", ""]),
)
def test_markdown_shows_every_text_as_the_live_card_does(words, between):
    text = between.join(words).strip() or "a"
    expected = Shown(rich(text)).pieces
    for name, parse in PARSERS.items():
        paragraph = Shown(parse(f"**1.** {markdown(text)}")).pieces[2:]
        assert paragraph == expected, name
        inside = Shown(parse(f"- **A.** {markdown(text)}".replace("\n", "\n  "))).pieces[2:]
        assert [(sign, marks[1:]) for sign, marks in inside] == expected, name


def test_what_is_not_escaped_would_be_seen():
    for parse in PARSERS.values():
        for text in ("<b>a", "_a b_ c", "[x](y)", "a\n- b"):
            assert Shown(parse(f"**1.** {text}")).pieces[2:] != Shown(rich(text)).pieces


def test_dollars_stand_apart_from_each_other():
    """JupyterLab looks for formulas in each text of the page, after Markdown took its backslash."""
    text = markdown("$x$ and \\(y\\)")
    assert text == "<span>\\$</span>x<span>\\$</span> and <span>\\\\</span>(y<span>\\\\</span>)"
    assert markdown("`$x$`") == "`$x$`"


def test_code_keeps_its_blanks():
    for code in (" c", "c ", " c ", " "):
        for name, parse in PARSERS.items():
            assert f"<code>{code}</code>" in parse(f"see {markdown(f'`{code}`')} here"), name


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
    assert markdown("it *is* so: 2 * a") == "it *is* so: 2 \\* a"


def test_code_is_marked_and_escaped():
    marked = rich("see `x<y>` and `z`")
    assert marked.count("<code ") == marked.count("</code>") == 2
    assert ">x&lt;y&gt;</code> and <code " in marked
    assert "#fff" not in marked
    assert spans("see `x` and `y`") == [("see ", False), ("x", True), (" and ", False), ("y", True)]
