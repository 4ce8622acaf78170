"""Run a learner's function so that nothing it does can harm the notebook around it.

The function gets copies of its inputs, a time limit and a muted standard output. Afterwards the
global state that it could have touched is put back, and what it touched is named.
"""

import contextlib
import copy
import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from course_lib.study.deadline import time_limit
from course_lib.study.surroundings import Surroundings

SECONDS_ALLOWED = 4.0
CHANGED_INPUT = "changed its input in place"
_CHARACTERS_KEPT = 2_000


@dataclass(frozen=True)
class Call:
    """The arguments of one call, as a learner would write them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


def call(*args: Any, **kwargs: Any) -> Call:
    """Return a `Call`, written like the call itself."""
    return Call(args, kwargs)


@dataclass(frozen=True)
class Run:
    """What came of one call: a result or an error, and what it did on the side."""

    result: Any = None
    error: BaseException | None = None
    side_effect: str | None = None
    printed: str = ""


class _BoundedText(io.StringIO):
    """A standard output that keeps the beginning and forgets the rest."""

    def write(self, text: str) -> int:
        room = _CHARACTERS_KEPT - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)

    def close(self) -> None:
        """Stay open: what was written is read later."""


def run(
    function: Callable[..., Any],
    arguments: Call,
    watch: contextlib.AbstractContextManager[Any] | None = None,
) -> Run:
    """Call `function` on copies of the arguments and say what happened; never raises.

    The call runs under `watch`, which may raise at what the function does.
    """
    before = copy.deepcopy(arguments)
    given = copy.deepcopy(arguments)
    printed = _BoundedText()
    result, error = None, None
    surroundings = Surroundings()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            with time_limit(SECONDS_ALLOWED), watch or contextlib.nullcontext():
                result = _as_it_is_now(function(*given.args, **given.kwargs))
        except BaseException as raised:
            error = raised
    side_effect = surroundings.restore()
    if side_effect is None and not _same_arguments(before, given):
        side_effect = CHANGED_INPUT
    return Run(result, error, side_effect, printed.getvalue())


def _as_it_is_now(result: Any) -> Any:
    """Return a copy, since a later call may change what this one returned."""
    if inspect.iscoroutine(result):
        result.close()  # never to be awaited
    try:
        return copy.deepcopy(result.detach() if isinstance(result, torch.Tensor) else result)
    except Exception:
        return result  # a generator, for instance, cannot be copied


def _same_arguments(a: Any, b: Any) -> bool:
    """Compare exactly, bit for bit where there are bits; objects that cannot be compared pass."""
    if isinstance(a, Call) and isinstance(b, Call):
        return _same_arguments(a.args, b.args) and _same_arguments(a.kwargs, b.kwargs)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and _same_bits(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same_arguments(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same_arguments, a, b))
    if isinstance(a, int | float | str | bytes | set | frozenset):
        return a == b or (a != a and b != b)
    return True


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    with torch.no_grad():
        return bool(((a == b) | ((a != a) & (b != b))).all())
