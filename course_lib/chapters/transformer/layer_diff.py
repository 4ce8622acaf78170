"""Where two models start to differ: every module tested in isolation, on the reference's input.

If only outputs are compared, everything after the first fault looks wrong. Here each of our modules
also runs on the input that the module of the same name received in the reference. A module whose
output still differs, while all modules inside it agree, contains the fault.

    isolated     difference on the reference's input       the fault itself
    accumulated  difference when each model runs alone     the fault and everything before it

Taught in:        transformer
Checked against:  faults that the tests plant, one at a time
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from course_lib.chapters.transformer.answers import at_fault
from course_lib.device import seeded
from course_lib.model import DecoderLM
from course_lib.model.decoder import Rotation

ROTARY = "rotary_emb"
ROUTED = ".experts"  # its input depends on the router; the mixture around both is compared


class ModuleDifference(NamedTuple):
    """The errors of one module, relative to the largest number in the reference's output."""

    name: str
    isolated: float
    accumulated: float | None  # None where only one of the models has this module


class Divergence(NamedTuple):
    """The comparison of all modules, in the order of the model."""

    rows: tuple[ModuleDifference, ...]
    tolerance: float

    @property
    def faults(self) -> tuple[str, ...]:
        """The modules that differ in isolation although nothing inside them does."""
        rows = [(row.name, row.isolated, row.accumulated or 0.0) for row in self.rows]
        return tuple(at_fault(rows, self.tolerance))

    def __str__(self) -> str:
        faults = self.faults
        lines = [f"{'module':44} {'isolated':>8} {'accumulated':>11}"]
        for row in self.rows:
            accumulated = "" if row.accumulated is None else f"{row.accumulated:.0e}"
            here = "  <- here" if row.name in faults else ""
            lines.append(f"{row.name:44} {row.isolated:8.0e} {accumulated:>11}{here}")
        verdict = ", ".join(faults) or f"nowhere: all agree within {self.tolerance:.0e}"
        return "\n".join([*lines, f"the fault is in: {verdict}"])


@torch.no_grad()
def find_divergence(
    ours: DecoderLM, reference: nn.Module, ids: Int[Tensor, "B T"], tolerance: float = 1e-5
) -> Divergence:
    """Run both models on the same ids and compare every module that has the same name in both.

    `reference` is a model from transformers, or any other model with the same module names.
    """
    theirs, mine = _calls(reference, ids), _calls(ours, ids)
    rotate = _their_rotation(theirs)
    rows = []
    if rotate is not None:
        rows.append(_rotary_row(ours, rotate, ids))
    for name, module in ours.named_modules():
        if name not in mine or name not in theirs or name.endswith(ROUTED):
            continue
        answer = mine[name].again(module, theirs[name].given, rotate)
        accumulated = _accumulated(mine[name].answer, theirs[name].answer)
        rows.append(ModuleDifference(name, _difference(answer, theirs[name].answer), accumulated))
    if not rows:
        raise ValueError(
            "the two models must have modules with the same names; got none in common. Compare "
            "with the model from transformers that has the same model_type."
        )
    return Divergence(tuple(rows), tolerance)


class ModuleCall(NamedTuple):
    """The arguments of one call of a module, and what it returned."""

    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    answers: Any

    @property
    def given(self) -> Any:
        """The module's input."""
        return self.arguments[0] if self.arguments else self.named.get("hidden_states")

    @property
    def answer(self) -> Tensor:
        """The first value that it returned."""
        return _first(self.answers)

    def again(self, module: nn.Module, given: Tensor, rotate: Rotation | None) -> Tensor:
        """Return the output for a different input, with the same mask and this rotation."""

        def exchanged(argument: Any) -> Any:
            return rotate if rotate is not None and callable(argument) else argument

        others = [exchanged(each) for each in self.arguments[1:]]
        named = {name: exchanged(each) for name, each in self.named.items()}
        return _first(module(given, *others, **named))


def _calls(model: nn.Module, ids: Tensor) -> dict[str, ModuleCall]:
    """Return how each module was called in one forward pass of the model."""
    found: dict[str, ModuleCall] = {}

    def watch(name: str, module: nn.Module) -> RemovableHandle:
        def note(_: nn.Module, arguments: Any, named: Any, answers: Any) -> None:
            if isinstance(_first(answers), Tensor):
                found[name] = ModuleCall(arguments, named, answers)

        return module.register_forward_hook(note, with_kwargs=True)

    hooks = [watch(name, module) for name, module in model.named_modules() if name]
    try:
        model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _first(answers: Any) -> Any:
    return answers[0] if isinstance(answers, tuple) else answers


def _their_rotation(theirs: Mapping[str, ModuleCall]) -> Rotation | None:
    """Return the rotation of queries and keys in the reference, from the angles it computed."""
    found = [call.answers for name, call in theirs.items() if name.endswith(ROTARY)]
    if not found:
        return None
    cos, sin = (each[:, None] for each in found[0])  # (B, 1, T, D)

    def rotate(x: Float[Tensor, "B H T D"]) -> Float[Tensor, "B H T D"]:
        rotated, rest = x.split([cos.shape[-1], x.shape[-1] - cos.shape[-1]], dim=-1)
        first, second = rotated.chunk(2, dim=-1)
        return torch.cat((rotated * cos + torch.cat((-second, first), -1) * sin, rest), -1)

    return rotate


def _rotary_row(ours: DecoderLM, rotate: Rotation, ids: Tensor) -> ModuleDifference:
    """Return how differently the two models rotate the same vectors."""
    shape = (len(ids), 1, ids.shape[1], ours.config.head_dim)
    probe = torch.randn(shape, generator=seeded(0)).to(next(ours.parameters()))
    own = ours.rotation(torch.arange(ids.shape[1], device=ids.device))
    rotated = probe if own is None else own(probe)
    return ModuleDifference(f"model.{ROTARY}", _difference(rotated, rotate(probe)), None)


def _accumulated(found: Tensor, expected: Tensor) -> float:
    """Return `_difference`; one model may have the heads before the tokens, the other after."""
    if found.dim() == 4 == expected.dim():
        return min(_difference(each, expected) for each in (found, found.transpose(1, 2)))
    return _difference(found, expected)


def _difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest number that was expected."""
    if found.numel() != expected.numel():
        return math.inf
    largest = expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
    return ((found.reshape(expected.shape) - expected).abs().max() / largest).item()
