"""What a head does, as one number: scores of an attention map.

Trained heads fall into kinds that can be seen in their maps. A previous-token head draws the line
just below the diagonal, a first-token head reads the left edge (where it puts attention that it
does not need), an induction head the token that followed last time: after "A B ... A" it reads B.

    score = attention on the places in question, averaged over the queries that have such a place

A score of 1 means that the head does nothing else; a head that reads evenly scores about 1/T. To
measure whether the model needs a head, replace its output by a constant and compare the loss. A
constant of zero (zero ablation) also removes what the head writes for every token, to which later
layers have adapted; its mean output (mean ablation) removes only what differs between tokens.

Taught in:        attention
Paper:            Olsson et al. 2022, arXiv:2209.11895 (induction);
                  Xiao et al. 2023, arXiv:2309.17453 (first token)
Checked against:  maps written by hand, sums in plain Python, weights set to zero
Shapes:           L layers, H heads, D head width, B sequences, T tokens; any axes may precede a map
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn


def previous_token_score(weights: Float[Tensor, "*heads T T"]) -> Float[Tensor, "*heads"]:
    """Return how much of each token's attention goes to the token before it."""
    _check_length(weights)
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)


def first_token_score(weights: Float[Tensor, "*heads T T"]) -> Float[Tensor, "*heads"]:
    """Return how much of the attention of all later tokens goes to the first one."""
    _check_length(weights)
    return weights[..., 1:, 0].mean(-1)


def induction_score(
    weights: Float[Tensor, "*heads T T"], ids: Int[Tensor, " T"]
) -> Float[Tensor, "*heads"]:
    """Return how much a repeated token's attention goes to what followed its earlier occurrences.

    For a batch, score each sequence with its own ids.
    """
    targets = induction_targets(ids)
    repeated = targets.any(-1)  # (T,)
    if not repeated.any():
        raise ValueError(
            "induction shows only where a token has occurred before, with something after it; no "
            f"token does in these {len(ids)}. Score a sequence that repeats, such as random ids "
            "written twice."
        )
    on_targets = (weights * targets).sum(-1)  # (*heads, T)
    return on_targets[..., repeated].mean(-1)


def induction_targets(ids: Int[Tensor, " T"]) -> Bool[Tensor, "T T"]:
    """Return for each query (row) the tokens that followed earlier occurrences of the same id.

    In "A B C A" the last row marks B: the token after the earlier A.
    """
    same = ids[:, None] == ids  # (T, T)
    earlier = same.tril(diagonal=-1)
    followers = torch.zeros_like(earlier)
    followers[:, 1:] = earlier[:, :-1]  # one to the right: what came next
    return followers


def head_scores(
    weights: Float[Tensor, "B *heads T T"], ids: Int[Tensor, "B T"]
) -> dict[str, Float[Tensor, "*heads"]]:
    """Return the three scores of each head by their names, averaged over the sequences."""
    induction = [induction_score(maps, row) for maps, row in zip(weights, ids, strict=True)]
    return {
        "previous token": previous_token_score(weights).mean(0),
        "induction": torch.stack(induction).mean(0),
        "first token": first_token_score(weights).mean(0),
    }


def silence_head(
    output: nn.Module,
    head: int,
    num_heads: int,
    baseline: Float[Tensor, " D"] | None = None,
) -> None:
    """Replace what a layer's output projection receives from one of its heads by a constant.

    The constant is zero, or `baseline`, such as the head's mean output. The weights stay the same:
    a hook changes the input of the projection.
    """
    if not 0 <= head < num_heads:
        raise ValueError(
            f"head must lie in 0 .. {num_heads - 1}, counted from the first; got {head}. "
            f"This layer has {num_heads}."
        )

    def silence(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        heads = given[0].clone()  # (B, T, H * D): the heads side by side
        own = heads.unflatten(-1, (num_heads, -1))[..., head, :]
        own.copy_(torch.zeros_like(own) if baseline is None else baseline)
        return (heads,)

    output.register_forward_pre_hook(silence)


def mean_head_outputs(
    outputs: Sequence[nn.Module], num_heads: int, run: Callable[[], object]
) -> Float[Tensor, "L H D"]:
    """Return what each head reads, averaged over all texts and tokens that `run()` computes.

    `outputs` are the layers' output projections in the order in which they run. Each mean is the
    baseline of a mean ablation: it keeps what a head writes everywhere and removes what differs.
    """
    means: list[Tensor] = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        means.append(given[0].unflatten(-1, (num_heads, -1)).mean((0, 1)))

    hooks = [output.register_forward_pre_hook(note) for output in outputs]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(means)


def _check_length(weights: Shaped[Tensor, "*heads T T"]) -> None:
    if weights.shape[-1] < 2:
        raise ValueError(
            "a head is scored on tokens that have something before them, so two are needed; "
            f"got a map of shape {tuple(weights.shape)}. Pass the map of a longer text."
        )


def repeated_ids(
    vocab_size: int, period: int, tokens: int, generator: torch.Generator, batch: int = 1
) -> Int[Tensor, "B T"]:
    """Return random ids, all different within a period, over and over until there are `tokens`.

    From the second period on the next id can be known by looking back; before that it cannot.
    """
    if not 1 <= period <= vocab_size:
        raise ValueError(
            f"a period holds different ids, so it lies between 1 and {vocab_size}, the size of the "
            f"vocabulary; got {period}. Shorten it."
        )
    rows = [torch.randperm(vocab_size, generator=generator)[:period] for _ in range(batch)]
    return torch.stack(rows).repeat(1, -(-tokens // period))[:, :tokens]
