"""Stop a function that does not end.

Where signals exist, the limit applies to the function's own processor time: on a
busy machine a right answer has to wait, and must not be called endless for that. A function
that only waits is stopped too, after `PATIENCE` times as long by the clock.

`TooSlow` is raised inside the function once its time is up: by a signal, or, where there are none
(Windows, other threads), by a second thread that plants it. A function can swallow it, with a bare
`except:` inside an endless loop. So it comes again, after pauses of many lengths, until it meets
the function outside its `try`. It is never raised in the code of this file, which switches it off.

Tried and given up: one pause of any length never ends a loop around a bare `except:` that waits; a
second thread alone cannot end a wait, nor tell the function's own time from others' on a Mac.
"""

import contextlib
import ctypes
import itertools
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import no_type_check

# Seconds until the next one. The shortest arrive before a handler has jumped back into its `try`.
_PAUSES = (1e-4, 3e-6, 1e-6, 3e-6, 1e-5, 1e-6, 3e-5, 2e-6)
PATIENCE = 4


class TooSlow(BaseException):
    """Raised inside a function that has used up its time; no `except Exception` stops it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` inside the block once it has run for too long."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    limit = _alarm if hasattr(signal, "setitimer") and in_main_thread else _watchdog
    with limit(seconds) as expired:
        yield
    if expired.is_set():  # the block swallowed it, and ended all the same
        raise TooSlow


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[threading.Event]:
    pauses = itertools.cycle(_PAUSES)
    expired, is_over = threading.Event(), False
    own_end, end = time.thread_time() + seconds, time.monotonic() + PATIENCE * seconds

    @no_type_check  # a wrapper around it would be a frame that is not of this file
    def stop(_: int, frame: FrameType | None) -> None:
        if is_over:
            return
        left = min(own_end - time.thread_time(), end - time.monotonic())
        if left > 0 and not expired.is_set():
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3))
            return
        is_ours = _is_ours(frame)
        signal.setitimer(signal.ITIMER_REAL, next(pauses))  # last, so that the pause starts now
        if not is_ours:
            expired.set()
            raise TooSlow

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield expired
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def _watchdog(seconds: float) -> Iterator[threading.Event]:
    """Do as `_alarm` without signals: another thread plants the exception in this one.

    It plants when the function lets it run, so a bare `except:` around a wait can outlast it.
    """
    thread = threading.get_ident()
    expired, is_over = threading.Event(), threading.Event()

    def watch() -> None:
        pauses = itertools.chain((seconds,), itertools.cycle(_PAUSES))
        while not is_over.wait(next(pauses)):
            if not _is_ours(sys._current_frames().get(thread)):
                expired.set()
                _plant(thread, TooSlow)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield expired
    finally:
        try:
            is_over.set()
        finally:  # one that was planted just before may arrive only now
            is_over.set()
            _plant(thread, None)


def _plant(thread: int, what: type[BaseException] | None) -> None:
    """Have another thread raise an exception at its next step; None takes it back."""
    wanted = None if what is None else ctypes.py_object(what)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), wanted)


def _is_ours(frame: FrameType | None) -> bool:
    """Say whether a thread is in this file, or on its way into or out of it."""
    if frame is None or frame.f_code.co_filename == contextlib.contextmanager.__code__.co_filename:
        return True
    while frame is not None:
        if frame.f_code.co_filename == __file__:
            return True
        frame = frame.f_back
    return False
