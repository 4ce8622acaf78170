"""What an exercise is made of: the types with which a chapter declares its exercises.

A declaration needs these names and nothing else of the engine.
"""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """The arguments of one call, as a learner would write them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


def call(*args: Any, **kwargs: Any) -> Call:
    """Return a `Call`, written like the call itself."""
    return Call(args, kwargs)


@dataclass(frozen=True)
class Rules:
    """What counts as equal beyond rounding."""

    same_dtype: bool = False
    tolerance: float = 1.0  # multiplies what counts as rounding


@dataclass(frozen=True)
class Probe:
    """One input that isolates one mechanism, and a sentence on what a failure here means."""

    name: str
    inputs: Callable[[], Call]
    isolates: str
    tolerance: float = 1.0
    gradient: bool = False  # whether the gradient is compared too; all floats become float64
    constants: tuple[int, ...] = ()  # places of arguments that may be detached


@dataclass(frozen=True)
class Misconception:
    """A mistake that people make: its name, its code, and why it is one."""

    name: str
    function: Callable[..., Any]
    explanation: str


@dataclass(frozen=True)
class Alternative:
    """Another right answer, which must be accepted too."""

    name: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """Everything about one exercise, declared once."""

    id: str
    title: str
    minutes: int
    difficulty: int  # 1 warm-up, 2 ordinary, 3 takes thought
    statement: str
    solution: Callable[..., Any]
    reference: Callable[..., Any]
    probes: tuple[Probe, ...]
    misconceptions: tuple[Misconception, ...]
    hints: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()
    same_dtype: bool = False
    generator: Callable[[random.Random], Call] | None = None  # makes one valid, small input
    watch: Callable[[Call], AbstractContextManager[Any]] | None = None  # what a call runs under
    tolerance: float = 1.0  # that of generated inputs
    adapter: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    """Makes, of a function that runs inside something else, one that the probes can call."""
    missing: Callable[[], str | None] | None = None
    """Says what this machine lacks to run the exercise, and the remedy; None if nothing."""

    def adapted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as the probes call it."""
        return self.adapter(function) if self.adapter else function

    def rules(self, probe: Probe) -> Rules:
        """What counts as equal on this probe."""
        return Rules(self.same_dtype, probe.tolerance)
