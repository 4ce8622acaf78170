"""The companion package of the course: each idea that a notebook teaches, implemented once.

`SYLLABUS` is the one catalogue of the course. Everything that needs to know which notebooks there
are, in which order, and which modules each of them may use, reads it here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Notebook:
    """One chapter: its place in the order, its words and the modules that it introduces."""

    number: int
    slug: str
    title: str
    question: str
    minutes: int
    modules: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The file name without its ending, such as `04_softmax`."""
        return f"{self.number:02d}_{self.slug}"


SYLLABUS: tuple[Notebook, ...] = (
    Notebook(
        0,
        "start_here",
        "Start here",
        "What is in this course, what will run on this machine, and how do the exercises work?",
        20,
        ("device", "tour"),
    ),
    Notebook(
        4,
        "softmax",
        "Softmax",
        "How do scores become a distribution, and how does that go wrong in floating point?",
        90,
        ("softmax",),
    ),
)
