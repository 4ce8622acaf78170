"""Splicing: the visual tokens take the places that the text holds free for them.

A text names a picture with one placeholder. It is first repeated, once for each visual token;
then the embedding of each placeholder is replaced by a visual token, in order.

    ids        user <image> <image> <image> <image> What colour ...
    embedded    e    v1      v2      v3      v4      e    e     ...

Placeholders are never trained on, and the model never writes them.

Taught in:        multimodal
Paper:            Liu et al. 2023, arXiv:2304.08485
Checked against:  transformers' LlavaForConditionalGeneration
Shapes:           B texts, T tokens, P pictures, M visual tokens of each, C model width
"""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from course_lib.fine_tuning.labels import IGNORED, Example


def expand_example(
    ids: Sequence[int], labels: Sequence[int], placeholder: int, count: int
) -> Example:
    """Return ids and labels with each placeholder repeated `count` times, and never a target."""
    if count < 1:
        raise ValueError(f"a picture has at least one visual token; got {count}.")
    if len(ids) != len(labels):
        raise ValueError(f"each id has a label; got {len(ids)} ids and {len(labels)} labels.")
    example = Example([], [])
    for token, label in zip(ids, labels, strict=True):
        room = token == placeholder
        example.ids.extend([token] * (count if room else 1))
        example.labels.extend([IGNORED] * count if room else [label])
    return example


def splice(
    embedded: Float[Tensor, "B T C"],
    ids: Int[Tensor, "B T"],
    visual: Float[Tensor, "P M C"],
    placeholder: int,
) -> Float[Tensor, "B T C"]:
    """Return the embeddings with visual tokens in place of the placeholders, in reading order."""
    chosen = ids == placeholder
    places, given = int(chosen.sum()), visual.shape[0] * visual.shape[1]
    if places != given:
        raise ValueError(
            f"each visual token needs one placeholder; got {places} placeholders and {given} "
            f"visual tokens of {visual.shape[0]} pictures. Expand one placeholder per picture."
        )
    return embedded.masked_scatter(chosen[..., None], visual.to(embedded.dtype))
