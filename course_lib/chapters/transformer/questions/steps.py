"""Questions on the steps of a decoder: the block, the last norm, positions, the greedy loop."""

import random
from typing import Any

import torch
from torch import Tensor

from course_lib.chapters.transformer.answers import decoder_block
from course_lib.model import greedy_continuation, token_positions
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps
from course_lib.study.ask.question_parts import Option, Slip

STEPS = OrderSteps(
    id="transformer.pass_steps",
    prompt="A model like Qwen3 with a single layer reads a text. What is the order of the steps?",
    steps=(
        "Look up a row of the table for each id.",
        "Normalise a copy of the stream and project it to queries, keys and values.",
        "Rotate queries and keys by their positions.",
        "Add the output of attention to the stream.",
        "Normalise a copy of the new stream and apply the MLP to it.",
        "Add the MLP's result to the stream.",
        "Normalise once more and multiply by the head.",
    ),
    explanation="Each part reads a normalised copy and adds to the stream itself, attention before "
    "the MLP. The rotation needs queries and keys, so it follows the projections; the last norm "
    "comes after all blocks, right before the head.",
)


def _draw_block(rng: random.Random) -> dict[str, Any]:
    return {
        "x": rng.choice([3.1, 4.3, 6.7, 8.9]),
        "d": rng.choice([4, 5, 10]),
        "a": rng.choice([2, 3, 5]),
        "m": rng.choice([2, 3, 4]),
    }


def _block(x: float, d: int, a: int, m: int) -> float:
    stream = torch.tensor([x], dtype=torch.float64)
    return decoder_block(
        stream, lambda y: a * y, lambda y: y / d, lambda y: m * y, lambda y: y / 2
    ).item()


BLOCK = Numeric(
    id="transformer.block_by_hand",
    prompt="A stream of width 1 holds {x}. In this pre-norm block the first norm divides by "
    "{d} and attention multiplies by {a}; the second norm divides by 2 and the MLP multiplies by "
    "{m}. What is the stream after the block?",
    draw=_draw_block,
    answer=_block,
    explain=lambda x, d, a, m: (
        f"Attention adds {a} · {x}/{d} = {a * x / d:g}: the stream is {x + a * x / d:g}. The MLP "
        f"reads half of that and adds {m} · {(x + a * x / d) / 2:g}: {_block(x, d, a, m):g}."
    ),
    slips=(
        Slip(
            "post-norm",
            lambda x, d, a, m: (x + a * x) / d * (1 + m) / 2,
            "You rescaled the stream itself. In a pre-norm block only the input of each part is "
            "normalised; x itself stays unchanged.",
        ),
        Slip(
            "side by side",
            lambda x, d, a, m: x + a * x / d + m * x / 2,
            "The MLP reads the stream that attention has added to, not the old one.",
        ),
        Slip(
            "no residual",
            lambda x, d, a, m: m * (a * x / d) / 2,
            "Both parts add to the stream; you replaced it.",
        ),
    ),
)


def _block_is_wrong(names: dict[str, Any]) -> bool:
    x = torch.arange(12.0).view(3, 4).sin()
    parts = (lambda y: y.roll(1, 0), lambda y: 2 * y, torch.relu, lambda y: 3 * y)
    return not torch.allclose(names["block"](x, *parts), decoder_block(x, *parts))


BUG_BLOCK = FindTheBug(
    id="transformer.bug_block",
    prompt="This block is meant to be Qwen3's. It runs, and a checkpoint's weights load into it "
    "without an error.",
    code="""
def block(x, attention, attention_norm, mlp, mlp_norm):
    normed = attention_norm(x)
    x = normed + attention(normed)
    normed = mlp_norm(x)
    return x + mlp(normed)
""",
    line=3,
    fixed="x = x + attention(normed)",
    why="The residual is taken from the normalised copy, so the stream is rescaled here, in every "
    "layer. Add to x itself.",
    why_not={
        2: "attention reads a normalised copy, as it should.",
        4: "the MLP has its own norm, and reads the stream that attention has added to.",
        5: "here the result is added to x itself, not to the copy.",
    },
    shows_bug=_block_is_wrong,
)

LAST_NORM = OneAnswer(
    id="transformer.last_norm",
    prompt="Someone forgets the last norm, an RMSNorm whose weights all happen to be 1. What "
    "changes in the model's predictions?",
    options=(
        Option(
            "The probabilities, but not which token is most likely.",
            True,
            "without weights the norm divides a token's whole vector by one positive number, so "
            "all its logits change by the same factor. That acts like a temperature. With trained "
            "weights, which differ by feature, the most likely token may change too.",
        ),
        Option(
            "Nothing, since softmax normalises anyway.",
            False,
            "softmax does not change if a number is *added* to all logits. A factor changes the "
            "probabilities.",
        ),
        Option(
            "The logits become random numbers.",
            False,
            "the direction of each vector is unchanged; only its length differs.",
        ),
        Option(
            "Later tokens are affected, the first one is not.",
            False,
            "every token's vector has its own length, including the first one's.",
        ),
    ),
)


def _draw_position(rng: random.Random) -> dict[str, Any]:
    return {
        "padding": rng.choice([17, 23, 31]),
        "real": rng.randrange(220, 290),
        "new": rng.choice([16, 24]),
    }


def _position(padding: int, real: int, new: int) -> float:
    row = torch.tensor([[False] * padding + [True] * (real + new)])
    return float(token_positions(row, new)[0, -1])


POSITION = Numeric(
    id="transformer.position",
    prompt="In a batch, one row has {padding} padding tokens on the left and then {real} real "
    "tokens; all of these are in the cache. Now {new} more tokens are passed in. What is the "
    "position of the last of them, counted from 0?",
    draw=_draw_position,
    answer=_position,
    explain=lambda padding, real, new: (
        f"Padding is not part of the text. {real} real tokens have the positions 0 to "
        f"{real - 1}; the new ones continue with {real}, and the last has "
        f"{_position(padding, real, new):.0f}."
    ),
    tolerance=0.0005,
    slips=(
        Slip(
            "padding counted",
            lambda padding, real, new: padding + real + new - 1,
            "You counted the padding as text.",
        ),
        Slip(
            "not offset by the cache",
            lambda padding, real, new: new - 1,
            "You counted only the new tokens. Those in the cache come first.",
        ),
        Slip(
            "from 1",
            lambda padding, real, new: real + new,
            "Positions are counted from 0.",
        ),
    ),
)


def _draw_work(rng: random.Random) -> dict[str, Any]:
    return {"prompt_tokens": rng.choice([37, 48, 59]), "new": rng.choice([8, 11, 14])}


def _work(prompt_tokens: int, new: int) -> float:
    """Count the tokens that the greedy loop passes to a model without a cache."""
    handed = 0

    def logits_of(ids: Tensor) -> Tensor:
        nonlocal handed
        handed += ids.numel()
        return torch.zeros(1, ids.shape[1], 3)

    greedy_continuation(logits_of, torch.zeros(prompt_tokens, dtype=torch.long), new)
    return float(handed)


WORK = Numeric(
    id="transformer.work",
    prompt="The greedy loop without a cache gets a prompt of {prompt_tokens} tokens and generates "
    "{new} tokens. How many tokens go through the model in total, counting each token once for "
    "every pass?",
    draw=_draw_work,
    answer=_work,
    explain=lambda prompt_tokens, new: (
        f"The first pass reads {prompt_tokens} tokens, the next one more, the last "
        f"{prompt_tokens + new - 1}. Their sum is {new} · ({prompt_tokens} + "
        f"{prompt_tokens + new - 1}) / 2 = {_work(prompt_tokens, new):.0f}. With a cache it would "
        f"be {prompt_tokens + new - 1}."
    ),
    tolerance=0.004,
    slips=(
        Slip(
            "with a cache",
            lambda prompt_tokens, new: prompt_tokens + new - 1,
            "That is the number with a cache, where each token goes through once. Without it every "
            "pass starts from the first token.",
        ),
        Slip(
            "only the prompt in every pass",
            lambda prompt_tokens, new: prompt_tokens * new,
            "Generated tokens are passed in again too, so the passes get longer.",
        ),
        Slip(
            "one token too many in each pass",
            lambda prompt_tokens, new: new * (2 * prompt_tokens + new + 1) / 2,
            "The first new token comes from a pass over the prompt alone.",
        ),
    ),
)
