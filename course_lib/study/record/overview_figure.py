"""What is recorded, as a picture: a row for each chapter, with its exercises, questions, abilities.

Taught in:        self_check, and the report of `course progress`
Checked against:  the evidence that was passed, read back from the drawn bars
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.study.display.labels import drawable_text
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure
from course_lib.study.record.evidence import Chapter, Count, total

_TRACK = "#e0e0e0"
_CELL = 0.85  # the width of a square; the rest is a gap
_MARGINS = Margins(left=2.0, right=0.2, bottom=0.2, top=0.85, across=0.35)


def overview(chapters: Sequence[Chapter]) -> Figure:
    """Draw what is passed and answered right in each chapter, and how far each ability is shown."""
    if not chapters:
        raise ValueError("an overview needs at least one chapter; got none. Pass evidence of some.")
    height = _MARGINS.top + _MARGINS.bottom + 0.34 * len(chapters)
    figure, axes = new_figure(10.0, height, cols=3, margins=_MARGINS, width_ratios=(3, 3, 2.2))
    parts = [chapter.evidence for chapter in chapters]
    _bars(axes[0], "exercises passed", [part.exercises for part in parts], OKABE_ITO.blue)
    _bars(axes[1], "questions right", [part.questions for part in parts], OKABE_ITO.orange)
    _abilities(axes[2], chapters)
    for ax in axes:
        ax.set_ylim(len(chapters) - 0.5, -0.5)
        ax.set_yticks([])
    names = [
        drawable_text(f"{each.notebook.number:02d} {each.notebook.title}") for each in chapters
    ]
    axes[0].set_yticks(range(len(chapters)), names)
    figure.suptitle(said(chapters), x=0.2 / 10, y=1 - 0.15 / height, ha="left", va="top", size=12)
    return figure


def said(chapters: Sequence[Chapter]) -> str:
    """Return what is recorded, in a sentence."""
    whole = total(chapters)
    if not (whole.exercises.done or whole.answered):
        return "Nothing is recorded yet: no exercise passed, no question answered"
    shown = sum(evidence.word == "shown" for each in chapters for _, evidence in each.abilities)
    known = sum(len(each.abilities) for each in chapters)
    return (
        f"Recorded: {whole.exercises} exercises passed, {whole.questions} questions right, "
        f"{Count(shown, known)} abilities shown in full"
    )


def _bars(ax: Axes, name: str, counts: Sequence[Count], colour: str) -> None:
    """Draw one bar for each chapter on a track that stands for all of it."""
    places = range(len(counts))
    ax.barh(places, [1.0] * len(counts), color=_TRACK, height=0.6)
    shares = [count.done / count.known if count.known else 0.0 for count in counts]
    ax.barh(places, shares, color=colour, height=0.6, label=name)
    for place, count in enumerate(counts):
        ax.text(1.03, place, str(count), va="center", size=9)
    ax.set(xlim=(0, 1.3), xticks=[])
    ax.set_title(name, loc="left", fontsize=10, color=FAINT)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _abilities(ax: Axes, chapters: Sequence[Chapter]) -> None:
    """Draw a square for each ability, filled from the left as far as its evidence goes."""
    cells = [
        (row, column, evidence.share)
        for row, chapter in enumerate(chapters)
        for column, (_, evidence) in enumerate(chapter.abilities)
    ]
    rows, columns, shares = zip(*cells, strict=True) if cells else ((), (), ())
    ax.barh(rows, [_CELL] * len(rows), left=columns, color=_TRACK, height=0.6)
    filled = [_CELL * share for share in shares]
    ax.barh(rows, filled, left=columns, color=OKABE_ITO.green, height=0.6)
    longest = max(4, *(len(chapter.abilities) for chapter in chapters))
    ax.set(xlim=(0, longest), xticks=[])
    ax.set_title("abilities shown", loc="left", fontsize=10, color=FAINT)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
