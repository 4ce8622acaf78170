"""AdamW: steps of a size that hardly depends on the size of the gradient.

m is a running mean of the gradient, v of its square. Their quotient m / √v is about ±1 wherever
the gradient keeps its sign, and small where it only trembles. Both begin at zero and are therefore
too small at first; dividing by 1 - βᵗ corrects that. Weight decay pulls at the weights themselves
(hence decoupled): put into the gradient, it would be divided by √v like everything else.

    m = β₁·m + (1 - β₁)·g;   v = β₂·v + (1 - β₂)·g²
    p = p - lr·λ·p - lr · m̂ / (√v̂ + ε),   m̂ = m / (1 - β₁ᵗ),   v̂ = v / (1 - β₂ᵗ)

Taught in:        training
Paper:            Kingma and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101
Checked against:  torch.optim.AdamW
Shapes:           every tensor as its parameter
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class AdamWSettings:
    """The numbers of AdamW beside the learning rate."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                f"betas must lie from 0 to below 1; got {self.betas}. Usual are (0.9, 0.999), "
                "for language models (0.9, 0.95)."
            )
        if self.eps <= 0 or self.weight_decay < 0:
            raise ValueError(
                "eps must be positive and weight_decay not negative; "
                f"got {self.eps} and {self.weight_decay}."
            )


class Moments:
    """What AdamW remembers of one parameter: the running means m and v."""

    def __init__(self, parameter: Tensor) -> None:
        self.m = torch.zeros_like(parameter)
        self.v = torch.zeros_like(parameter)


def adamw_update(
    parameter: Float[Tensor, "*shape"],
    gradient: Float[Tensor, "*shape"],
    m: Float[Tensor, "*shape"],
    v: Float[Tensor, "*shape"],
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Return the new parameter, m and v, as the formula stands; `step` counts from 1."""
    if step < 1:
        raise ValueError(
            f"steps count from 1, since the bias correction of step 0 divides by zero; got {step}."
        )
    m = betas[0] * m + (1 - betas[0]) * gradient
    v = betas[1] * v + (1 - betas[1]) * gradient**2
    m_hat = m / (1 - betas[0] ** step)
    v_hat = v / (1 - betas[1] ** step)
    parameter = parameter - rate * weight_decay * parameter
    return parameter - rate * m_hat / (v_hat.sqrt() + eps), m, v


@torch.no_grad()
def adamw_step(
    parameter: Tensor,
    gradient: Tensor,
    moments: Moments,
    step: int,
    rate: float,
    settings: AdamWSettings,
) -> None:
    """Do what `adamw_update` says in place, without new tensors; `step` counts from 1."""
    beta1, beta2 = settings.betas
    moments.m.lerp_(gradient, 1 - beta1)
    moments.v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    # √v̂ = √v / fix: numerator and denominator are multiplied by `fix`, which saves a pass over v.
    fix = math.sqrt(1 - beta2**step)
    root = moments.v.sqrt().add_(settings.eps * fix)
    parameter.mul_(1 - rate * settings.weight_decay)
    parameter.addcdiv_(moments.m, root, value=-rate * fix / (1 - beta1**step))


class AdamW:
    """AdamW over groups of parameters, each with its own settings.

    A group is a mapping with `params` and any of `betas`, `eps`, `weight_decay`. The learning rate
    is one number for all, set before each step by the schedule.
    """

    def __init__(
        self,
        groups: Iterable[nn.Parameter] | Sequence[Mapping[str, Any]],
        rate: float = 1e-3,
        settings: AdamWSettings | None = None,
    ) -> None:
        given: list[Any] = list(groups)
        if not given:
            raise ValueError(
                "there must be parameters to change; got none. Pass model.parameters()."
            )
        as_groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        base = asdict(settings or AdamWSettings())
        self.rate = rate
        self.steps = 0
        self.groups: list[tuple[list[nn.Parameter], AdamWSettings]] = []
        for group in as_groups:
            own = {key: value for key, value in group.items() if key != "params"}
            self.groups.append((list(group["params"]), AdamWSettings(**(base | own))))
        self.moments = {p: Moments(p) for p in self.parameters()}

    def parameters(self) -> list[nn.Parameter]:
        """Return all parameters, in the order of the groups."""
        return [parameter for parameters, _ in self.groups for parameter in parameters]

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self.steps += 1
        for parameters, settings in self.groups:
            for parameter in parameters:
                if parameter.grad is not None:
                    moments = self.moments[parameter]
                    adamw_step(parameter, parameter.grad, moments, self.steps, self.rate, settings)

    def zero_grad(self) -> None:
        """Forget all gradients, so that the next batch does not add to them."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs: the steps done, and the moments in order."""
        moments = [self.moments[parameter] for parameter in self.parameters()]
        return {"steps": self.steps, "rate": self.rate, "moments": [(s.m, s.v) for s in moments]}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of an optimizer over parameters of the same shapes."""
        parameters = self.parameters()
        shapes = [tuple(p.shape) for p in parameters]
        found = [tuple(m.shape) for m, _ in state["moments"]]
        if shapes != found:
            raise ValueError(
                "the state must be that of an optimizer over the same parameters; got moments of "
                f"{len(found)} tensors for {len(shapes)} parameters, or of other shapes. Resume "
                "with the model and the groups that the run began with."
            )
        self.steps, self.rate = state["steps"], state["rate"]
        for parameter, (m, v) in zip(parameters, state["moments"], strict=True):
            self.moments[parameter].m.copy_(m)
            self.moments[parameter].v.copy_(v)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups: matrices, which decay, and gains and biases, which do not.

    Decay keeps matrices from growing without need. A gain of a norm has a job at the size that it
    has, and pulling it towards zero would only switch its feature off.
    """
    wanted = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in wanted if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in wanted if p.ndim < 2], "weight_decay": 0.0},
    ]
