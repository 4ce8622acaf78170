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

from course_lib.fine_tuning.labels import IGNORED, answer_labels


def expand_placeholders(ids: Sequence[int], placeholder: int, count: int) -> list[int]:
    """Return the ids with each placeholder repeated, once for each visual token."""
    if count < 1:
        raise ValueError(f"a picture has at least one visual token; got {count}.")
    return [each for token in ids for each in [token] * (count if token == placeholder else 1)]


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
    filled = embedded.masked_scatter(chosen[..., None], visual.to(embedded.dtype))
    return filled


def picture_labels(
    ids: Sequence[int], header: Sequence[int], end: int, placeholder: int
) -> list[int]:
    """Return the label of each id: answers are trained on, but no placeholder is."""
    labels = answer_labels(ids, header, end)
    return [IGNORED if token == placeholder else label for token, label in zip(ids, labels, strict=True)]
