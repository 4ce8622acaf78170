"""Loss scaling: float16 gradients that are too small to be stored are made larger first.

The smallest positive float16 is 6e-8. Gradients below half of it become 0. Multiplying the loss by
a scale multiplies all gradients by it; they are divided again, in float32, before they are clipped
or used. If the scale was too large, some gradient is infinite: the step is left out, the scale
halved. bfloat16 has the exponents of float32 and needs none of this.

    backward(scale * loss);   g = g / scale;   any not finite: skip, scale / 2;   else clip, step

Taught in:        parallel
Paper:            Micikevicius et al. 2018, arXiv:1710.03740
Checked against:  torch.amp.GradScaler
Shapes:           any
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from course_lib.parallel.communicator import Communicator

SMALLEST = 2.0**-10


class LossScaler:
    """A scale that adapts: halved after an overflow, doubled after `interval` steps without one."""

    def __init__(self, scale: float | int = 2.0**16, interval: int = 2000) -> None:
        if scale <= 0 or interval < 1:
            raise ValueError(
                f"the scale must be positive and the interval at least 1; got {scale} and "
                f"{interval}."
            )
        self.scale, self.interval, self.good_steps = float(scale), interval, 0

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss times the scale, for the backward pass."""
        return loss * self.scale

    def unscale(self, parameters: Iterable[nn.Parameter], comm: Communicator | None = None) -> bool:
        """Divide the gradients by the scale; return whether all are finite, on all ranks.

        Ranks that hold different gradients must decide together: if one skips a step and the others
        take it, their weights differ from then on. Clip afterwards, and step only if this is True.
        """
        grads = [p.grad for p in parameters if p.grad is not None]
        for grad in grads:
            grad.div_(self.scale)
        bad = torch.tensor([float(not all(bool(g.isfinite().all()) for g in grads))])
        if comm is not None:
            bad = comm.all_reduce(bad, "max")
        self._adapt(finite := not bad.item())
        return finite

    def _adapt(self, finite: bool) -> None:
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            if self.scale < SMALLEST:
                raise ValueError(
                    "with a small enough scale the gradients must be finite; got some that are not "
                    f"at a scale of {self.scale}. The training has diverged: use a lower rate."
                )
            self.scale /= 2
        elif self.good_steps == self.interval:
            self.scale, self.good_steps = 2 * self.scale, 0
