"""A watch for the product of LoRA's two factors, which is as large as the weight."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib.study.check.spec import Call

_PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")


class ProductError(ValueError):
    """A matrix product has the shape of the weight."""


class NoProduct(TorchDispatchMode):
    """While it is on, a matrix product of this shape, or of its transpose, fails."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.shapes = ((outputs, inputs), (inputs, outputs))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to load its compiler for this mode, which would take seconds."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and check the shape of its result."""
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in _PRODUCTS and isinstance(result, Tensor) and result.shape[-2:] in self.shapes:
            raise ProductError(
                f"{name} made a product of shape {tuple(result.shape)}, which is as large as the "
                "weight. Multiply x by one factor, and the result by the other: (x @ a.T) @ b.T."
            )
        return result


def no_product(given: Call) -> AbstractContextManager[Any]:
    """Watch a call of `lora_forward`, unless its rows make a product of the same shape."""
    x, weight = given.args[:2]
    rows = {*x.shape[:-1], x.numel() // x.shape[-1]}
    return nullcontext() if rows & {*weight.shape} else NoProduct(*weight.shape)
