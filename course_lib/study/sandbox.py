"""Run a learner's function so that nothing it does can harm the notebook around it.

The function gets copies of its inputs, a time limit and a muted standard output. Afterwards the
global state that it could have touched is put back, and what it touched is named.
"""

import builtins
import contextlib
import copy
import ctypes
import io
import math
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

SECONDS_ALLOWED = 4.0
_CHARACTERS_KEPT = 2_000
_WATCHED = (torch, torch.nn.functional, torch.Tensor, math, builtins)


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


class TooSlow(BaseException):
    """Raised inside a function that has used up its time; no `except Exception` stops it."""


class _BoundedText(io.StringIO):
    """A standard output that keeps the beginning and forgets the rest."""

    def write(self, text: str) -> int:
        room = _CHARACTERS_KEPT - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


def run(function: Callable[..., Any], arguments: Call) -> Run:
    """Call `function` on copies of the arguments and say what happened; never raises."""
    before = copy.deepcopy(arguments)
    given = copy.deepcopy(arguments)
    printed = _BoundedText()
    result, error = None, None
    state = _GlobalState()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            with time_limit(SECONDS_ALLOWED):
                result = function(*given.args, **given.kwargs)
        except BaseException as raised:
            error = raised
    side_effect = state.restore()
    if side_effect is None and not _same_arguments(before, given):
        side_effect = "changed its input in place"
    return Run(result, error, side_effect, printed.getvalue())


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` inside the block once it has run for too long."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    limit = _alarm if hasattr(signal, "setitimer") and in_main_thread else _watchdog
    with limit(seconds):
        yield


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    previous = signal.signal(signal.SIGALRM, stop)
    # The alarm repeats, so that a bare `except:` in a loop does not swallow the only one.
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.25)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def _watchdog(seconds: float) -> Iterator[None]:
    """Do as `_alarm` without signals: another thread plants the exception in this one."""
    thread = threading.get_ident()
    finished = threading.Event()

    def plant() -> None:
        wait = seconds
        while not finished.wait(wait):
            plant_in(ctypes.c_ulong(thread), ctypes.py_object(TooSlow))
            wait = 0.25

    plant_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    threading.Thread(target=plant, daemon=True).start()
    try:
        yield
    finally:
        finished.set()


class _GlobalState:
    """The global state that a function could change, taken now and put back later."""

    def __init__(self) -> None:
        self._torch_random = torch.get_rng_state()
        self._python_random = random.getstate()
        self._numpy_random = np.random.get_state(legacy=False)
        self._dtype = torch.get_default_dtype()
        self._device = torch.get_default_device()
        self._grad = torch.is_grad_enabled()
        self._warnings = list(warnings.filters)
        self._names = [(place, dict(vars(place))) for place in _WATCHED]

    def restore(self) -> str | None:
        """Put everything back; name the first thing that had changed."""
        # Settings first: they renew some names of their own.
        found = [self._restore_settings(), self._restore_names(), self._restore_random()]
        warnings.filters = self._warnings  # a list in fact, whatever its stub says
        return next((what for what in found if what), None)

    def _restore_names(self) -> str | None:
        changed = None
        for place, names in self._names:
            now = vars(place)
            for name, value in names.items():
                # Private names belong to the libraries themselves, which fill some of them late.
                if not name.startswith("_") and now.get(name) is not value:
                    setattr(place, name, value)
                    changed = f"replaced {place.__name__}.{name}"
        return changed

    def _restore_settings(self) -> str | None:
        changed = None
        if torch.get_default_dtype() != self._dtype:
            torch.set_default_dtype(self._dtype)
            changed = "changed torch's default dtype"
        if torch.get_default_device() != self._device:
            torch.set_default_device(self._device)
            changed = "changed torch's default device"
        if torch.is_grad_enabled() != self._grad:
            torch.set_grad_enabled(self._grad)
            changed = "switched torch's gradient mode"
        return changed

    def _restore_random(self) -> str | None:
        same = torch.equal(torch.get_rng_state(), self._torch_random) and _same_state(
            np.random.get_state(legacy=False), self._numpy_random
        )
        torch.set_rng_state(self._torch_random)
        np.random.set_state(self._numpy_random)
        # Python's own is put back without a word: libraries draw from it for their own ends.
        random.setstate(self._python_random)
        return None if same else "changed the global random state"


def _same_state(a: dict, b: dict) -> bool:
    inner, other = a["state"], b["state"]
    return inner["pos"] == other["pos"] and bool((inner["key"] == other["key"]).all())


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
