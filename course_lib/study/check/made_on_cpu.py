"""Whether an answer works wherever its inputs are, tried without a GPU.

`torch.arange(n)` is made on the CPU, and cannot be added to an input that is on a GPU. So an answer
that is right runs once more on torch's `meta` device, where tensors have a shape and a dtype but no
numbers. As on a GPU, they do not mix with tensors on the CPU.

An exercise takes part with the probes on which its own solution works there. Some answers read
their inputs' numbers, by `.item()` or in NumPy. They cannot run there, which says nothing about
them: only a clash of two devices, or a result on the CPU, is a fault. Tensors of one number are
none, since torch lets them meet tensors on any device.
"""

import copy
import importlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from course_lib.study.check.feedback import Trouble, learner_trace
from course_lib.study.check.sandbox import Run, run
from course_lib.study.check.spec import Call, Exercise, Misconception

MADE_ON_CPU = "a tensor made on the CPU"
_REMEDY = (
    "An answer works wherever its inputs are, so that it also runs on a GPU. Make each new tensor "
    "where `x`, one of the inputs, is: `torch.arange(n, device=x.device)`, `torch.zeros_like(x)`, "
    "`x.new_zeros(n)`."
)
SECONDS_ALLOWED = 0.5
"""For a probe. A loop over a thousand numbers takes longer there; the small probes tell enough."""
_CLASH = re.compile(r"not on the expected device|found at least two devices")


def cpu_trouble(found: Exercise, function: Callable[..., Any]) -> Trouble | None:
    """Return what is wrong with a right answer once its inputs are elsewhere, or None."""
    for given in _inputs_elsewhere(found):
        shows = _where_it_shows(run_elsewhere(function, given, SECONDS_ALLOWED), function)
        if shows is not None:
            sentence = f"Your results are right for inputs on the CPU. On another device {shows}."
            mistake = Misconception(MADE_ON_CPU, function, _REMEDY)
            return Trouble(sentence, mistake=mistake)
    return None


def _where_it_shows(outcome: Run, function: Callable[..., Any]) -> str | None:
    if outcome.error is not None:
        if not _CLASH.search(str(outcome.error)):
            return None
        line = learner_trace(outcome.error, function).strip().splitlines()[-1:]
        place = f" in {line[0]}" if line else ""
        return f"an input and a tensor on the CPU meet{place}"
    stays = any(each.device.type == "cpu" and each.dim() for each in tensors_of(outcome.result))
    return "your result is on the CPU all the same" if stays else None


@lru_cache(maxsize=16)
def _inputs_elsewhere(found: Exercise) -> tuple[Call, ...]:
    """Return the probes' inputs on which the exercise's own solution works on another device."""
    calls = [given for probe in found.probes if (given := moved(probe.inputs()))]
    if calls:  # what torch loads at the first such call takes longer than a probe may
        importlib.import_module("torch._dynamo")
    return tuple(each for each in calls if works_elsewhere(found.solution, each, SECONDS_ALLOWED))


def works_elsewhere(
    function: Callable[..., Any], given: Call, seconds: float | None = None
) -> bool:
    """Say whether a function runs on inputs that were moved, with a result where they are."""
    outcome = run_elsewhere(function, given, seconds)
    return outcome.error is None and all(each.is_meta for each in tensors_of(outcome.result))


def run_elsewhere(function: Callable[..., Any], given: Call, seconds: float | None = None) -> Run:
    """Run a function on inputs that were moved; tensors that it makes on the CPU stay there."""
    return run(function, given, _WritesWithoutNumbers(), seconds)


def moved(given: Call) -> Call | None:
    """Return a copy of the inputs with all tensors in them on another device; None without any."""
    moving = _MovesCopies()
    with moving:
        copied = copy.deepcopy(given)
    return copied if moving.count else None


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a result, wherever they stand in lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_of(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_of(each)


class _MovesCopies(TorchFunctionMode):
    """Puts every copy of a tensor on the meta device, whatever object holds the tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                self.count += 1
                copied = tensor.detach().to("meta").requires_grad_(tensor.requires_grad)
                memo[id(tensor)] = copied
            return memo[id(tensor)]
        result = function(*args, **(kwargs or {}))
        if function is Tensor.clone:  # how a parameter copies itself
            self.count += 1
            return result.to("meta")
        return result


class _WritesWithoutNumbers(TorchFunctionMode):
    """Lets tensors on the CPU take values from a device without numbers, as they do from a GPU."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (Tensor.__setitem__, Tensor.copy_):
            target, value = args[0], args[-1]
            if target.device.type == "cpu" and isinstance(value, Tensor) and value.is_meta:
                return target
        return function(*args, **(kwargs or {}))
