"""The exercise on ReLU units that are 0 for every token."""

import torch

from course_lib import mlp
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _count(pre_activations):
    units = pre_activations.reshape(-1, pre_activations.shape[-1]).T.tolist()
    return sum(all(number <= 0 for number in unit) for unit in units) / len(units)


DEAD = Exercise(
    id="mlp.dead_units",
    title="How many units are dead?",
    minutes=5,
    difficulty=2,
    statement=(
        "Pre-activations have the shape (..., F): any number of tokens, F hidden units. Return, "
        "as a number, the fraction of units whose ReLU is 0 for every token."
    ),
    solution=mlp.dead_unit_fraction,
    reference=_count,
    generator=generators.pre_activations,
    probes=(
        Probe(
            "three tokens, four units",
            lambda: call(
                torch.tensor(
                    [[1.0, -1.0, -2.0, -3.0], [-1.0, -1.0, -1.0, 2.0], [-2.0, -3.0, -1.0, 1.0]]
                )
            ),
            "Two of four units are negative for all three tokens: 0.5.",
        ),
        Probe(
            "exactly 0",
            lambda: call(torch.tensor([[0.0, 1.0, -1.0], [0.0, -1.0, 2.0]])),
            "ReLU of 0 is 0, and its gradient there is 0 too.",
        ),
        Probe(
            "a batch of sentences",
            lambda: call(uneven(2, 3, 5) - 1.2),
            "All tokens of all sentences count, along both leading axes.",
        ),
        Probe(
            "negative in one sentence only",
            lambda: call(torch.tensor([[[-1.0, -1.0], [-2.0, -1.0]], [[3.0, -1.0], [-1.0, -2.0]]])),
            "The first unit is negative throughout the first sentence and active in the second.",
        ),
        Probe(
            "hardly active",
            lambda: call(torch.tensor([[1e-8, -1.0], [-1.0, -1.0]])),
            "A unit that is above 0 for one token, however little, gets a gradient.",
        ),
        Probe(
            "a token that activates no unit",
            lambda: call(torch.tensor([[-1.0, -1.0, -1.0], [1.0, 2.0, 3.0]])),
            "One token that activates no unit does not make a unit dead.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the fraction of zeros",
            lambda z: (z <= 0).double().mean().item(),
            "You count single zeros. A ReLU unit is normally 0 for some tokens; it is dead if it "
            "is 0 for all of them.",
        ),
        Misconception(
            "tokens instead of units",
            lambda z: (z.flatten(0, -2) <= 0).all(1).double().mean().item(),
            "You count tokens that activate no unit. For each unit, test whether all tokens are at "
            "or below 0: reduce over the tokens.",
        ),
        Misconception(
            "almost 0 counted as 0",
            lambda z: (z.flatten(0, -2).relu().sum(0) < 1e-6).double().mean().item(),
            "You compare with a small number. A unit with a tiny output still has the slope 1, so "
            "it is not dead. Compare with 0: the comparison is exact.",
        ),
        Misconception(
            "0 counted as alive",
            lambda z: (z.flatten(0, -2) < 0).all(0).double().mean().item(),
            "At exactly 0 ReLU gives 0 and its gradient in PyTorch is 0 too. Use <=.",
        ),
        Misconception(
            "negative for one token",
            lambda z: (z.flatten(0, -2) <= 0).any(0).double().mean().item(),
            "One token is not enough: `all`, not `any`.",
        ),
        Misconception(
            "negative on average",
            lambda z: (z.flatten(0, -2).mean(0) <= 0).double().mean().item(),
            "A unit with a negative mean may still be active for some tokens. Test each token.",
        ),
        Misconception(
            "each sentence by itself",
            lambda z: (z <= 0).all(-2).double().mean().item(),
            "You average over the dead units of each sentence. A unit that is active in any "
            "sentence is not dead: combine the tokens of all sentences first, flatten(0, -2).",
        ),
        Misconception(
            "the number instead of the fraction",
            lambda z: (z.flatten(0, -2) <= 0).all(0).double().sum().item(),
            "Divide by the number of units.",
        ),
    ),
    alternatives=(
        Alternative("by the largest", lambda z: (z.flatten(0, -2).amax(0) <= 0).double().mean()),
        Alternative(
            "by what ReLU leaves, in float32",
            lambda z: (torch.relu(z).reshape(-1, z.shape[-1]).sum(0) == 0).float().mean().item(),
        ),
        Alternative(
            "as the hints have it",
            lambda z: (z.flatten(0, -2) <= 0).all(0).double().mean().item(),
        ),
    ),
    hints=(
        "pre_activations.flatten(0, -2) combines all tokens, (N, F).",
        "(tokens <= 0).all(0) is True for each dead unit.",
        "The mean of that, as a number: .double().mean().item().",
    ),
)
