"""The global state that a learner's function could change: saved before, restored afterwards.

Only what would silently spoil later cells. Drawing random numbers is no fault, so the
random states are restored without a remark; a changed setting of torch is named. What a function
has to name in order to change it (a patched torch, the working folder) is left to the learner.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

_SETTINGS: tuple[tuple[str, Callable[[], Any], Callable[[Any], Any]], ...] = (
    ("changed torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    ("changed torch's default device", torch.get_default_device, torch.set_default_device),
    ("switched torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    ("changed torch's number of threads", torch.get_num_threads, torch.set_num_threads),
)


class GlobalState:
    """Settings and random states as they were when this was made."""

    def __init__(self) -> None:
        self._settings = [read() for _, read, _ in _SETTINGS]
        self._torch_random = torch.get_rng_state()
        self._numpy_random = np.random.get_state(legacy=False)
        self._python_random = random.getstate()

    def restore(self) -> str | None:
        """Restore everything; name the first setting that had changed."""
        changed = []
        for (what, read, write), before in zip(_SETTINGS, self._settings, strict=True):
            if read() != before:
                write(before)
                changed.append(what)
        torch.set_rng_state(self._torch_random)
        np.random.set_state(self._numpy_random)
        random.setstate(self._python_random)
        return changed[0] if changed else None
