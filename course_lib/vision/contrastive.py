"""Contrastive losses: which caption belongs to which picture?

CLIP asks of each picture which of the batch's captions is its own, and of each caption which
picture is, by cross-entropy both ways. SigLIP asks of every pair separately whether it belongs
together; then no softmax needs to see the whole batch.

    logits = scale * pictures @ texts.T                (unit vectors, so cosines times the scale)
    clip   = (cross_entropy(logits, diagonal) + cross_entropy(logits.T, diagonal)) / 2
    siglip = sum(softplus(-sign * (logits + bias))) / B     sign = +1 on the diagonal, else -1

Taught in:        multimodal
Paper:            Radford et al. 2021, arXiv:2103.00020; Zhai et al. 2023, arXiv:2303.15343
Checked against:  transformers' CLIPModel and SiglipModel with return_loss
Shapes:           B pictures and captions, E width of the shared space, K classes, P prompts
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from course_lib.vision.encoder import unit


def clip_loss(
    pictures: Float[Tensor, "B E"], texts: Float[Tensor, "B E"], scale: float | Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy over both directions; vectors of any length are accepted."""
    logits = scale * unit(pictures) @ unit(texts).T  # (B, B): row i is picture i
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def siglip_loss(
    pictures: Float[Tensor, "B E"],
    texts: Float[Tensor, "B E"],
    scale: float | Float[Tensor, ""],
    bias: float | Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Return the sum over all pairs of a logistic loss, divided by the number of pictures."""
    logits = scale * unit(pictures) @ unit(texts).T + bias
    sign = 2 * torch.eye(len(logits), device=logits.device, dtype=logits.dtype) - 1
    return F.softplus(-sign * logits).sum() / len(logits)


def class_vectors(texts: Float[Tensor, "K P E"]) -> Float[Tensor, "K E"]:
    """Return one unit vector for each class from several prompts: a mean of unit vectors."""
    return unit(unit(texts).mean(1))


def zero_shot(
    pictures: Float[Tensor, "B E"], texts: Float[Tensor, "K P E"]
) -> Float[Tensor, "B K"]:
    """Return the cosine of each picture with each class, given the prompts of each class."""
    return unit(pictures) @ class_vectors(texts).T
