"""Embeddings: how integers become vectors, and vectors become scores for tokens.

The size of a token id means nothing: 17 is not near 18. So each id gets a row of a learned table.
Picking a row equals multiplying a one-hot vector by the table, without the products by zero.

    embed(ids)[t]  = table[ids[t]] = one_hot(ids[t]) @ table
    tied_logits(h) = h @ table.T                  the same table as output head

Taught in:        embeddings_and_norms
Paper:            Press & Wolf 2017, arXiv:1608.05859 (tying); Vaswani et al. 2017, arXiv:1706.03762
Checked against:  torch.nn.functional's embedding and linear, forward and gradient
Shapes:           V vocabulary, C model width
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def embed(ids: Int[Tensor, "*lead"], table: Float[Tensor, "V C"]) -> Float[Tensor, "*lead C"]:
    """Return the row of `table` that belongs to each id.

    `index_select` rather than `table[ids]`, which silently takes -1 for the last row.
    """
    rows = table.index_select(0, ids.flatten())  # (number of ids, C)
    return rows.reshape(*ids.shape, table.shape[1])


def one_hot(ids: Int[Tensor, "*lead"], vocab_size: int) -> Float[Tensor, "*lead V"]:
    """Return vectors that are 1 at the id and 0 elsewhere."""
    require_known_ids(ids, vocab_size)
    return (ids[..., None] == torch.arange(vocab_size, device=ids.device)).float()


def one_hot_embed(
    ids: Int[Tensor, "*lead"], table: Float[Tensor, "V C"]
) -> Float[Tensor, "*lead C"]:
    """Return what `embed` returns, by V * C multiply-adds for each id instead of a copy of C."""
    return one_hot(ids, table.shape[0]).to(table) @ table


def scale_embedding(x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
    """Return the vectors times sqrt(C), as the Transformer of 2017 and Gemma do.

    Rows with standard deviation 1/sqrt(C), which suits the output head, get features of size 1: as
    large as the sines and cosines that are added to them.
    """
    return x * x.shape[-1] ** 0.5


def tied_logits(
    hidden: Float[Tensor, "*lead C"], table: Float[Tensor, "V C"]
) -> Float[Tensor, "*lead V"]:
    """Return one score for each token of the vocabulary: the dot product with its embedding."""
    return hidden @ table.mT


def embedding_share(vocab_size: int, width: int, parameters: int, tied: bool) -> float:
    """Return the fraction of a model's `parameters` in its embedding and output head."""
    tables = (1 if tied else 2) * vocab_size * width
    if tables > parameters:
        raise ValueError(
            f"a model has at least the parameters of its tables; got parameters={parameters:,} but "
            f"{'one table' if tied else 'two tables'} of {vocab_size:,} x {width:,}. "
            "Pass the count of the whole model, and tied=True if embedding and head are one table."
        )
    return tables / parameters


def require_known_ids(ids: Int[Tensor, "*lead"], vocab_size: int) -> None:
    """Raise `ValueError` unless every id names a row of the table."""
    unknown = ids[(ids < 0) | (ids >= vocab_size)]
    if unknown.numel():
        raise ValueError(
            f"ids must be in 0 .. {vocab_size - 1}, one for each row of the table; "
            f"got {int(unknown[0])}. Encode the text with the tokenizer that belongs to the model."
        )


@torch.no_grad()
def draw_(weight: Tensor, std: float = 0.02) -> Tensor:
    """Fill a weight with normally distributed numbers, and return it.

    On the meta device, where checkpoints are prepared, there is nothing to fill, and asking torch
    to do it would make it load a thousand modules.
    """
    return weight if weight.is_meta else weight.normal_(std=std)


class Embedding(nn.Module):
    """`embed` with a learned table, called `weight` as in checkpoints."""

    def __init__(self, vocab_size: int, width: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw_(torch.empty(vocab_size, width), std))

    def forward(self, ids: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead C"]:
        """Look the ids up."""
        return embed(ids, self.weight)


def tie_weights(embedding: Embedding, head: nn.Linear) -> None:
    """Make the output head use the embedding's table: one tensor, trained from both ends."""
    if head.weight.shape != embedding.weight.shape:
        raise ValueError(
            "a tied head needs the embedding's shape, vocabulary x width; got head "
            f"{tuple(head.weight.shape)} and embedding {tuple(embedding.weight.shape)}. "
            "Build the head as nn.Linear(width, vocab_size, bias=False)."
        )
    head.weight = embedding.weight
