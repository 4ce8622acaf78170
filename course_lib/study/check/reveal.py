"""Show the course's own source inside a notebook: of a solution, or of anything in the library.

The source of an exercise's solution is folded until the learner has passed, or has asked twice.
"""

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.feedback import Feedback, show_feedback
from course_lib.study.record.progress import store

_asked: Counter[str] = Counter()


@dataclass(frozen=True)
class Source:
    """A piece of the course, with its name, folded or open."""

    name: str
    code: str
    is_open: bool

    def __str__(self) -> str:
        return f"{self.name}\n\n{self.code}" if self.is_open else f"{self.name} (folded)"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # Light on purpose in both themes: the colours of the highlighting are chosen for it.
        formatter = HtmlFormatter(
            noclasses=True,
            style="default",  # each colour has a contrast of 4.5 on its background, which is this:
            cssstyles="background: #f8f8f8; color: #222222; padding: 8px 12px; border-radius: 4px",
            prestyles="margin: 0; background: transparent; color: inherit",
        )
        code = highlight(self.code, PythonLexer(), formatter)
        fold = "open" if self.is_open else ""
        summary = f"<summary>The course's own: <code>{escape(self.name)}</code></summary>"
        return {
            "text/html": f"<details {fold}>{summary}{code}</details>",
            "text/plain": str(self),
        }


def reveal(what: str | Callable[..., Any]) -> None:
    """Show the source of an exercise's solution, or of any function or class of the library."""
    if not isinstance(what, str):
        return show_feedback(source_of(what))
    try:
        found = find_exercise(what)
    except ValueError as unknown:
        return show_feedback(Feedback.notice(str(unknown)))
    _asked[found.id] += 1
    is_open = _asked[found.id] > 1 or store().passed(found.id)
    return show_feedback(source_of(found.solution, is_open))


def source_of(what: Callable[..., Any], is_open: bool = True) -> Source:
    """Return the source of a function or class, under its full name."""
    plain = inspect.unwrap(what)
    return Source(f"{plain.__module__}.{plain.__qualname__}", inspect.getsource(plain), is_open)
