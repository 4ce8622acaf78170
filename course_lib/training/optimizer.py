"""AdamW: steps whose length hardly depends on the size of the gradient.

m is a running mean of the gradient, v of its square. The quotient m / √v is about ±1 where the
gradient keeps its sign, and small where the sign keeps changing. Both start at zero and are
therefore too small at first; dividing by 1 - βᵗ corrects that. Weight decay acts on the weights
themselves (hence "decoupled"): as part of the gradient, it would be divided by √v too.

    m = β₁·m + (1 - β₁)·g;   v = β₂·v + (1 - β₂)·g²
    p = p - lr·λ·p - lr · m̂ / (√v̂ + ε),   m̂ = m / (1 - β₁ᵗ),   v̂ = v / (1 - β₂ᵗ)

Taught in:        training
Paper:            Kingma and Ba 2015, arXiv:1412.6980; Loshchilov and Hutter 2019, arXiv:1711.05101
Checked against:  torch.optim.AdamW, with its schedulers and its state dicts
Shapes:           every tensor as its parameter
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

STATE_KEYS = {"step", "exp_avg", "exp_avg_sq"}  # t, m and v, by the names that torch gives them


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
    """Return the new parameter, m and v by the formula above; `step` counts from 1."""
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


def adamw_step(
    parameter: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> None:
    """Do in place what `adamw_update` computes, with one new tensor; `step` counts from 1.

    Call it under `torch.no_grad()`: a step is not differentiated.
    """
    m.lerp_(gradient, 1 - betas[0])
    v.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    # √v̂ = √v / fix: numerator and denominator are multiplied by `fix`, which saves a pass over v.
    fix = math.sqrt(1 - betas[1] ** step)
    root = v.sqrt().add_(eps * fix)
    parameter.mul_(1 - rate * weight_decay)
    parameter.addcdiv_(m, root, value=-rate * fix / (1 - betas[0] ** step))


class AdamW(torch.optim.Optimizer):
    """AdamW over one or more groups of parameters, used like `torch.optim.AdamW`.

    A group is a dictionary with `params` and any of `lr`, `betas`, `eps` and `weight_decay`; the
    arguments of the constructor are the defaults. Schedulers of `torch.optim.lr_scheduler` work
    with it, and it and `torch.optim.AdamW` load each other's state dicts.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        if not isinstance(params, Tensor):  # torch raises its own error for a bare tensor
            params = list(params)  # type: ignore[assignment]
            if not params:
                raise ValueError(
                    "there must be parameters to optimize; got none. Pass model.parameters()."
                )
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; missing settings are those of the constructor."""
        _check_settings(self.defaults | param_group)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient, and return the loss of the closure.

        A closure, which most training loops do not use, computes the gradients and the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate, betas = group["lr"], group["betas"]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    t, m, v = self._next_state(parameter)
                    adamw_step(
                        parameter,
                        parameter.grad,
                        m,
                        v,
                        t,
                        rate,
                        betas,
                        group["eps"],
                        group["weight_decay"],
                    )
        return loss

    def _next_state(self, parameter: Tensor) -> tuple[int, Tensor, Tensor]:
        """Increase the step count of a parameter; return the count, m and v."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0  # a plain number: increasing a tensor takes as long as a small step
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        return state["step"], state["exp_avg"], state["exp_avg_sq"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of an AdamW, this one or torch's, over the same parameters."""
        misfit = self._misfit(state_dict)
        if misfit:
            raise ValueError(
                "the state must be that of an AdamW over the same parameters, in the same groups; "
                f"got {misfit}. Load it with the model and the groups that it was saved with."
            )
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["step"] = int(state["step"])  # torch's AdamW counts with a tensor

    def _misfit(self, state_dict: dict[str, Any]) -> str:
        """Return how a state dict does not match this optimizer, or an empty text."""
        saved = state_dict.get("param_groups", [])
        if any(not self.defaults.keys() <= group.keys() for group in saved):
            return "the state of a different kind of optimizer"
        if any(group.get("amsgrad") or group.get("maximize") for group in saved):
            return "a state with amsgrad or maximize, which this AdamW does not support"
        wanted, found = ([len(g["params"]) for g in gs] for gs in (self.param_groups, saved))
        if wanted != found:
            return f"groups of {found} parameters for groups of {wanted}"
        parameters = [p for group in self.param_groups for p in group["params"]]
        numbers = [number for group in saved for number in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            state = state_dict["state"].get(number)
            if state and not state.keys() >= STATE_KEYS:
                return f"a parameter's state with {sorted(state)} instead of {sorted(STATE_KEYS)}"
            if state and state["exp_avg"].shape != parameter.shape:
                shapes = tuple(state["exp_avg"].shape), tuple(parameter.shape)
                return f"moments of shape {shapes[0]} for a parameter of shape {shapes[1]}"
        return ""


def _check_settings(settings: dict[str, Any]) -> None:
    lr, betas, eps, decay = (settings[key] for key in ("lr", "betas", "eps", "weight_decay"))
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(
            f"betas must be at least 0 and below 1; got {betas}. Typical values are (0.9, 0.999), "
            "for language models (0.9, 0.95)."
        )
    if lr < 0 or eps <= 0 or decay < 0:
        raise ValueError(
            "eps must be positive, lr and weight_decay must not be negative; "
            f"got eps={eps}, lr={lr}, weight_decay={decay}. Typical values: 1e-8, 1e-3 and 0.01."
        )


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups: matrices, which decay, and gains and biases, which do not.

    Decay keeps matrices from growing without need. Norm gains should not be pulled to zero: that
    would only switch features off.
    """
    wanted = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in wanted if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in wanted if p.ndim < 2], "weight_decay": 0.0},
    ]
