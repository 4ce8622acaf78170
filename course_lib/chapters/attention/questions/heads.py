"""Questions on heads: splitting, sharing, the cache, and trained heads."""

import random
from typing import Any

import torch

from course_lib.attention import kv_cache_bytes, split_heads
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)


def _split_is_wrong(names: dict[str, Any]) -> bool:
    x = torch.arange(24.0).reshape(1, 4, 6)
    return not torch.equal(names["split"](x, 3), split_heads(x, 3))


BUG_SPLIT = FindTheBug(
    id="attention.bug_split",
    prompt="This should cut (B, T, C) into heads, (B, H, T, C/H). The shape is right, the model "
    "learns badly, and nothing raises.",
    code="""
import torch

def split(x, heads):
    batch, tokens, width = x.shape
    head_dim = width // heads
    x = x.reshape(batch, heads, tokens, head_dim)
    return x.contiguous()
""",
    line=6,
    fixed="x = x.reshape(batch, tokens, heads, head_dim).transpose(1, 2)",
    why="`reshape` keeps the numbers in memory order, token after token, so with heads before "
    "tokens it puts whole tokens into a head. First cut the last axis, (B, T, H, D), then "
    "swap T and H.",
    why_not={
        4: "the three sizes are in the right order.",
        5: "each head gets an equal part of the width.",
        7: "this only makes the tensor contiguous; it changes no number.",
    },
    shows_bug=_split_is_wrong,
)


GROUP = OneAnswer(
    id="attention.group",
    prompt="A model has 8 query heads, 0 to 7, and 2 key/value heads, 0 and 1. Which query heads "
    "read key/value head 1?",
    options=(
        Option(
            "4, 5, 6 and 7",
            True,
            "neighbouring query heads share: heads 0 to 3 read key/value head 0, heads 4 to 7 read "
            "head 1. This is `repeat_interleave`.",
        ),
        Option(
            "1, 3, 5 and 7",
            False,
            "that is what `repeat` would give, 0, 1, 0, 1, ... The shape is right, but "
            "checkpoints have a different order.",
        ),
        Option(
            "Only 1",
            False,
            "then most query heads would have nothing to read. Each key/value head serves H/G "
            "= 4 of them.",
        ),
        Option(
            "All of them",
            False,
            "that is multi-query attention, with a single key/value head. Here there are two.",
        ),
    ),
)


CACHE = SeveralAnswers(
    id="attention.cache",
    prompt="A model generates 1000 tokens, one at a time. What does a KV cache change?",
    options=(
        Option(
            "Each step computes the keys and values of one token instead of all.",
            True,
            "earlier tokens never read later ones, so their keys and values do not change.",
        ),
        Option(
            "It uses memory that grows with the length of the text.",
            True,
            "two vectors per token, layer and key/value head are kept.",
        ),
        Option(
            "It reduces the memory that is needed.",
            False,
            "the opposite holds: without a cache the keys could be discarded after each step. "
            "A cache trades memory for computation.",
        ),
        Option(
            "The new query is no longer multiplied with every earlier key.",
            False,
            "it still is, with all of them: one row of the table of scores per step. The rows "
            "above it are saved.",
        ),
        Option(
            "The generated text is only approximately the same.",
            False,
            "in exact arithmetic nothing changes: stored keys and recomputed keys are the same "
            "numbers.",
        ),
    ),
)


def _draw_model(rng: random.Random) -> dict[str, Any]:
    groups = rng.choice([1, 2, 4, 8])
    return {
        "layers": rng.choice([12, 24, 28, 32, 36]),
        "heads": groups * rng.choice([4, 8]),
        "groups": groups,
        "width": rng.choice([64, 128]),
        "tokens": rng.choice([1024, 4096, 8192]),
    }


def _mebibytes(layers: int, heads: int, groups: int, width: int, tokens: int) -> float:
    return kv_cache_bytes(layers, groups, width, tokens) / 2**20


BYTES = Numeric(
    id="attention.bytes",
    prompt="A model has {layers} layers, {heads} query heads, {groups} key/value heads, and the "
    "head width {width}. Its cache holds {tokens} tokens of one text in bfloat16. How large is "
    "it, in MiB (1 MiB = 2^20 bytes)?",
    draw=_draw_model,
    answer=_mebibytes,
    explain=lambda layers, heads, groups, width, tokens: (
        "Keys and values, so twice: 2 · "
        f"{layers} layers · {groups} heads · {width} numbers · 2 bytes = "
        f"{kv_cache_bytes(layers, groups, width, 1)} bytes per token. Times {tokens} tokens, "
        f"divided by 2^20: {_mebibytes(layers, heads, groups, width, tokens):.6g} MiB."
    ),
    unit="MiB",
    slips=(
        Slip(
            "query heads",
            lambda layers, heads, groups, width, tokens: _mebibytes(
                layers, groups, heads, width, tokens
            ),
            "You counted query heads. Queries are not stored; only the key/value heads are.",
        ),
        Slip(
            "keys alone",
            lambda layers, heads, groups, width, tokens: (
                _mebibytes(layers, heads, groups, width, tokens) / 2
            ),
            "You counted only the keys, or one byte per number. Values are stored too, and a "
            "bfloat16 number takes two bytes.",
        ),
        Slip(
            "one layer",
            lambda layers, heads, groups, width, tokens: (
                _mebibytes(layers, heads, groups, width, tokens) / layers
            ),
            "This is one layer. Each layer stores its own keys and values.",
        ),
        Slip(
            "four bytes",
            lambda layers, heads, groups, width, tokens: (
                _mebibytes(layers, heads, groups, width, tokens) * 2
            ),
            "You used four bytes per number, as in float32. A bfloat16 number takes two.",
        ),
    ),
)


INDUCTION = OneAnswer(
    id="attention.induction",
    prompt="The text reads A B C ... A. What does an induction head read at the last A, and what "
    "does it need for that?",
    options=(
        Option(
            "B; an earlier layer that writes into each token which token came before it",
            True,
            "the key of B must contain the information that A came before it, and B does not "
            "have it by itself: a previous-token head in an earlier layer has to write it "
            "there.",
        ),
        Option(
            "B; an earlier layer that writes into each token which token comes after it",
            False,
            "the causal mask forbids reading later tokens. It is B that gets information about "
            "the A before it.",
        ),
        Option(
            "The first A; nothing, since equal tokens have equal keys",
            False,
            "such heads exist too, but they find only the A that is already known. The token "
            "that came next is one position later.",
        ),
        Option(
            "C; a fixed distance that it has learned",
            False,
            "a fixed distance works for one period of repetition and fails for all others.",
        ),
    ),
)


ABLATION = OneAnswer(
    id="attention.ablation",
    prompt="You ablate one head of a trained model, and the loss hardly changes. What may you "
    "conclude?",
    options=(
        Option(
            "On this text the model does not need this head while the others work.",
            True,
            "this is what was measured, and no more. Other heads may do the same work, and the "
            "head may matter on other texts.",
        ),
        Option(
            "The head does nothing, on this text or any other.",
            False,
            "if four heads do the same thing, the model can do without any one of them. Ablate "
            "all four together.",
        ),
        Option(
            "The head is badly trained.",
            False,
            "even a perfect head is dispensable if a second one does the same.",
        ),
        Option(
            "Its attention map must be nearly uniform.",
            False,
            "its map may be as sharp as any. What matters for the loss is whether the model "
            "needs what it reads.",
        ),
    ),
)


MEAN_ABLATION = OneAnswer(
    id="attention.mean_ablation",
    prompt="With zeros in place of a head's output the loss rises by 3.3 nats. With the mean of "
    "its output in place of its output it rises by 0.01 nats. What does this say?",
    options=(
        Option(
            "The model needs a constant that the head writes, not what it reads.",
            True,
            "the mean keeps the constant and removes everything that differs between tokens. Later "
            "layers have adapted to the constant, so zeros harm them.",
        ),
        Option(
            "The head is one of the most important for this text.",
            False,
            "zeros suggest that, but with the mean the model does without anything that the head "
            "reads from the text.",
        ),
        Option(
            "The mean still contains what the head reads from each text.",
            False,
            "it is one vector for all texts and all tokens, so it cannot tell them apart.",
        ),
        Option(
            "One of the two measurements must be wrong.",
            False,
            "they answer two different questions: how the model does with an unusual input, and "
            "how it does without the information of this head.",
        ),
    ),
)
