"""Inputs for the probes of any chapter: plain numbers that are the same on every machine."""

import torch


def uneven(*shape: int) -> torch.Tensor:
    """Return numbers of that shape, between -3 and 3, all different and the same every time."""
    count = int(torch.tensor(shape).prod())
    return (3 * torch.sin(torch.arange(count, dtype=torch.float32) * 1.7 + 0.3)).reshape(shape)
