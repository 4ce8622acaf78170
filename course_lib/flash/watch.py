"""A watch over allocations: proof that nothing as large as the table of scores was ever made.

Memory that code *could* have saved is easily claimed. This mode stands between PyTorch and its
kernels, sees every tensor that any operation returns, also in the backward pass, and remembers the
largest, and the most numbers that were held at the same time; with a limit it stops the operation
that reaches it. Fused attention is stopped as well: it makes no table either, but it is not what
one wants to see proven.

A table cut into tiles that are all kept is a table too, and so is one outside of PyTorch. With
`live` the numbers of all tensors alive are limited, and Python tells at the end how much memory
NumPy arrays and lists took.

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
    """Somebody made a tensor as large as the table of scores, or had a fused function do it."""


class OutsideTorchError(TableError):
    """Somebody made a table where PyTorch does not see it: in NumPy, or in lists."""


_BYTES = 4  # of one number, at least, in a table outside of PyTorch
_PYTHONS_OWN = 1 << 16  # bytes: what calls and small objects take anyway

_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "mv", "addmv")


class Watch(TorchDispatchMode):
    """Remembers the largest tensor that is made while it is on, and stops one that is too large.

    A tensor counts with what it occupies: a view of `limit` elements that repeats one is small.
    With `tile` it also stops matrix products of more elements than that: a row of scores is no
    table, but it is no tile either. With `live` it also stops who holds more numbers at the same
    time, in any number of tensors made while it is on, or as many bytes outside of PyTorch as
    `limit` numbers take.
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
        """Say no to torch's guard against torch.compile, which would load all of that: seconds."""
        return False

    def __enter__(self) -> "Watch":
        """Begin; with `live`, also to trace what Python and NumPy allocate."""
        if self.live is not None:
            self._tracing = tracemalloc.is_tracing()
            if not self._tracing:
                tracemalloc.start()
            tracemalloc.reset_peak()
            self._before = tracemalloc.get_traced_memory()[0]
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """End, and complain of a table that PyTorch did not see."""
        super().__exit__(kind, error, trace)
        if self.live is None:
            return
        outside = tracemalloc.get_traced_memory()[1] - self._before
        if not self._tracing:
            tracemalloc.stop()
        if kind is None and self.limit and outside >= _BYTES * self.limit + _PYTHONS_OWN:
            raise OutsideTorchError(
                f"{outside} bytes were taken outside of PyTorch at the same time, in NumPy arrays "
                f"or lists; the table of scores has {self.limit} numbers. Work on one tile at a "
                "time there too, and keep only the running maximum, sum and mixture."
            )

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and look at what it returns."""
        name = function.overloadpacket.__name__
        if (self.limit or self.tile) is not None and "attention" in name:
            raise TableError(
                f"{name} was called, which computes all of attention at once. Here the point is to "
                "write the walk over the tiles: use matrix products, exp, sums and maxima."
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
                f"than {self.limit} were wanted, the size of the table of scores. Work on one tile "
                "at a time, and keep only the running maximum, sum and mixture."
            )
        if self.tile is not None and name in _PRODUCTS and made.numel() > self.tile:
            raise TableError(
                f"{name} made a product of shape {tuple(made.shape)}, {made.numel()} numbers; a "
                f"tile has at most {self.tile}. Cut the keys into blocks too, and carry the "
                "running maximum, sum and mixture from one to the next."
            )

    def _hold(self, name: str, made: Tensor, given: bool) -> None:
        """Count a tensor, and every view of it, for as long as any of them is alive."""
        place = made.untyped_storage().data_ptr()
        if place not in self._held:
            if given or place == 0:
                return  # it was there before
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
                "table in pieces: forget each one when the running state has taken it in."
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
