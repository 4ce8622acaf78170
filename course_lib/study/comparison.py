"""Compare what a function returned with what was expected, and say how they differ."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Relative and absolute differences that count as rounding: several times what one operation loses.
_ROUNDING = {
    torch.float64: (1e-7, 1e-9),
    torch.float32: (1e-4, 1e-6),
    torch.float16: (5e-3, 1e-4),
    torch.bfloat16: (3e-2, 1e-3),
}


@dataclass(frozen=True)
class Difference:
    """The first way in which a result differs: a sentence, and the two parts that it is about."""

    sentence: str
    expected: Any
    got: Any


@dataclass(frozen=True)
class Rules:
    """What counts as equal beyond rounding."""

    same_dtype: bool = False
    tolerance: float = 1.0  # multiplies what counts as rounding


def difference(
    expected: Any, got: Any, rules: Rules = Rules(), where: str = ""
) -> Difference | None:
    """Return how `got` differs from `expected`, or None where it is equal up to rounding."""
    got = torch.from_numpy(got) if isinstance(got, np.ndarray) else got
    if isinstance(expected, torch.Tensor):
        return _tensor_difference(expected, got, rules, where)
    if isinstance(expected, bool) or expected is None or isinstance(expected, str | bytes):
        return _exact_difference(expected, got, where)
    if isinstance(expected, int | float):
        return _number_difference(expected, got, rules, where)
    if isinstance(expected, Mapping):
        return _mapping_difference(expected, got, rules, where)
    if isinstance(expected, list | tuple):
        return _sequence_difference(expected, got, rules, where)
    return _exact_difference(expected, got, where)


def kind(value: Any) -> str:
    """Return what a value is, in words for a sentence."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _wrong_kind(expected: Any, got: Any, where: str) -> Difference:
    forgotten = " Is a `return` missing?" if got is None else ""
    sentence = f"expected {kind(expected)}{where}, got {kind(got)}.{forgotten}"
    return Difference(sentence, expected, got)


def _exact_difference(expected: Any, got: Any, where: str) -> Difference | None:
    if isinstance(expected, bool) and isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if type(expected) is not type(got) and not isinstance(got, type(expected)):
        return _wrong_kind(expected, got, where)
    if expected == got:
        return None
    return Difference(f"expected {expected!r}{where}, got {got!r}.", expected, got)


def _number_difference(expected: Any, got: Any, rules: Rules, where: str) -> Difference | None:
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if not isinstance(got, int | float) or isinstance(got, bool):
        return _wrong_kind(expected, got, where)
    if isinstance(expected, int):
        close = expected == got
    else:
        rtol, atol = (rules.tolerance * limit for limit in _ROUNDING[torch.float32])
        both_nan = expected != expected and got != got
        close = math.isclose(expected, got, rel_tol=rtol, abs_tol=atol) or both_nan
    if close:
        return None
    return Difference(f"expected {expected:.6g}{where}, got {got:.6g}.", expected, got)


def _mapping_difference(expected: Mapping, got: Any, rules: Rules, where: str) -> Difference | None:
    if not isinstance(got, Mapping):
        return _wrong_kind(expected, got, where)
    for key, value in expected.items():
        if key not in got:
            return Difference(f"the entry {key!r} is missing{where}.", expected, got)
        found = difference(value, got[key], rules, f" for {key!r}{where}")
        if found:
            return found
    extra = [key for key in got if key not in expected]
    if extra:
        return Difference(f"the entry {extra[0]!r} should not be there{where}.", expected, got)
    return None


def _sequence_difference(
    expected: list | tuple, got: Any, rules: Rules, where: str
) -> Difference | None:
    if not isinstance(got, list | tuple):
        return _wrong_kind(expected, got, where)
    if len(expected) != len(got):
        sentence = f"expected {len(expected)} items{where}, got {len(got)}."
        return Difference(sentence, expected, got)
    for index, (a, b) in enumerate(zip(expected, got, strict=True)):
        found = difference(a, b, rules, f" in item {index}{where}")
        if found:
            # A list of plain values reads best whole; a tuple of tensors part by part.
            whole = not any(isinstance(item, torch.Tensor) for item in expected)
            return Difference(found.sentence, expected, got) if whole else found
    return None


def _tensor_difference(
    expected: torch.Tensor, got: Any, rules: Rules, where: str
) -> Difference | None:
    if isinstance(got, int | float) and not isinstance(got, bool) and expected.dim() == 0:
        got = torch.tensor(got, dtype=expected.dtype)
    if not isinstance(got, torch.Tensor):
        return _wrong_kind(expected, got, where)
    if got.layout != torch.strided or got.is_meta:
        sentence = (
            f"expected an ordinary tensor{where}, got one that is {got.layout}, {got.device}."
        )
        return Difference(sentence, expected, None)
    got = got.detach().to(expected.device)
    expected = expected.detach()
    if expected.shape != got.shape:
        sentence = f"expected shape {tuple(expected.shape)}{where}, got {tuple(got.shape)}."
        return Difference(sentence, expected, got)
    if rules.same_dtype and expected.dtype != got.dtype:
        sentence = f"expected dtype {expected.dtype}{where}, got {got.dtype}."
        return Difference(sentence, expected, got)
    return _value_difference(expected, got, rules, where)


def _value_difference(
    expected: torch.Tensor, got: torch.Tensor, rules: Rules, where: str
) -> Difference | None:
    rtol, atol = (rules.tolerance * limit for limit in _coarser_rounding(expected, got))
    a, b = (_comparable(tensor) for tensor in (expected, got))
    wrong = ~torch.isclose(b, a, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return None
    for unwanted, name in (
        (b.isnan() & ~a.isnan(), "nan (not a number)"),
        (_lost(a, b), "infinite"),
    ):
        if unwanted.any():
            sentence = f"{int(unwanted.sum())} of {b.numel()} numbers{where} are {name}."
            return Difference(sentence, expected, got)
    gap = (a - b).abs().nan_to_num(nan=torch.inf).masked_fill(~wrong, 0.0)
    worst = tuple(int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))
    at = f" at position {worst}" if worst else ""
    sentence = (
        f"{int(wrong.sum())} of {b.numel()} numbers{where} differ, most of all{at}: "
        f"expected {a[worst].item():.6g}, got {b[worst].item():.6g} "
        f"(difference {gap[worst].item():.3g})."
    )
    return Difference(sentence, expected, got)


def _lost(expected: torch.Tensor, got: torch.Tensor) -> torch.Tensor:
    return got.isinf() & expected.isfinite()


def _comparable(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor).double() if tensor.is_complex() else tensor.double()


def _coarser_rounding(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    exact = (0.0, 0.0)
    return max(_ROUNDING.get(a.dtype, exact), _ROUNDING.get(b.dtype, exact))
