"""Mutants made around a right answer: what it is given or what it returns is changed.

They stand for whole families of mistakes: an argument that is ignored, a value that fits the
example alone, a gradient that is cut, digits that are lost, a result of another type.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from course_lib.study.check.mutants import Mutant
from course_lib.study.check.spec import Exercise

Change = Callable[[Any], Any]


def wrapped_mutants(exercise: Exercise) -> Iterator[Mutant]:
    """Yield the mutants around an exercise's solution."""
    signature = inspect.signature(inspect.unwrap(exercise.solution))
    first = exercise.probes[0].inputs()
    values = signature.bind(*first.args, **first.kwargs).arguments
    for name, value in values.items():
        yield _given(
            exercise, f"a fixed value in place of `{name}`", name, lambda _, fixed=value: fixed
        )
    for name, parameter in signature.parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            default = parameter.default
            yield _given(exercise, f"`{name}` ignored", name, lambda _, fixed=default: fixed)
    for name, value in values.items():
        if _has_floats(value):
            yield _given(exercise, f"`{name}` in half precision", name, _in_half_precision)
            if any(probe.gradient for probe in exercise.probes):
                yield _given(exercise, f"`{name}` detached", name, _detached)
    yield _returned(exercise, "a result of a different type", _other_type, tells=False)
    if any(probe.gradient for probe in exercise.probes):
        yield _returned(exercise, "the result detached", _detached)


def _given(exercise: Exercise, change: str, name: str, changed: Change) -> Mutant:
    function = exercise.solution
    signature = inspect.signature(inspect.unwrap(function))

    def mutant(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if name in bound.arguments:
            bound.arguments[name] = changed(bound.arguments[name])
        return function(*bound.args, **bound.kwargs)

    return Mutant(change, mutant)


def _returned(exercise: Exercise, what: str, changed: Change, tells: bool = True) -> Mutant:
    function = exercise.solution
    return Mutant(what, lambda *args, **kwargs: changed(function(*args, **kwargs)), tells=tells)


def _has_floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_floats, value))
    return isinstance(value, Tensor) and value.is_floating_point()


def _on_floats(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors of floats in a value, wherever they stand in lists and tuples."""
    if isinstance(value, Tensor):
        return change(value) if value.is_floating_point() else value
    if isinstance(value, list | tuple):
        parts = [_on_floats(each, change) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _detached(value: Any) -> Any:
    return _on_floats(value, Tensor.detach)


def _in_half_precision(value: Any) -> Any:
    return _on_floats(value, lambda x: x.to(torch.bfloat16).to(x.dtype))


def _other_type(result: Any) -> Any:
    """Return the same as something that is not what was asked for."""
    if isinstance(result, Tensor):
        return result.tolist() if result.dim() else str(result.item())
    if isinstance(result, bytes | bytearray):
        return list(result)
    return result.encode() if isinstance(result, str) else str(result)
