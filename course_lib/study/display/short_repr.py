"""Values as a learner reads them: short, rounded, and the same on every machine."""

import re
import reprlib
from typing import Any

import torch

_WRITTEN_OUT = 40  # numbers; a larger tensor is described
_LOOKED_THROUGH = 1_000_000  # numbers; in a larger tensor not even the smallest is sought
_LONGEST = 400  # characters


def rounded(numbers: torch.Tensor, digits: int = 3) -> Any:
    """Return a tensor's numbers as (nested lists of) plain ones, rounded to print well."""
    if numbers.dim() == 0:
        return round(numbers.item(), digits)
    return [rounded(each, digits) for each in numbers]


def shown(value: Any) -> str:
    """Return a value in a form short enough to be read."""
    if isinstance(value, tuple | list) and any(
        isinstance(each, torch.Tensor) for each in value[:_LONGEST]
    ):
        return _parts(value)
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


class _Short(reprlib.Repr):
    """A `repr` that is short, rounds numbers and never raises."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = _LONGEST // 3
        self.maxstring = self.maxother = _LONGEST

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, torch.Tensor):
            return _tensor(x.detach())
        if isinstance(x, float):
            return f"{x:.6g}"
        if isinstance(x, tuple):
            return self.repr_tuple(x, level)
        return super().repr1(x, level)

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if abs(x) < 10**_LONGEST else "an integer of hundreds of digits"

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            text = repr(x)
        except Exception:
            text = "\n"
        if "\n" in text:  # a model lists all its layers: its kind says as much
            return f"<{type(x).__name__}>"
        return re.sub(r" at 0x[0-9A-Fa-f]+", "", text)  # another one in each run


_SHORT = _Short()


def _parts(several: tuple | list) -> str:
    """Write a few tensors between the brackets that hold them, each on lines of its own if long."""
    parts = [shown(each) for each in several]
    opening, closing = ("(", ")") if isinstance(several, tuple) else ("[", "]")
    in_one_line = len("".join(parts)) <= 60 and "\n" not in "".join(parts)
    separator = ", " if in_one_line else ",\n "
    return opening + separator.join(part.replace("\n", "\n ") for part in parts) + closing


def _tensor(tensor: torch.Tensor) -> str:
    kind = f"{str(tensor.dtype).removeprefix('torch.')} tensor of shape {tuple(tensor.shape)}"
    if tensor.is_meta or tensor.layout != torch.strided:
        return kind
    if tensor.numel() <= _WRITTEN_OUT:
        return _rows(tensor, 0)
    if tensor.dtype == torch.bool or tensor.is_complex() or tensor.numel() > _LOOKED_THROUGH:
        return kind
    low, high = tensor.min().item(), tensor.max().item()
    return f"{kind}, from {low:.4g} to {high:.4g}"


def _rows(tensor: torch.Tensor, depth: int) -> str:
    """Write a small tensor as nested lists, one row a line."""
    if tensor.dim() == 0:
        return _number(tensor.item())
    if tensor.dim() == 1:
        return "[" + ", ".join(_number(each) for each in tensor.tolist()) + "]"
    separator = ",\n" + " " * (depth + 1)
    return "[" + separator.join(_rows(row, depth + 1) for row in tensor) + "]"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | complex) else str(value)
