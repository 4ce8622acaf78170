"""Values as a learner should see them: short, rounded, and the same on every machine."""

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
    if isinstance(value, torch.Tensor):
        return _tensor(value.detach())
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list) and any(isinstance(each, torch.Tensor) for each in value):
        return "\n".join(shown(each) for each in value)
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


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
    return f"{value:.4g}" if isinstance(value, float) else str(value)
