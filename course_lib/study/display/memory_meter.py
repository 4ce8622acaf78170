"""Peak memory of tensors, counted as they are made and freed, on any device.

A GPU's allocator keeps such a count itself; a CPU's does not. So every result of an operation is
noted with the bytes of its storage, and forgotten when the storage is freed.

    with MemoryMeter(model.parameters()) as meter:
        model(ids).logits.sum().backward()
    print(meter.peak)

Taught in:        parameter_counting
Checked against:  tensors with known lifetimes
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryMeter(TorchDispatchMode):
    """Adds up the bytes of all live tensors, including `held`; keeps the peak."""

    def __init__(self, held: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}
        for tensor in held:
            self._note(tensor.untyped_storage())

    def __torch_dispatch__(
        self, operation: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record what it allocated."""
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage.data_ptr(), storage.nbytes()
        if key not in self._sizes and size:
            self._sizes[key] = size
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.live -= self._sizes.pop(key)
