"""The learning rate of each step: a linear warm-up, then half a cosine.

At first AdamW's means rest on few gradients, and all gradients point to the same few facts (most
tokens never occur). A warm-up keeps these steps small, which matters most in large models. At the
end small steps let the weights settle.

    warm-up:  rate = peak · step / warmup
    after:    rate = final + (peak - final) · (1 + cos(π · progress)) / 2

Taught in:        training
Paper:            Loshchilov and Hutter 2017, arXiv:1608.03983
Checked against:  transformers' get_cosine_with_min_lr_schedule_with_warmup
"""

import math


def cosine_rate(
    step: int, *, warmup: int, steps: int, peak: float = 1.0, final: float = 0.0
) -> float:
    """Return the learning rate of a step; the first step is 0 and the last is `steps` - 1."""
    if not 0 <= warmup < steps:
        raise ValueError(
            "the warm-up must end before the last step; "
            f"got a warm-up of {warmup} of {steps} steps. Typical is a few per cent of the steps."
        )
    if step < warmup:
        return peak * step / warmup
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2
