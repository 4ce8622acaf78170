"""Exercises on several heads: cut a vector into pieces, and join them again."""

import torch

from course_lib import attention
from course_lib.chapters.attention.exercises.generators import pieces, whole_vectors
from course_lib.chapters.attention.exercises.weighted_mean import numbers
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _head_by_head(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=1)


def _viewed(x, num_heads):
    batch, tokens, width = x.shape
    return x.reshape(batch, num_heads, tokens, width // num_heads)


def _interleaved(x, num_heads):
    return torch.stack([x[..., head::num_heads] for head in range(num_heads)], dim=1)


def _tokens_in_front(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=2)


def _heads_in_front(x, num_heads):
    return torch.stack(x.chunk(num_heads, dim=-1), dim=0)


def _count_taken_for_width(x, num_heads):
    return torch.stack(x.split(num_heads, dim=-1), dim=1)


def _as_the_hints_say(x, num_heads):
    batch, tokens, width = x.shape
    return x.view(batch, tokens, num_heads, width // num_heads).transpose(1, 2)


def _slice_by_slice(x, num_heads):
    batch, tokens, width = x.shape
    piece = width // num_heads
    out = x.new_empty(batch, num_heads, tokens, piece)
    for head in range(num_heads):
        out[:, head] = x[:, :, head * piece : (head + 1) * piece]
    return out


SPLIT = Exercise(
    id="attention.split_heads",
    title="Cut into heads",
    minutes=5,
    difficulty=2,
    statement=(
        "Cut each token's vector into `num_heads` pieces of neighbouring features, and return "
        "(B, H, T, D) from (B, T, H · D): head h of token t is the h-th piece. "
        "Keep the dtype. Gradients must flow through it."
    ),
    solution=attention.split_heads,
    reference=_head_by_head,
    generator=whole_vectors,
    same_dtype=True,
    probes=(
        Probe(
            "one token, two heads",
            lambda: call(torch.arange(6.0).reshape(1, 1, 6), 2),
            "Features 0, 1, 2 belong to the first head and 3, 4, 5 to the second.",
        ),
        Probe(
            "three tokens, two heads",
            lambda: call(torch.arange(12.0).reshape(1, 3, 4), 2),
            "A head has its own piece of every token, and nothing of the other heads.",
        ),
        Probe(
            "two texts, three heads",
            lambda: call(numbers(2, 4, 15), 3),
            "Axes in the order batch, heads, tokens, features.",
            gradient=True,
        ),
        Probe(
            "as many tokens as heads",
            lambda: call(numbers(2, 3, 6), 3),
            "With as many tokens as heads, a wrong axis order has the right shape.",
        ),
        Probe(
            "float64",
            lambda: call(numbers(2, 3, 4).double(), 2),
            "Nothing is computed, so nothing may be rounded: the dtype stays.",
        ),
    ),
    misconceptions=(
        Misconception(
            "viewed without a transpose",
            _viewed,
            "The shape is right and the numbers are not: `view(B, H, T, D)` cuts the numbers "
            "in the order in which they are stored, so a head gets pieces of other heads. Use "
            "view(B, T, H, D), then swap T and H.",
        ),
        Misconception(
            "every H-th feature",
            _interleaved,
            "Your head 0 gets the features 0, H, 2H, ... Checkpoints keep the features of a "
            "head next to each other: view(B, T, H, D), not (B, T, D, H).",
        ),
        Misconception(
            "tokens before heads",
            _tokens_in_front,
            "This is (B, T, H, D), so attention would run over the heads of one token. Swap "
            "axes 1 and 2.",
        ),
        Misconception(
            "heads before the batch",
            _heads_in_front,
            "The order is (B, H, T, D): the batch is the first axis.",
        ),
        Misconception(
            "the number of heads taken for their width",
            _count_taken_for_width,
            "`num_heads` is the number of pieces, not their width. The width of a piece is "
            "width // num_heads.",
        ),
        Misconception(
            "not cut",
            lambda x, num_heads: x[:, None].expand(-1, num_heads, -1, -1),
            "Each of your heads gets the whole vector. Each should get a piece of D = width // "
            "num_heads features.",
        ),
        Misconception(
            "features before tokens",
            lambda x, num_heads: _head_by_head(x, num_heads).mT,
            "This is (B, H, D, T), the form in which keys enter the product. Here the tokens come "
            "before the features: (B, H, T, D).",
        ),
    ),
    alternatives=(
        Alternative(
            "by unflatten",
            lambda x, num_heads: x.unflatten(-1, (num_heads, -1)).permute(0, 2, 1, 3),
        ),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("slice by slice", _slice_by_slice),
    ),
    hints=(
        "Two steps: cut the last axis in two, (B, T, H, D), then move the heads before the tokens.",
        "x.view(B, T, num_heads, width // num_heads) does the first. Why must H come before D?",
        ".transpose(1, 2) does the second.",
    ),
)


def _side_by_side(x):
    return torch.cat(x.unbind(1), dim=-1)


def _merged_as_the_hints_say(x):
    batch, heads, tokens, width = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads * width)


def _written_slice_by_slice(x):
    batch, heads, tokens, width = x.shape
    out = x.new_empty(batch, tokens, heads * width)
    for head in range(heads):
        out[:, :, head * width : (head + 1) * width] = x[:, head]
    return out


MERGE = Exercise(
    id="attention.merge_heads",
    title="Merge the heads",
    minutes=4,
    difficulty=1,
    statement=(
        "Return (B, T, H · D) from (B, H, T, D): for each token, the pieces of its heads side "
        "by side. This is the inverse of splitting. "
        "Keep the dtype. Gradients must flow through it."
    ),
    solution=attention.merge_heads,
    reference=_side_by_side,
    generator=pieces,
    same_dtype=True,
    probes=(
        Probe(
            "one token, two heads",
            lambda: call(torch.arange(6.0).reshape(1, 2, 1, 3)),
            "First the piece of head 0, then that of head 1.",
        ),
        Probe(
            "three tokens, two heads",
            lambda: call(torch.arange(12.0).reshape(1, 2, 3, 2)),
            "A token gets its own pieces, not those of its neighbours.",
        ),
        Probe(
            "two texts, three heads",
            lambda: call(numbers(2, 3, 4, 5)),
            "One vector of width H · D for each token of each text.",
            gradient=True,
        ),
        Probe(
            "float64",
            lambda: call(numbers(1, 2, 3, 2).double()),
            "Nothing is computed, so nothing may be rounded: the dtype stays.",
        ),
    ),
    misconceptions=(
        Misconception(
            "reshaped without a transpose",
            lambda x: x.reshape(x.shape[0], x.shape[2], -1),
            "reshape keeps the order in memory, where the tokens of one head are next to each "
            "other: your token 0 gets several tokens of head 0. Swap heads and tokens first.",
        ),
        Misconception(
            "features interleaved",
            lambda x: x.permute(0, 2, 3, 1).flatten(2),
            "You interleave the heads' features. The pieces come one after the other: flatten "
            "(B, T, H, D), not (B, T, D, H).",
        ),
        Misconception(
            "added up",
            lambda x: x.sum(1),
            "The heads are concatenated, not added. The projection that follows mixes them.",
        ),
        Misconception(
            "only transposed",
            lambda x: x.transpose(1, 2),
            "This is (B, T, H, D). Join the last two axes into one.",
        ),
        Misconception(
            "the tokens joined",
            lambda x: x.flatten(2),
            "You joined tokens and features: (B, H, T · D). Each token needs its own vector.",
        ),
    ),
    alternatives=(
        Alternative("by permute and flatten", lambda x: x.permute(0, 2, 1, 3).flatten(2)),
        Alternative("as the hints say", _merged_as_the_hints_say),
        Alternative("slice by slice", _written_slice_by_slice),
    ),
    hints=(
        "Reverse the two steps of splitting: first swap, then join.",
        "x.transpose(1, 2) is (B, T, H, D).",
        "`view` raises an error here, since the transposed tensor is not contiguous. "
        "reshape(B, T, H * D) copies.",
    ),
)
