"""Questions on short code with one wrong line; tests run it as shown and repaired."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from course_lib.study.ask.question import FindTheBug


def _loss_is_off(names: dict[str, Any]) -> bool:
    logits = torch.sin(torch.arange(24.0)).reshape(1, 4, 6)
    ids = torch.tensor([[2, 0, 5, 1]])
    wanted = F.cross_entropy(logits[0, :3], ids[0, 1:])
    return not torch.allclose(names["next_token_loss"](logits, ids), wanted)


LOSS = FindTheBug(
    id="self_check.bug_loss",
    prompt="This is the loss of a language model for `logits` (B, T, V) and `ids` (B, T). It falls "
    "quickly in training, and the model writes nonsense.",
    code="""
def next_token_loss(logits, ids):
    log_p = logits.log_softmax(-1)
    predicted = log_p[:, 1:]
    targets = ids[:, 1:]
    picked = predicted.gather(-1, targets[..., None])
    return -picked.mean()
""",
    line=3,
    fixed="predicted = log_p[:, :-1]",
    why="What stands at position t predicts the token at t + 1. As shown, each position is asked "
    "for the token that it has just read, which is easy to copy.",
    why_not={
        2: "the logarithm of softmax over the vocabulary, the last axis, is what is needed.",
        4: "the first token is nobody's target, so the targets begin with the second one.",
        5: "gather takes from each row the number that belongs to its target.",
        6: "the surprise is minus the mean of these logarithms.",
    },
    shows_bug=_loss_is_off,
)


def _positions_are_off(names: dict[str, Any]) -> bool:
    seen: list[int] = []

    def step(token: int, position: int, cache: list) -> list[int]:
        seen.append(position)
        return [int(place == token + 1) for place in range(10)]

    written = names["write"](step, [1, 2, 3], 4)
    return seen != list(range(7)) or written != [1, 2, 3, 4, 5, 6, 7]


POSITION = FindTheBug(
    id="self_check.bug_position",
    prompt="This function should continue a text greedily. `step` runs one token at its position, "
    "counted from 0, and returns the scores of the next one. The first new token is right, later "
    "ones are not.",
    code="""
def write(step, ids, new_tokens):
    cache = []
    for position, token in enumerate(ids):
        scores = step(token, position, cache)
    for _ in range(new_tokens):
        ids = ids + [scores.index(max(scores))]
        scores = step(ids[-1], len(ids), cache)
    return ids
""",
    line=7,
    fixed="scores = step(ids[-1], len(ids) - 1, cache)",
    why="The token is already part of `ids`, so its position is len(ids) - 1. As shown, one "
    "position is left out between the prompt and the first new token, and RoPE turns by one angle "
    "too much.",
    why_not={
        2: "one empty cache for the whole text is right.",
        3: "the prompt has the positions 0, 1, 2 and so on.",
        4: "each token of the prompt fills the cache; the last scores are those that count.",
        5: "each round adds one token.",
        6: "the token with the largest score is added, which is what greedy means.",
        8: "prompt and new tokens are returned together.",
    },
    shows_bug=_positions_are_off,
)


def _decay_is_off(names: dict[str, Any]) -> bool:
    weight = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    w, m, v = 2.0, 0.0, 0.0
    for step, gradient in enumerate((0.5, -3.0, 0.25), start=1):
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        w, m, v = names["adamw"](w, gradient, m, v, step)
    return not math.isclose(w, weight.item(), rel_tol=1e-9)


ADAMW = FindTheBug(
    id="self_check.bug_adamw",
    prompt="This should be one step of AdamW for one weight. Weights that get no gradient stay as "
    "they are, although they should shrink.",
    code="""
def adamw(w, grad, m, v, step, rate=0.1, decay=0.1):
    m = 0.9 * m + 0.1 * grad
    v = 0.99 * v + 0.01 * grad * grad
    m_hat = m / (1 - 0.9 ** step)
    v_hat = v / (1 - 0.99 ** step)
    w = w - rate * decay * grad
    w = w - rate * m_hat / (v_hat ** 0.5 + 1e-8)
    return w, m, v
""",
    line=6,
    fixed="w = w - rate * decay * w",
    why="Decay pulls the weight itself towards 0, beside what the gradient wants. A part of the "
    "gradient is no decay: without gradient, nothing shrinks.",
    why_not={
        2: "the mean of the gradients moves by a tenth of the new one.",
        3: "the mean of the squares moves by a hundredth of the new square.",
        4: "the mean began at 0; this undoes that, and `step` counts from 1.",
        5: "the same for the squares, with their own number.",
        7: "the mean, divided by the root of the mean square, with a small number against 0.",
        8: "the two means are needed again in the next step.",
    },
    shows_bug=_decay_is_off,
)


def _groups_are_mixed(names: dict[str, Any]) -> bool:
    k = torch.tensor([10.0, 20.0]).reshape(1, 2, 1, 1)
    shared = names["shared"](k, 6)
    return shared.flatten().tolist() != [10.0] * 3 + [20.0] * 3


SHARED = FindTheBug(
    id="self_check.bug_shared",
    prompt="Keys of G heads should be laid out for H query heads, neighbours sharing one. Weights "
    "of released models load and give nonsense.",
    code="""
def shared(k, heads):
    batch, groups, tokens, width = k.shape
    copies = heads // groups
    return k.repeat(1, copies, 1, 1)
""",
    line=4,
    fixed="return k.repeat_interleave(copies, dim=1)",
    why="`repeat` lays the whole row of heads down again: 0 1 0 1. Query heads 0, 1, 2 share key "
    "head 0, so each head must be repeated by itself: 0 0 0 1 1 1.",
    why_not={
        2: "the axes are batch, key heads, tokens, features.",
        3: "each key head serves this many query heads.",
    },
    shows_bug=_groups_are_mixed,
)


def _bytes_are_off(names: dict[str, Any]) -> bool:
    text = "naïve ☃"
    wanted = 2.0 * 5 / math.log(2) / len(text.encode())
    return not math.isclose(names["bits_per_byte"](2.0, 5, text), wanted)


BYTES = FindTheBug(
    id="self_check.bug_bytes",
    prompt="This should turn the mean loss of a model on a text into bits per byte. For English "
    "the figures agree with those of others, for Chinese they are three times too large.",
    code="""
import math

def bits_per_byte(nats_per_token, tokens, text):
    nats = nats_per_token * tokens
    bits = nats / math.log(2)
    return bits / len(text)
""",
    line=6,
    fixed="return bits / len(text.encode())",
    why="The length of a string counts characters. A Chinese one takes three bytes in UTF-8, an "
    "English one takes one.",
    why_not={
        4: "the mean is per token, so the sum is this.",
        5: "a nat is 1 / ln 2 bits.",
    },
    shows_bug=_bytes_are_off,
)
