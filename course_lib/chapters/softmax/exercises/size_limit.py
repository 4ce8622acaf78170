"""A limit on the size of tensors: it stops the operation that makes one as large as a table."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class TooLargeError(ValueError):
    """An operation made a tensor that is as large as the table that must not exist."""


class SizeLimit(TorchDispatchMode):
    """While it is on, an operation that makes `limit` numbers or more in one tensor fails."""

    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self.limit = limit

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to load its compiler for this mode, which would take seconds."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and check the size of its results."""
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor) and self.limit is not None and made.numel() >= self.limit:
                name = function.overloadpacket.__name__
                raise TooLargeError(
                    f"{name} made a tensor of shape {tuple(made.shape)}; fewer than {self.limit} "
                    "numbers are allowed, the size of all logits. Work on one chunk at a time."
                )
        return result
