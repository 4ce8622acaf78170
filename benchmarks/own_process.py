"""Measure in a process of its own that begins with what this one has imported.

A fork takes milliseconds, and a new Python seconds for its imports, which are not measured anyhow.
Threads do not survive a fork: fork before anything is computed by several. The search for garbage
leaves out what was there before the fork, since looking at it would copy the memory that it is in.
"""

import gc
import multiprocessing
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
FORK = multiprocessing.get_context("fork")


def forked(measure: Callable[[], Result]) -> Result:
    """Return what the function returns in a copy of this process, which ends then."""
    gc.collect()
    gc.freeze()
    receiver, sender = FORK.Pipe(duplex=False)

    def run() -> None:
        torch.set_num_threads(torch.get_num_threads())  # before two threads renew the pool at once
        sender.send(measure())

    process = FORK.Process(target=run)
    process.start()
    sender.close()  # so that the end of the process can be seen from here
    try:
        found: Result = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f"a measuring process must return something; it has ended with {process.exitcode}, "
            "see its own message above."
        ) from None
    process.join()
    return found
