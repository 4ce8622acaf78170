"""Compare what a function returned with what was expected, and say how they differ."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from course_lib.study.check.spec import Rules
from course_lib.study.display.short_repr import shown

# Relative and absolute differences that count as rounding: several times what one operation loses.
_ROUNDING = {
    torch.float64: (1e-6, 1e-9),
    torch.float32: (1e-4, 1e-6),
    torch.float16: (5e-3, 1e-4),
    torch.bfloat16: (3e-2, 1e-3),
    torch.complex64: (1e-4, 1e-6),
    torch.complex128: (1e-6, 1e-9),
}
_HALF = (torch.float16, torch.bfloat16)
_EXACT = 2**53  # not every integer beyond it is a float
_LARGEST = torch.finfo(torch.float64).max  # an integer beyond it cannot become a float
_FEW = 12  # numbers
_WRITTEN_OUT = 60  # characters; of a longer text only the neighbourhood of the difference is quoted


@dataclass(frozen=True)
class Difference:
    """The first way in which a result differs: a sentence, and the two parts that it is about."""

    sentence: str
    expected: Any
    got: Any


ROUNDING_ONLY = Rules()


def difference(
    expected: Any, got: Any, rules: Rules = ROUNDING_ONLY, where: str = ""
) -> Difference | None:
    """Return how `got` differs from `expected`, or None where it is equal up to rounding."""
    got = got.item() if isinstance(got, np.generic) else got
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
    """Return what kind of thing a value is, as words for a sentence."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if inspect.isroutine(value):
        return "a function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _wrong_kind(expected: Any, got: Any, where: str) -> Difference:
    sentence = f"expected {kind(expected)}{where}, got {kind(got)}.{_likely_slip(expected, got)}"
    return Difference(sentence, expected, got)


def _likely_slip(expected: Any, got: Any) -> str:
    if isinstance(expected, tuple) and isinstance(got, torch.Tensor):
        return " Return the parts side by side: `return a, b`."
    if got is None:
        return " Is a `return` missing?"
    if inspect.isroutine(got):
        return " Are the parentheses of a call missing?"
    if inspect.isgenerator(got):
        return " `yield` makes a generator; `return` gives the result."
    return " Write `def`, not `async def`." if inspect.iscoroutine(got) else ""


def _single(got: Any) -> Any:
    """Return the one number in a tensor or an array of one; anything else as it is."""
    return got.item() if isinstance(got, torch.Tensor | np.ndarray) and _size(got) == 1 else got


def _size(numbers: torch.Tensor | np.ndarray) -> int:
    return math.prod(numbers.shape)


def _exact_difference(expected: Any, got: Any, where: str) -> Difference | None:
    got = _single(got) if isinstance(expected, bool) else got
    if type(expected) is not type(got) and not isinstance(got, type(expected)):
        return _wrong_kind(expected, got, where)
    if expected == got:
        return None
    if isinstance(expected, str | bytes) and max(len(expected), len(got)) > _WRITTEN_OUT:
        return _text_difference(expected, got, where)
    return Difference(f"expected {shown(expected)}{where}, got {shown(got)}.", expected, got)


def _text_difference(expected: str | bytes, got: str | bytes, where: str) -> Difference:
    pairs = enumerate(zip(expected, got, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(got)))
    here = slice(max(0, first - 10), first + 20)
    sentence = (
        f"the first difference{where} is at position {first}: expected …{shown(expected[here])}…, "
        f"got …{shown(got[here])}…."
    )
    return Difference(sentence, expected, got)


def _number_difference(expected: Any, got: Any, rules: Rules, where: str) -> Difference | None:
    got = _single(got)
    if not isinstance(got, int | float) or isinstance(got, bool):
        return _wrong_kind(expected, got, where)
    if isinstance(expected, int) and isinstance(got, float) and _EXACT < abs(expected) <= _LARGEST:
        close = math.isclose(expected, got, rel_tol=1e-12)  # no float is nearer than that
    elif isinstance(expected, int) or abs(got) > _LARGEST:
        close = expected == got
    else:
        rtol, atol = (rules.tolerance * limit for limit in _ROUNDING[torch.float32])
        both_nan = expected != expected and got != got
        close = math.isclose(expected, got, rel_tol=rtol, abs_tol=atol) or both_nan
    if close:
        return None
    return Difference(f"expected {shown(expected)}{where}, got {shown(got)}.", expected, got)


def _mapping_difference(expected: Mapping, got: Any, rules: Rules, where: str) -> Difference | None:
    if not isinstance(got, Mapping):
        return _wrong_kind(expected, got, where)
    for key, value in expected.items():
        if key not in got:
            if _nothing(value, expected):
                continue
            return Difference(f"the entry {key!r} is missing{where}.", expected, got)
        found = difference(value, got[key], rules, f" for {key!r}{where}")
        if found:
            return found
    extra = [key for key in got if key not in expected and not _nothing(got[key], expected)]
    if extra:
        return Difference(f"the entry {extra[0]!r} should not be there{where}.", expected, got)
    return None


def _nothing(value: Any, others: Mapping) -> bool:
    """Say whether an entry means the same as no entry: an amount of 0 among floats."""
    amounts = bool(others) and all(isinstance(each, float) for each in others.values())
    return amounts and _single(value) == 0


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
            # Plain values and a few numbers read best whole; larger tensors part by part.
            numbers = sum(item.numel() for item in expected if isinstance(item, torch.Tensor))
            return Difference(found.sentence, expected, got) if numbers <= _FEW else found
    return None


def _tensor_difference(
    expected: torch.Tensor, got: Any, rules: Rules, where: str
) -> Difference | None:
    if isinstance(got, int | float) and not isinstance(got, bool) and expected.dim() == 0:
        got = torch.tensor(got, dtype=expected.dtype)
    if isinstance(got, np.ndarray) and got.dtype.kind in "biufc":
        got = torch.from_numpy(np.array(got, order="C"))
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
    if rules.same_dtype and not _same_kind(expected.dtype, got.dtype):
        sentence = f"expected dtype {expected.dtype}{where}, got {got.dtype}."
        return Difference(sentence, expected, got)
    if expected.dtype == torch.bool and got.dtype != torch.bool:
        sentence = f"expected truth values (torch.bool){where}, got {got.dtype}."
        return Difference(sentence, expected, got)
    if expected.is_complex() != got.is_complex():
        real, other = ("complex", "real") if expected.is_complex() else ("real", "complex")
        return Difference(f"expected {real} numbers{where}, got {other} ones.", expected, got)
    return _value_difference(expected, got, rules, where)


def _same_kind(expected: torch.dtype, got: torch.dtype) -> bool:
    """Say whether two dtypes are the same; of whole numbers every width is as good."""
    whole = all(each not in _ROUNDING and each != torch.bool for each in (expected, got))
    return expected == got or whole


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
    gap = (a - b).abs().nan_to_num(nan=torch.inf, posinf=torch.inf).masked_fill(~wrong, 0.0)
    worst = tuple(int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))
    at = f" at position {worst}" if worst else ""
    sentence = (
        f"{int(wrong.sum())} of {b.numel()} numbers{where} differ, most of all{at}: "
        f"expected {_digits(a, worst, expected)}, got {_digits(b, worst, got)}"
    )
    apart = gap[worst].item()
    sentence += f" (difference {apart:.3g})." if math.isfinite(apart) else "."
    if got.dtype in _HALF and expected.dtype not in _HALF:
        sentence += f" Yours is {got.dtype}, which keeps fewer digits."
    return Difference(sentence, expected, got)


def _digits(values: torch.Tensor, place: tuple[int, ...], original: torch.Tensor) -> str:
    number = values[place].item()
    if original.dtype == torch.bool:
        return str(bool(number))
    return (
        f"{number:.6g}"
        if original.is_floating_point() or original.is_complex()
        else f"{number:.0f}"
    )


def _lost(expected: torch.Tensor, got: torch.Tensor) -> torch.Tensor:
    return got.isinf() & expected.isfinite()


def _comparable(tensor: torch.Tensor) -> torch.Tensor:
    return (
        torch.view_as_real(tensor.resolve_conj()).double()
        if tensor.is_complex()
        else tensor.double()
    )


def _coarser_rounding(expected: torch.Tensor, got: torch.Tensor) -> tuple[float, float]:
    """Return what counts as rounding: that of the inputs' dtype, or of float32 where one used it.

    An answer in half precision has lost digits where the inputs had float32.
    """
    exact = (0.0, 0.0)
    if expected.dtype not in _ROUNDING:  # integers and truth values do not round
        return exact
    allowed = _ROUNDING[expected.dtype]
    if got.dtype in (torch.float32, torch.complex64):
        allowed = max(allowed, _ROUNDING[torch.float32])
    return allowed
