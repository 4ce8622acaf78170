"""Keep the output of a function out of the notebook, however it is written."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class BoundedText(io.StringIO):
    """A standard output that keeps the beginning and drops the rest."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = characters

    def write(self, text: str) -> int:
        """Write as much as there is room for."""
        room = self.characters - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)

    def close(self) -> None:
        """Stay open, since what was written is read later."""


@contextlib.contextmanager
def muted(characters: int) -> Iterator[BoundedText]:
    """Collect the beginning of what is printed; output that bypasses `print` is dropped.

    A kernel also shows what reaches its file descriptors: through `os.write`, `sys.__stdout__`, or
    another program.
    """
    printed = BoundedText(characters)
    with (
        _descriptors_to_nowhere(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        yield printed


@contextlib.contextmanager
def _descriptors_to_nowhere() -> Iterator[None]:
    with contextlib.ExitStack() as afterwards:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        afterwards.callback(os.close, nowhere)
        for number, stream in ((1, sys.__stdout__), (2, sys.__stderr__)):
            with contextlib.suppress(OSError):  # a program without a terminal may have neither
                kept = os.dup(number)
                afterwards.callback(os.close, kept)
                _flush(stream)  # what stands in it was written before
                os.dup2(nowhere, number)
                afterwards.callback(os.dup2, kept, number)
                afterwards.callback(_flush, stream)
        yield


def _flush(stream: Any) -> None:
    with contextlib.suppress(AttributeError, ValueError, OSError):  # there is none, or it is closed
        stream.flush()
