"""Generated inputs: cases that no author thought of as a probe.

An exercise declares a generator of valid inputs. After the named probes have passed, a function is
run on a fixed set of them and compared with the reference. The set is the same each time and on
every machine, so feedback can be repeated; of the inputs that disagree, the smallest is shown.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from course_lib.study.check.spec import Call, Exercise, Probe

COUNT = 40
NAME = "a generated input"
ISOLATES = "It was made by a program; every named probe agrees."


def generated_probes(found: Exercise, count: int = COUNT) -> list[Probe]:
    """Return the fixed set of generated inputs of an exercise, as probes."""
    if found.generator is None:
        return []
    made = (_Generated(found.generator, f"{found.id} {number}") for number in range(count))
    return [Probe(NAME, inputs, ISOLATES, found.tolerance) for inputs in made]


@dataclass(frozen=True)
class _Generated:
    """Makes one input, the same at every call; two that make the same are equal."""

    generator: Callable[[random.Random], Call]
    seed: str

    def __call__(self) -> Call:
        return self.generator(random.Random(self.seed))


def size(value: Any) -> int:
    """Return how much there is to read in an input: numbers, characters, items."""
    if isinstance(value, Call):
        return size(value.args) + size(list(value.kwargs.values()))
    if isinstance(value, torch.Tensor):
        return value.numel() + value.dim()
    if isinstance(value, dict):
        return 1 + sum(size(key) + size(each) for key, each in value.items())
    if isinstance(value, list | tuple | set):
        return 1 + sum(map(size, value))
    return len(value) if isinstance(value, str | bytes) else 1


def torch_generator(rng: random.Random) -> torch.Generator:
    """Return a source of random tensors that follows a source of random numbers."""
    return torch.Generator().manual_seed(rng.getrandbits(62))


def random_tensor(
    rng: random.Random, *shape: int, scale: float | int = 1.0, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Return normal numbers times `scale`, sometimes with ties, sometimes stored transposed."""
    x = scale * torch.randn(shape, generator=torch_generator(rng), dtype=torch.float64)
    kind = rng.randrange(6)
    if kind == 0:
        x = x.round()  # equal numbers
    x = x.to(dtype)
    if kind == 1 and x.dim() > 1:
        x = x.mT.contiguous().mT  # not contiguous
    return x
