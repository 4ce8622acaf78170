"""A watch over allocations: proof that nothing as large as the table of scores was ever made.

Memory that code *could* have saved is easily claimed. This mode stands between PyTorch and its
kernels, sees every tensor that any operation returns, also in the backward pass, and remembers the
largest; with a limit it stops the operation that reaches it. Fused attention is stopped as well:
it makes no table either, but it is not what one wants to see proven.

    with Watch(limit=T * S):
        tiled_attention(q, k, v)

Taught in:        flash_attention
Checked against:  plain attention, which is caught
Shapes:           any
"""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class TableError(ValueError):
    """Somebody made a tensor as large as the table of scores, or had a fused function do it."""


_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "mv", "addmv")


class Watch(TorchDispatchMode):
    """Remembers the largest tensor that is made while it is on, and stops one that is too large.

    A tensor counts with what it occupies: a view of `limit` elements that repeats one is small.
    With `tile` it also stops matrix products of more elements than that: a row of scores is no
    table, but it is no tile either.
    """

    def __init__(self, limit: int | None = None, tile: int | None = None) -> None:
        super().__init__()
        self.limit, self.tile = limit, tile
        self.largest = 0  # elements
        self.shape: tuple[int, ...] = ()
        self.operation = ""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no to torch's guard against torch.compile, which would load all of that: seconds."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and look at what it returns."""
        name = function.overloadpacket.__name__
        if self.limit is not None and "attention" in name:
            raise TableError(
                f"{name} was called, which computes all of attention at once. Here the point is to "
                "write the walk over the tiles: use matrix products, exp, sums and maxima."
            )
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor) and not _given(made, args):
                self._look(name, made)
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


def _given(made: Tensor, args: tuple) -> bool:
    """Say whether a result is one of the operands, or a view of one."""
    place = made.untyped_storage().data_ptr()
    return any(isinstance(x, Tensor) and x.untyped_storage().data_ptr() == place for x in args)
