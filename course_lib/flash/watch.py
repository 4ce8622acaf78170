"""A watch over allocations: it proves that nothing as large as the table of scores was made.

This mode intercepts every PyTorch operation, also in the backward pass. It records the largest
tensor that is returned, and the most numbers that are held at the same time. With a limit it stops
the operation that reaches it. Fused attention is stopped as well: it makes no table either, but
the point is to show a method that does without.

A table cut into tiles that are all kept is still a table, and so is one outside PyTorch. With
`live` the numbers of all living tensors are limited, and so is the memory of NumPy arrays and
lists, as traced by Python.

    with Watch(limit=T * S):
        tiled_attention(q, k, v)

Taught in:        flash_attention
Checked against:  plain attention, which is caught
Shapes:           any
"""

import tracemalloc
import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class TableError(ValueError):
    """An operation made a tensor as large as the table of scores, or was a fused function."""


class OutsideTorchError(TableError):
    """A table was made outside PyTorch: in NumPy, or in lists."""


_BYTES = 4  # per number, at least, in a table outside PyTorch
_PYTHONS_OWN = 1 << 16  # bytes: what calls and small objects take in any case

_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "mv", "addmv")


class Watch(TorchDispatchMode):
    """Records the largest tensor that is made while it is on, and stops one that is too large.

    A tensor's size is the memory that it occupies: a view that repeats one element is small. With
    `tile` it also stops matrix products of more elements than that: a row of scores is not a
    table, but it is not a tile either. With `live` it also stops code that holds more numbers at
    the same time, in any number of tensors, or that takes as many bytes outside PyTorch as `limit`
    numbers do.
    """

    def __init__(
        self, limit: int | None = None, tile: int | None = None, live: int | None = None
    ) -> None:
        super().__init__()
        self.limit, self.tile, self.live = limit, tile, live
        self.largest = 0  # elements
        self.most = 0  # elements held at the same time
        self._now = 0
        self._held: dict[int, list[int]] = {}  # by place in memory: elements, tensors that see them
        self._seen: dict[int, weakref.ref] = {}  # by their own ids
        self._before = 0  # bytes outside of PyTorch
        self._tracing = False
        self.shape: tuple[int, ...] = ()
        self.operation = ""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to load its compiler for this mode, which would take seconds."""
        return False

    def __enter__(self) -> "Watch":
        """Start; with `live`, also trace what Python and NumPy allocate."""
        if self.live is not None:
            self._tracing = tracemalloc.is_tracing()
            if not self._tracing:
                tracemalloc.start()
            tracemalloc.reset_peak()
            self._before = tracemalloc.get_traced_memory()[0]
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Stop, and raise an error for a table outside PyTorch."""
        super().__exit__(kind, error, trace)
        if self.live is None:
            return
        outside = tracemalloc.get_traced_memory()[1] - self._before
        if not self._tracing:
            tracemalloc.stop()
        if kind is None and self.limit and outside >= _BYTES * self.limit + _PYTHONS_OWN:
            raise OutsideTorchError(
                f"{outside} bytes were allocated outside PyTorch at the same time, in NumPy "
                f"arrays or lists; the table of scores has {self.limit} numbers. Work on one tile "
                "at a time there too, and keep only the running state."
            )

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and check what it returns."""
        name = function.overloadpacket.__name__
        if (self.limit or self.tile) is not None and "attention" in name:
            raise TableError(
                f"{name} was called, which computes all of attention at once. Write the loop over "
                "the tiles yourself, with matrix products, exp, sums and maxima."
            )
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor):
                given = _given(made, args)
                if not given:
                    self._look(name, made)
                self._hold(name, made, given)
        return result

    def _look(self, name: str, made: Tensor) -> None:
        elements = made.untyped_storage().nbytes() // made.element_size()
        if elements > self.largest:
            self.largest, self.shape, self.operation = elements, tuple(made.shape), name
        if self.limit is not None and elements >= self.limit:
            raise TableError(
                f"{name} made a tensor of shape {tuple(made.shape)}, {elements} numbers; fewer "
                f"than {self.limit} are allowed, the size of the table of scores. Work on one tile "
                "at a time, and keep only the running state."
            )
        if self.tile is not None and name in _PRODUCTS and made.numel() > self.tile:
            raise TableError(
                f"{name} made a product of shape {tuple(made.shape)}, {made.numel()} numbers; a "
                f"tile has at most {self.tile}. Cut the keys into blocks too, and carry the "
                "running state from one to the next."
            )

    def _hold(self, name: str, made: Tensor, given: bool) -> None:
        """Count a tensor, and every view of it, for as long as any of them is alive."""
        place = made.untyped_storage().data_ptr()
        if place not in self._held:
            if given or place == 0:
                return  # it existed before
            self._held[place] = [made.untyped_storage().nbytes() // made.element_size(), 0]
            self._now += self._held[place][0]
        self._held[place][1] += 1
        seen = weakref.ref(made, lambda gone: self._release(gone, place))
        self._seen[id(seen)] = seen
        self.most = max(self.most, self._now)
        if self.live is not None and self._now > self.live:
            raise TableError(
                f"with the result of {name}, {self._now} numbers are held at the same time, in "
                f"{len(self._held)} tensors; {self.live} are enough. Tiles that are all kept are a "
                "table in pieces: discard each one after updating the running state."
            )

    def _release(self, gone: weakref.ref, place: int) -> None:
        del self._seen[id(gone)]
        self._held[place][1] -= 1
        if self._held[place][1] == 0:
            self._now -= self._held.pop(place)[0]


def _given(made: Tensor, args: tuple) -> bool:
    """Say whether a result is one of the operands, or a view of one."""
    place = made.untyped_storage().data_ptr()
    return any(isinstance(x, Tensor) and x.untyped_storage().data_ptr() == place for x in args)
