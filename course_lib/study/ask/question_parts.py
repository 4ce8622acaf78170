"""The parts of quiz questions: a name and a prompt, options, slips, criteria, and their checks.

A question without an explanation or with two equal options would be noticed by a learner. With
these checks its author notices it first, when the module is imported.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Option:
    """One thing to choose, and why it is right or wrong."""

    text: str
    correct: bool
    why: str


def right(text: str, why: str) -> Option:
    """Return an option that is right."""
    return Option(text, True, why)


def wrong(text: str, why: str) -> Option:
    """Return an option that is wrong."""
    return Option(text, False, why)


@dataclass(frozen=True)
class Mistake:
    """An output that learners expect, and why it is not printed."""

    output: str
    why: str


@dataclass(frozen=True)
class Criterion:
    """One thing that a good free answer contains, and why it matters."""

    text: str
    why: str


@dataclass(frozen=True)
class Slip:
    """A wrong formula that learners use, and the explanation for those who used it."""

    name: str
    formula: Callable[..., float]
    why: str

    def value(self, drawn: Mapping[str, Any]) -> float:
        """Return the answer to which this slip leads for these numbers."""
        return float(self.formula(**drawn))


@dataclass(frozen=True)
class Asked:
    """What all kinds have: a unique name, and a prompt."""

    id: str
    prompt: str

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            raise ValueError(
                f"a question's id must be `<slug>.<name>` in small letters, digits and "
                f"underscores; got {self.id!r}. Write, for instance, softmax.shift."
            )
        require_text(self.id, "the prompt", self.prompt)


def check_options(name: str, options: tuple[Option, ...]) -> None:
    """Raise unless there is something to choose from, and each option explains itself."""
    if len(options) < 2:
        raise ValueError(
            f"{name} needs two options or more; got {len(options)}. Add one that is plausible."
        )
    require_different(name, "options", [option.text for option in options])
    for option in options:
        require_text(name, "an option", option.text)
        require_text(name, f"the explanation of the option {option.text!r}", option.why)


def require_different(name: str, what: str, texts: Collection[str]) -> None:
    """Raise if two of the texts read the same."""
    plain = [" ".join(text.split()).casefold() for text in texts]
    twice = sorted({text for text in plain if plain.count(text) > 1})
    if twice:
        raise ValueError(
            f"the {what} of {name} must differ from each other; got {twice[0]!r} twice. "
            "Remove or reword one."
        )


def require_text(name: str, what: str, text: str) -> None:
    """Raise if a text that a learner will read is empty."""
    if not text.strip():
        raise ValueError(f"{what} of {name} must not be empty; got {text!r}. Write a sentence.")
