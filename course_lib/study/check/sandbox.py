"""Run a learner's function so that nothing it does can harm the notebook around it.

The function gets copies of its inputs, a time limit and a muted standard output. Afterwards the
global state that it could have touched is put back, and what it touched is named.
"""

import contextlib
import copy
import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from course_lib.study.check.capture import muted
from course_lib.study.check.deadline import time_limit
from course_lib.study.check.global_state import GlobalState
from course_lib.study.check.spec import Call

SECONDS_ALLOWED = 4.0
CHANGED_INPUT = "changed its input in place"
CHARACTERS_KEPT = 2_000
_LARGE = 1_000_000  # numbers, letters or items: more than any exercise asks for


@dataclass(frozen=True)
class Run:
    """The outcome of one call: a result or an error, and its side effects."""

    result: Any = None
    error: BaseException | None = None
    side_effect: str | None = None
    printed: str = ""
    slope: float | None = None  # of the result along the inputs, where a probe asks for it
    slope_error: BaseException | None = None


def run(
    function: Callable[..., Any],
    arguments: Call,
    watch: contextlib.AbstractContextManager[Any] | None = None,
    seconds: float | None = None,
) -> Run:
    """Call `function` on copies of the arguments and say what happened; never raises.

    The call runs under `watch`, which may raise at what the function does.
    """
    given = copy.deepcopy(arguments)
    result, error = None, None
    _load_what_loads_late(function)
    state = GlobalState()
    with muted(CHARACTERS_KEPT) as printed:
        try:
            # The limit ends before the watch does, so that it cannot interrupt the end of a watch.
            with watch or contextlib.nullcontext(), time_limit(seconds or SECONDS_ALLOWED):
                result = _as_it_is_now(function(*given.args, **given.kwargs))
        except BaseException as raised:
            error = raised
    side_effect = state.restore()
    if side_effect is None and not _same_arguments(arguments, given):
        side_effect = CHANGED_INPUT
    return Run(result, error, side_effect, printed.getvalue())


def _load_what_loads_late(function: Callable[..., Any]) -> None:
    """Load what torch loads when the first optimizer is made.

    That takes seconds, which are not to be counted as the learner's.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    names = set(getattr(code, "co_names", ()))
    if names & _names_of_optimizers():
        importlib.import_module("torch._dynamo")


@functools.cache
def _names_of_optimizers() -> frozenset[str]:
    return frozenset({"optim", *dir(torch.optim)})


def _as_it_is_now(result: Any) -> Any:
    """Return a copy, since a later call may change what this one returned."""
    if inspect.iscoroutine(result):
        result.close()  # never to be awaited
    if is_large(result):
        return result  # a copy could be more than there is memory for
    try:
        return copy.deepcopy(result.detach() if isinstance(result, torch.Tensor) else result)
    except Exception:
        return result  # a generator, for instance, cannot be copied


def is_large(result: Any) -> bool:
    """Say whether a result, or one of its first parts, is far larger than any exercise asks for."""
    parts = result[:100] if isinstance(result, list | tuple) else ()
    return max(map(_size, (result, *parts))) > _LARGE


def _size(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, np.ndarray):
        return int(value.size)
    return len(value) if isinstance(value, list | tuple | str | bytes) else 0


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
    if a.is_meta or b.is_meta:
        return a.is_meta and b.is_meta  # where there are no bits
    with torch.no_grad():
        return bool(((a == b) | ((a != a) & (b != b))).all())
