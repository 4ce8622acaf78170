"""The global state that a learner's function could change: taken before, put back afterwards."""

import builtins
import contextlib
import math
import os
import random
import sys
import warnings

import numpy as np
import torch

_WATCHED = (
    *(builtins, math, torch, torch.linalg, torch.nn, torch.nn.functional, torch.nn.Module),
    torch.Tensor,
)


class GlobalState:
    """Settings, names and random states as they were when this was made."""

    def __init__(self) -> None:
        self._torch_random = torch.get_rng_state()
        self._python_random = random.getstate()
        self._numpy_random = np.random.get_state(legacy=False)
        self._dtype = torch.get_default_dtype()
        self._device = torch.get_default_device()
        self._grad = torch.is_grad_enabled()
        self._warnings = list(warnings.filters)
        self._folder = os.getcwd()
        self._environment = dict(os.environ)
        self._recursion = sys.getrecursionlimit()
        self._names = [(place, dict(vars(place))) for place in _WATCHED]

    def restore(self) -> str | None:
        """Put everything back; name the first thing that had changed."""
        # Names first, since all that follows uses them.
        renamed = self._restore_names()
        found = [self._restore_torch(), renamed, self._restore_system(), self._restore_random()]
        self._restore_names()  # torch's settings renew some names of their own
        warnings.filters = self._warnings  # a list in fact, whatever its stub says
        return next((what for what in found if what), None)

    def _restore_names(self) -> str | None:
        changed = None
        for place, names in self._names:
            now = vars(place)
            for name, value in names.items():
                if now.get(name) is not value and not _is_private(name):
                    setattr(place, name, value)
                    changed = f"replaced {place.__name__}.{name}"
        # A name that is new in a class hides the one that it inherits.
        for name in set(vars(torch.Tensor)) - set(self._names[-1][1]):
            if not _is_private(name):
                delattr(torch.Tensor, name)
                changed = f"replaced Tensor.{name}"
        return changed

    def _restore_torch(self) -> str | None:
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

    def _restore_system(self) -> str | None:
        changed = None
        if _folder() != self._folder:
            with contextlib.suppress(OSError):  # it may have been deleted meanwhile
                os.chdir(self._folder)
            changed = "changed the working directory"
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
            changed = "changed the environment variables"
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
            changed = "changed Python's recursion limit"
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


def _is_private(name: str) -> bool:
    """Say whether a name belongs to a library itself; libraries fill some of theirs late."""
    return name.startswith("_") and not name.endswith("__")


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _same_state(a: dict, b: dict) -> bool:
    inner, other = a["state"], b["state"]
    return inner["pos"] == other["pos"] and bool((inner["key"] == other["key"]).all())
