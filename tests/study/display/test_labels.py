"""Every text must come out drawable, distinguishable and in one piece."""

import io
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from course_lib.study.display.labels import balanced, drawable_text, plain, token_label, written


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("<s>", "<s>"),
        (" the", "␣the"),
        ("a\nb\tc", "a↵b⇥c"),
        ("\r", "\\x0d"),
        ("$x^2$", "\\$x^2\\$"),
        ("中", "\\u4e2d"),
        ("\U0001f9ff", "\\U0001f9ff"),
        ("\xa0", "\\xa0"),
        ("\u200b", "\\u200b"),
        ("\ud800", "\\ud800"),
        ("\u0301e", "◌\u0301e"),
        ("", "∅"),
    ],
)
def test_each_kind_of_character_is_made_visible(text, label):
    assert token_label(text) == label


def test_a_long_token_is_cut_at_a_whole_sign():
    assert token_label("abcdef", longest=6) == "abcdef"
    assert token_label("abcdefg", longest=6) == "abcdef…"
    assert token_label("ab中", longest=6) == "ab…"
    assert token_label("$$$$", longest=4) == "\\$\\$\\$\\$"
    assert token_label("中", longest=3) == "\\u4e2d", "one sign is always shown"


@given(st.text(alphabet=st.characters(), max_size=20))
def test_any_text_can_be_drawn_without_a_warning(text):
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, token_label(text), family="DejaVu Sans")
    figure.text(0.1, 0.1, drawable_text(text), family="DejaVu Sans")
    figure.savefig(io.BytesIO(), dpi=20)  # a missing glyph would warn, and warnings are errors


def test_a_missing_glyph_does_warn_when_it_is_not_escaped():
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, "中", family="DejaVu Sans")
    with pytest.warns(UserWarning, match="missing"):
        figure.savefig(io.BytesIO(), dpi=20)


def test_a_dollar_sign_is_drawn_as_one_and_starts_no_formula():
    figure = Figure()
    drawn = figure.text(0, 0, token_label("$x$"))
    assert drawn._preprocess_math(drawn.get_text()) == ("$x$", False)
    assert plain(token_label("$x$")) == "$x$"


def test_sentences_keep_their_spaces():
    assert drawable_text("a b\nc\t中") == "a b\nc⇥\\u4e2d"


def test_lines_are_few_and_about_equally_long():
    assert balanced("one two three four", 100) == "one two three four"
    assert balanced("one two three four", 14) == "one two\nthree four"
    assert balanced("unbreakable", 5) == "unbreakable"
    assert balanced("", 10) == ""


@given(st.text("ab  \n", max_size=60), st.integers(1, 30))
def test_lines_are_as_narrow_as_their_number_allows(text, longest):
    def wrap(width):
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    few = [width for width in range(1, longest + 1) if len(wrap(width)) <= len(wrap(longest))]
    assert balanced(text, longest) == "\n".join(wrap(few[0]))


@pytest.mark.parametrize(
    ("value", "pattern", "text"),
    [
        (-0.0001, ".2f", "0.00"),
        (-1.5, ".1f", "−1.5"),
        (0.25, "+.2f", "+0.25"),
        (2.3e-7, ".2g", "2.3e−07"),
        (float("nan"), ".2f", "nan"),
        (float("-inf"), ".2f", "−inf"),
    ],
)
def test_numbers_have_a_true_minus_and_no_negative_zero(value, pattern, text):
    assert written(value, pattern) == text
