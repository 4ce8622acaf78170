"""Questions that are answered with a number; their numbers differ each time."""

import math
import random
from typing import Any

import torch

from course_lib import accounting, rope
from course_lib.flash.traffic import standard_bytes
from course_lib.generation.processors import keep_top_p
from course_lib.study.ask.question import Numeric, Slip
from course_lib.training.schedule import cosine_rate


def _draw_angle(rng: random.Random) -> dict[str, Any]:
    width = rng.choice((64, 128))
    return {
        "head_dim": width,
        "base": rng.choice((10_000, 500_000, 1_000_000)),
        "plane": rng.randint(2, width // 8),
        "position": rng.randint(100, 999),
    }


def _angle(head_dim: int, base: int, plane: int, position: int) -> float:
    return rope.rope_angles(torch.tensor([position]), head_dim, float(base))[0, plane].item()


ANGLE = Numeric(
    id="self_check.angle",
    prompt="A head of width {head_dim} uses RoPE with base {base}. By how many radians is plane "
    "number {plane}, counted from 0, rotated at position {position}?",
    draw=_draw_angle,
    answer=_angle,
    explain=lambda head_dim, base, plane, position: (
        f"position · base ^ (-2 · plane / width) = {position} · {base} ^ "
        f"(-{2 * plane / head_dim:.4g}) = {_angle(head_dim, base, plane, position):.4g}."
    ),
    unit="radians",
    slips=(
        Slip(
            "exponent without 2",
            lambda head_dim, base, plane, position: position * base ** (-plane / head_dim),
            "There are width / 2 planes, so the exponent runs over 2 · plane / width.",
        ),
        Slip(
            "counted from 1",
            lambda head_dim, base, plane, position: _angle(head_dim, base, plane - 1, position),
            "The first plane has number 0 and rotates by 1 radian per token.",
        ),
        Slip(
            "one position only",
            lambda head_dim, base, plane, position: _angle(head_dim, base, plane, 1),
            "That is the angle per token. Multiply it by the position.",
        ),
    ),
)


def _draw_prompt(rng: random.Random) -> dict[str, Any]:
    return {
        "billions": rng.choice((1.7, 4.0, 8.2, 14.8, 32.8, 70.6)),
        "rate": rng.choice((50, 100, 200, 400)),
        "tokens": rng.choice((1_000, 2_000, 4_000, 8_000)),
    }


def _prompt_seconds(billions: float, rate: int, tokens: int) -> float:
    flops = accounting.flops_per_token(round(billions * 1e9), 0, 0, 0)  # no attention counted
    return flops * tokens / (rate * 1e12)


PROMPT = Numeric(
    id="self_check.prompt_seconds",
    prompt="A dense model of {billions} billion parameters reads a prompt of {tokens} tokens on a "
    "GPU that sustains {rate} TFLOPS. Count one multiplication and one addition per parameter and "
    "token, and nothing else. How many seconds does it take?",
    draw=_draw_prompt,
    answer=_prompt_seconds,
    explain=lambda billions, rate, tokens: (
        f"2 · {billions} · 10⁹ FLOPs for each token, times {tokens} tokens, divided by {rate} · "
        f"10¹² FLOPs per second: {_prompt_seconds(billions, rate, tokens):.4g} seconds."
    ),
    unit="seconds",
    slips=(
        Slip(
            "six per parameter",
            lambda **drawn: 3 * _prompt_seconds(**drawn),
            "6 FLOPs per parameter and token are for training: 2 forward, 4 backward.",
        ),
        Slip(
            "one per parameter",
            lambda **drawn: _prompt_seconds(**drawn) / 2,
            "A multiplication and an addition are two FLOPs per parameter.",
        ),
    ),
)


def _draw_nucleus(rng: random.Random) -> dict[str, Any]:
    while True:
        shares = sorted((rng.randint(4, 40) for _ in range(5)), reverse=True)
        total = sum(shares)
        probabilities = [round(share / total, 2) for share in shares]
        p = rng.choice((0.6, 0.7, 0.8, 0.9))
        sums = [sum(probabilities[: k + 1]) for k in range(5)]
        clear = all(abs(each - p) > 0.015 for each in sums) and probabilities[0] < p
        if abs(sums[-1] - 1) < 1e-9 and min(probabilities) >= 0.04 and clear:
            return {"probabilities": probabilities, "p": p}


def _best_after(probabilities: list[float], p: float) -> float:
    kept = keep_top_p(torch.tensor([probabilities], dtype=torch.float64).log(), p)
    return kept.softmax(-1)[0, 0].item()


def _survivors(probabilities: list[float], p: float) -> list[float]:
    logits = torch.tensor([probabilities], dtype=torch.float64).log()
    kept = keep_top_p(logits, p)[0].isfinite()
    return [share for share, stays in zip(probabilities, kept.tolist(), strict=True) if stays]


NUCLEUS = Numeric(
    id="self_check.nucleus",
    prompt="Five tokens have the probabilities {probabilities}. Top-p with {p} drops some of "
    "them, and one of the rest is sampled. What is the probability that it is the first token?",
    draw=_draw_nucleus,
    answer=_best_after,
    explain=lambda probabilities, p: (
        f"The fewest that reach {p} are {_survivors(probabilities, p)}. "
        f"{probabilities[0]} / {sum(_survivors(probabilities, p)):.2f} = "
        f"{_best_after(probabilities, p):.4g}."
    ),
    slips=(
        Slip(
            "the crossing token left out",
            lambda probabilities, p: probabilities[0] / sum(_survivors(probabilities, p)[:-1]),
            "The token with which the sum reaches the limit is kept.",
        ),
        Slip(
            "not normalized",
            lambda probabilities, p: probabilities[0],
            "Normalize: divide by the sum of the probabilities that are kept.",
        ),
    ),
)


def _draw_rate(rng: random.Random) -> dict[str, Any]:
    steps = rng.choice((1_000, 2_000, 5_000, 10_000))
    warmup = steps // rng.choice((5, 10))
    progress = rng.choice((0.2, 0.25, 0.3, 0.7, 0.75, 0.8))
    return {"steps": steps, "warmup": warmup, "step": warmup + round(progress * (steps - warmup))}


def _rate(steps: int, warmup: int, step: int) -> float:
    return cosine_rate(step, warmup=warmup, steps=steps)


RATE = Numeric(
    id="self_check.rate",
    prompt="A run has {steps} steps, of which the first {warmup} are a linear warm-up. Then the "
    "rate falls to 0 on half a cosine. What fraction of its peak is it at step {step}?",
    draw=_draw_rate,
    answer=_rate,
    explain=lambda steps, warmup, step: (
        f"Progress after the warm-up: ({step} - {warmup}) / ({steps} - {warmup}) = "
        f"{(step - warmup) / (steps - warmup):.3g}; (1 + cos(π · progress)) / 2 = "
        f"{_rate(steps, warmup, step):.4g}."
    ),
    slips=(
        Slip(
            "a straight line",
            lambda steps, warmup, step: 1 - (step - warmup) / (steps - warmup),
            "That is a straight line. A cosine stays high for longer, then falls faster.",
        ),
        Slip(
            "warm-up counted in",
            lambda steps, warmup, step: (1 + math.cos(math.pi * step / steps)) / 2,
            "The cosine starts where the warm-up ends.",
        ),
    ),
)


def _draw_groups(rng: random.Random) -> dict[str, Any]:
    groups = rng.choice((2, 4, 8))
    return {
        "layers": rng.choice((24, 28, 32, 36, 48)),
        "heads": groups * rng.choice((4, 8)),
        "groups": groups,
        "width": rng.choice((64, 128)),
        "tokens": rng.choice((16_000, 32_000, 64_000, 100_000)),
    }


def _cache(layers: int, groups: int, width: int, tokens: int) -> float:
    return accounting.kv_cache_bytes(layers, groups, width, tokens) / 1e9


def _saved(layers: int, heads: int, groups: int, width: int, tokens: int) -> float:
    return _cache(layers, heads, width, tokens) - _cache(layers, groups, width, tokens)


GROUPS = Numeric(
    id="self_check.cache_saved",
    prompt="A model has {layers} layers with {heads} query heads of width {width}. Its cache holds "
    "{tokens} tokens in bfloat16. How many GB (10⁹ bytes) are saved if the query heads share "
    "{groups} key/value heads, instead of having one each?",
    draw=_draw_groups,
    answer=_saved,
    explain=lambda layers, heads, groups, width, tokens: (
        f"2 (keys and values) · {layers} layers · ({heads} - {groups}) heads · {width} · {tokens} "
        f"tokens · 2 bytes = {_saved(layers, heads, groups, width, tokens):.4g} GB."
    ),
    unit="GB",
    slips=(
        Slip(
            "keys alone",
            lambda **drawn: _saved(**drawn) / 2,
            "Both keys and values are cached.",
        ),
        Slip(
            "what remains",
            lambda layers, heads, groups, width, tokens: _cache(layers, groups, width, tokens),
            "That is the size of the remaining cache. The question is what is saved.",
        ),
        Slip(
            "four bytes",
            lambda **drawn: 2 * _saved(**drawn),
            "A bfloat16 number takes 2 bytes.",
        ),
    ),
)


def _draw_table(rng: random.Random) -> dict[str, Any]:
    return {
        "width": rng.choice((32, 64, 128)),
        "tokens": rng.choice((256, 384, 512, 768, 1024)),
    }


def _moved(width: int, tokens: int) -> float:
    return standard_bytes(tokens, tokens, width, 2) / 1e6


TABLE = Numeric(
    id="self_check.table_moved",
    prompt="One head of width {width} attends over {tokens} tokens, in float16. The standard "
    "method reads queries, keys and values, writes the output, and moves the table of all pairs "
    "four times: scores out and in, weights out and in. How many MB (10⁶ bytes) does it move?",
    draw=_draw_table,
    answer=_moved,
    explain=lambda width, tokens: (
        f"4 · {tokens} · {width} numbers for q, k, v and the output, 4 · {tokens} · {tokens} for "
        f"the table, 2 bytes each: {_moved(width, tokens):.4g} MB."
    ),
    unit="MB",
    slips=(
        Slip(
            "the table once",
            lambda width, tokens: 2 * (4 * tokens * width + tokens * tokens) / 1e6,
            "The table is moved four times: scores and weights are each written once and read "
            "once.",
        ),
        Slip(
            "the table alone",
            lambda width, tokens: 2 * 4 * tokens * tokens / 1e6,
            "Queries, keys, values and the output are moved as well.",
        ),
        Slip(
            "four bytes",
            lambda width, tokens: 2 * _moved(width, tokens),
            "A float16 number takes 2 bytes.",
        ),
    ),
)
