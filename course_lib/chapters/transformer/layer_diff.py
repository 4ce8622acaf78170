"""Where two models part: every module on its own, given what the reference's module was given.

Compare outputs alone, and everything behind the first fault looks wrong. Here each of our modules
is run on the input that its namesake in the reference received. A module that still answers
differently, while all modules inside it answer alike, is where the fault is.

    own     difference on the reference's input           the fault itself
    so far  difference when each model runs by itself     the fault and all that came before it

Taught in:        transformer
Checked against:  faults that the tests plant, one at a time
"""

import inspect
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from course_lib.device import seeded
from course_lib.model import DecoderLM
from course_lib.model.decoder import Rotation

ROTARY = "rotary_emb"
ROUTED = ".experts"  # works on what the router before it chose; the mixture around both is compared


class ModuleDifference(NamedTuple):
    """One module: how far it is off, relative to the largest number of the reference."""

    name: str
    own: float
    so_far: float | None  # None where only one of the models runs this module by itself


class Divergence(NamedTuple):
    """The comparison of all modules, in the order of the model."""

    rows: tuple[ModuleDifference, ...]
    tolerance: float

    @property
    def faults(self) -> tuple[str, ...]:
        """The modules that differ though nothing inside them does."""
        wrong = [row.name for row in self.rows if not row.own <= self.tolerance]
        return tuple(
            name for name in wrong if not any(each.startswith(name + ".") for each in wrong)
        )

    def __str__(self) -> str:
        faults = self.faults
        lines = [f"{'module':44} {'own':>8} {'so far':>8}"]
        for row in self.rows:
            so_far = "" if row.so_far is None else f"{row.so_far:.0e}"
            here = "  <- here" if row.name in faults else ""
            lines.append(f"{row.name:44} {row.own:8.0e} {so_far:>8}{here}")
        verdict = ", ".join(faults) or f"nowhere: all agree within {self.tolerance:.0e}"
        return "\n".join([*lines, f"they part at: {verdict}"])


@torch.no_grad()
def find_divergence(
    ours: DecoderLM, reference: nn.Module, ids: Int[Tensor, "B T"], tolerance: float = 1e-5
) -> Divergence:
    """Run both models on the same ids and compare every module that has the same name in both.

    `reference` is a model of transformers, or another one with its names.
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
        so_far = _difference_so_far(mine[name].answer, theirs[name].answer)
        rows.append(ModuleDifference(name, _difference(answer, theirs[name].answer), so_far))
    if not rows:
        raise ValueError(
            "the two models must share names of modules; got none in common. Compare with the "
            "model of transformers that has the same model_type."
        )
    return Divergence(tuple(rows), tolerance)


class ModuleCall(NamedTuple):
    """With what a module was called, and what it answered."""

    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    answers: Any

    @property
    def given(self) -> Any:
        """What the module works on."""
        return self.arguments[0] if self.arguments else self.named.get("hidden_states")

    @property
    def answer(self) -> Tensor:
        """The first thing that it returned."""
        return _first(self.answers)

    def again(self, module: nn.Module, given: Tensor, rotate: Rotation | None) -> Tensor:
        """Return the answer to another input, with the same mask and with `rotate` if there is."""

        def exchanged(argument: Any) -> Any:
            return rotate if rotate is not None and inspect.isfunction(argument) else argument

        others = [exchanged(each) for each in self.arguments[1:]]
        named = {name: exchanged(each) for name, each in self.named.items()}
        return _first(module(given, *others, **named))


def _calls(model: nn.Module, ids: Tensor) -> dict[str, ModuleCall]:
    """Return how each module was called in one run of the model."""
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
    """Return what turns queries and keys in the reference, from the angles that it computed."""
    found = [call.answers for name, call in theirs.items() if name.endswith(ROTARY)]
    if not found:
        return None
    cos, sin = (each[:, None] for each in found[0])  # (B, 1, T, D)

    def rotate(x: Float[Tensor, "B H T D"]) -> Float[Tensor, "B H T D"]:
        turned, rest = x.split([cos.shape[-1], x.shape[-1] - cos.shape[-1]], dim=-1)
        first, second = turned.chunk(2, dim=-1)
        return torch.cat((turned * cos + torch.cat((-second, first), -1) * sin, rest), -1)

    return rotate


def _rotary_row(ours: DecoderLM, rotate: Rotation, ids: Tensor) -> ModuleDifference:
    """Return how differently the two models turn the same vectors."""
    shape = (len(ids), 1, ids.shape[1], ours.config.head_dim)
    probe = torch.randn(shape, generator=seeded(0)).to(next(ours.parameters()))
    own = ours.rotation(torch.arange(ids.shape[1], device=ids.device))
    turned = probe if own is None else own(probe)
    return ModuleDifference(f"model.{ROTARY}", _difference(turned, rotate(probe)), None)


def _difference_so_far(found: Tensor, expected: Tensor) -> float:
    """Return `_difference`; heads may stand before the tokens in one model, behind in the other."""
    if found.dim() == 4 == expected.dim():
        return min(_difference(each, expected) for each in (found, found.transpose(1, 2)))
    return _difference(found, expected)


def _difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest number that was expected."""
    if found.numel() != expected.numel():
        return math.inf
    largest = expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
    return ((found.reshape(expected.shape) - expected).abs().max() / largest).item()
