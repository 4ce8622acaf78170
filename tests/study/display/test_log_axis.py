"""Logarithmic axes: the labels name the places of their marks, and none of them is a formula."""

import matplotlib.mathtext
import pytest

from course_lib.study.display.log_axis import power_of_ten, powers_of_ten
from course_lib.study.display.plotting import Margins, new_figure, png_bytes


@pytest.mark.parametrize(
    ("value", "label"), [(1, "10⁰"), (0.001, "10⁻³"), (1e12, "10¹²"), (9.999999e-46, "10⁻⁴⁵")]
)
def test_a_power_is_written_with_a_raised_exponent(value, label):
    assert power_of_ten(value) == label


def drawn(label):
    figure, ax = new_figure(4, 3, margins=Margins())
    ax.plot([1, 2, 3], [1e-2, 1, 1e2])
    ax.set(yscale="log", ylim=(1e-2, 1e2))
    label(ax)
    formulas = []
    with pytest.MonkeyPatch.context() as patch:
        parse = matplotlib.mathtext.MathTextParser.parse
        patch.setattr(
            matplotlib.mathtext.MathTextParser,
            "parse",
            lambda self, text, *rest, **more: (
                formulas.append(text) or parse(self, text, *rest, **more)
            ),
        )
        png_bytes(figure)
    return ax.yaxis, formulas


def test_each_label_names_its_mark_in_plain_text_and_nothing_lies_between():
    axis, formulas = drawn(lambda ax: powers_of_ten(ax.yaxis))
    labels = {
        mark: text.get_text()
        for mark, text in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    }
    assert labels[1e-2] == "10⁻²"
    assert labels[1e2] == "10²"
    assert len(axis.get_minorticklocs()) == 0
    assert formulas == []


def test_by_default_an_axis_has_formulas_and_smaller_marks():
    axis, formulas = drawn(lambda ax: None)
    assert len(axis.get_minorticklocs()) > 8
    assert formulas != []
