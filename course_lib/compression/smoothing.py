"""SmoothQuant: move the difficulty from the inputs to the weights.

With integers on both sides of a product, a token's inputs share one scale. One feature that is a
hundred times larger than the others then leaves them a handful of codes. The same function can be
computed with smaller inputs and larger weights; the division is hidden in the norm before.

    s_j = max|x_j|^α / max|w_j|^(1 − α)        x / s,  W · s        α = 1/2: both get the same range

Taught in:        compression
Paper:            Xiao et al. 2022, arXiv:2211.10438
Checked against:  the model before smoothing: the same logits; ranges by hand
Shapes:           O outputs, I inputs
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.compression.calibration import InputStatistics
from course_lib.model import DecoderLM
from course_lib.norms import RMSNorm


def smoothing_scales(
    input_most: Float[Tensor, " I"], weight_most: Float[Tensor, " I"], alpha: float
) -> Float[Tensor, " I"]:
    """Return the number by which each input is divided; 1 where input or weights are always 0."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha divides the difficulty, so it is from 0 to 1; got {alpha}.")
    scales = input_most**alpha / weight_most ** (1 - alpha)
    usable = (input_most > 0) & (weight_most > 0)
    return torch.where(usable, scales, torch.ones_like(scales))


@torch.no_grad()
def smooth_(norm: RMSNorm, layers: Sequence[nn.Linear], scales: Float[Tensor, " I"]) -> None:
    """Divide what a norm puts out, and multiply the columns of the layers that read it."""
    norm.weight /= scales
    for layer in layers:
        layer.weight *= scales


@torch.no_grad()
def smooth_model(
    model: DecoderLM, statistics: Mapping[str, InputStatistics], alpha: float = 0.5
) -> DecoderLM:
    """Smooth what attention and the feed-forward part of each block read after their norms."""
    for prefix, norm, layers in norm_readers(model):
        most = statistics[f"{prefix}.{next(iter(layers))}"].most
        weights = torch.cat([layer.weight for layer in layers.values()])
        scales = smoothing_scales(most, weights.abs().amax(0), alpha)
        smooth_(norm, list(layers.values()), scales)
    return model


def norm_readers(model: DecoderLM) -> list[tuple[str, RMSNorm, dict[str, nn.Linear]]]:
    """Return each norm of the blocks, with the layers that read what it puts out, by name."""
    found = []
    readers = (
        ("self_attn", "input_layernorm", ("q_proj", "k_proj", "v_proj")),
        ("mlp", "post_attention_layernorm", ("gate_proj", "up_proj")),
    )
    for number, block in enumerate(model.blocks):
        for part, norm_name, names in readers:
            norm, inner = getattr(block, norm_name), getattr(block, part)
            if not isinstance(norm, RMSNorm) or not all(hasattr(inner, name) for name in names):
                raise ValueError(
                    "smoothing needs an RMSNorm before gated feed-forward layers; got "
                    f"{type(norm).__name__} and {type(inner).__name__} in block {number}."
                )
            layers = {name: getattr(inner, name) for name in names}
            found.append((f"model.layers.{number}.{part}", norm, layers))
    return found


@torch.no_grad()
def plant_outlier(model: DecoderLM, feature: int, factor: float | int) -> DecoderLM:
    """Make one feature of every norm's output larger by a factor; the model computes the same."""
    for _, norm, layers in norm_readers(model):
        scales = torch.ones_like(norm.weight)
        scales[feature] = 1 / factor
        smooth_(norm, list(layers.values()), scales)
    return model
