"""From a vector for each token to one for the text: a mean over real tokens, of length 1.

    mean_pool(x, mask) = Σ_t mask_t · x_t / Σ_t mask_t           normalize(v) = v / ‖v‖

Padding must not count: a text would otherwise be nearest to other texts with as much padding. With
vectors of length 1, dot product, cosine and Euclidean distance give the same order.

Taught in:        retrieval
Paper:            Reimers and Gurevych 2019, arXiv:1908.10084; Kusupati et al. 2022,
                  arXiv:2205.13147 (Matryoshka)
Checked against:  sentence by sentence without padding; torch.nn.functional.normalize
Shapes:           B texts, T tokens, C width
"""

from jaxtyping import Bool, Float
from torch import Tensor


def mean_pool(hidden: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B C"]:
    """Return the mean of each text's real tokens, where the mask is True; 0 without any."""
    kept = hidden.masked_fill(~mask[..., None], 0.0)  # not a product: 0 · nan is nan
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def normalize(vectors: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
    """Return the vectors with length 1; a vector of zeros stays one."""
    lengths = vectors.norm(dim=-1, keepdim=True)
    return vectors / lengths.masked_fill(lengths == 0, 1.0)


def shortened(vectors: Float[Tensor, "*shape C"], width: int) -> Float[Tensor, "*shape width"]:
    """Return the first `width` components, with length 1 again: Matryoshka's cheaper vectors."""
    if not 1 <= width <= vectors.shape[-1]:
        raise ValueError(
            f"width must be between 1 and that of the vectors, {vectors.shape[-1]}; got {width}."
        )
    return normalize(vectors[..., :width])
