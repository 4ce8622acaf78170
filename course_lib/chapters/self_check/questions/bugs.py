"""Questions on short code with one wrong line; tests run it as shown and as corrected."""

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
    "quickly in training, and the model generates nonsense.",
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
    why="Row t predicts the token at t + 1. As shown, each row is scored at the token that it "
    "has just read, which is easy to copy.",
    why_not={
        2: "the logarithm of softmax over the vocabulary, the last axis, is correct.",
        4: "the first token has nothing before it, so the targets start with the second one.",
        5: "gather takes from each row the log-probability of its target.",
        6: "the loss is minus the mean of these log-probabilities.",
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
    "position is skipped between the prompt and the first new token, and RoPE rotates by one "
    "position too many.",
    why_not={
        2: "one empty cache for the whole text is correct.",
        3: "the prompt has the positions 0, 1, 2 and so on.",
        4: "each token of the prompt fills the cache; only the last scores are used.",
        5: "each pass of the loop adds one token.",
        6: "greedy decoding appends the token with the largest score.",
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
    prompt="This should be one step of AdamW for one weight. Weights without a gradient do not "
    "change, although they should shrink.",
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
    why="Decay shrinks the weight itself, independently of the gradient. As shown, a share of the "
    "gradient is subtracted instead, so without a gradient nothing shrinks.",
    why_not={
        2: "the running mean moves a tenth of the way to the new gradient.",
        3: "the mean of the squares moves a hundredth of the way to the new square.",
        4: "the mean started at 0; this corrects for it, and `step` counts from 1.",
        5: "the same for the squares, with their own beta.",
        7: "the mean divided by the root of the mean square; the small number avoids 0 / 0.",
        8: "the next step needs both means.",
    },
    shows_bug=_decay_is_off,
)


def _groups_are_mixed(names: dict[str, Any]) -> bool:
    k = torch.tensor([10.0, 20.0]).reshape(1, 2, 1, 1)
    shared = names["shared"](k, 6)
    return shared.flatten().tolist() != [10.0] * 3 + [20.0] * 3


SHARED = FindTheBug(
    id="self_check.bug_shared",
    prompt="Keys of G heads should be repeated for H query heads, so that neighboring query heads "
    "share one. Weights of released models load and give nonsense.",
    code="""
def shared(k, heads):
    batch, groups, tokens, width = k.shape
    copies = heads // groups
    return k.repeat(1, copies, 1, 1)
""",
    line=4,
    fixed="return k.repeat_interleave(copies, dim=1)",
    why="With two key heads and six query heads, `repeat` copies the whole row of heads: "
    "0 1 0 1 0 1. Query heads 0, 1 and 2 share key head 0, so each head must be repeated in place: "
    "0 0 0 1 1 1.",
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
    prompt="This should convert the mean loss of a model on a text into bits per byte. For English "
    "the results agree with published ones, for Chinese they are three times too large.",
    code="""
import math

def bits_per_byte(nats_per_token, tokens, text):
    nats = nats_per_token * tokens
    bits = nats / math.log(2)
    return bits / len(text)
""",
    line=6,
    fixed="return bits / len(text.encode())",
    why="The length of a string counts characters. In UTF-8 a Chinese character takes three "
    "bytes, an English letter one.",
    why_not={
        4: "the mean is per token, so this is the sum.",
        5: "a nat is 1 / ln 2 bits.",
    },
    shows_bug=_bytes_are_off,
)


def _norm_is_misplaced(names: dict[str, Any]) -> bool:
    x = torch.tensor([3.0, -1.0])
    out = names["block"](x, lambda h: h / h.norm(), lambda h: 0 * h, lambda h: 0 * h)
    return not torch.equal(out, x)


NORM = FindTheBug(
    id="self_check.bug_norm",
    prompt="This should be a pre-norm block, with one norm for both places. A checkpoint loads "
    "without errors, and the model's text is nonsense.",
    code="""
def block(x, norm, attention, mlp):
    h = norm(x)
    x = h + attention(h)
    h = norm(x)
    return x + mlp(h)
""",
    line=3,
    fixed="x = x + attention(h)",
    why="A sublayer reads the normed hidden states, but its output is added to the residual stream "
    "itself. As shown, the stream is replaced by its normed copy in every block.",
    why_not={
        2: "attention reads a normed copy of the hidden states.",
        4: "the MLP reads a normed copy of the sum.",
        5: "here the output is added to the residual stream, as it should be.",
    },
    shows_bug=_norm_is_misplaced,
)


def _future_leaks(names: dict[str, Any]) -> bool:
    x = torch.sin(torch.arange(12.0)).reshape(4, 3)
    changed = x.clone()
    changed[2:] += 1.0
    before, after = (names["attend"](each, each, each)[:2] for each in (x, changed))
    return not torch.allclose(before, after)


LEAK = FindTheBug(
    id="self_check.bug_leak",
    prompt="This should be causal self-attention. The training loss falls to almost nothing within "
    "a few hundred steps, on held-out text too, and generated text is poor.",
    code="""
import torch

def attend(q, k, v):
    scores = q @ k.mT / k.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(2)
    weights = scores.masked_fill(future, float("-inf")).softmax(-1)
    return weights @ v
""",
    line=5,
    fixed="future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)",
    why="triu(2) leaves the first diagonal above the main one visible, so each token reads its "
    "successor, which is its target. In generation there is no successor to read.",
    why_not={
        4: "scores are divided by the root of the head width.",
        6: "masked scores become -inf before softmax, and their weights 0.",
        7: "the weights average the values.",
    },
    shows_bug=_future_leaks,
)


def _loss_is_nan(names: dict[str, Any]) -> bool:
    log_p = torch.tensor([[-0.5, -1.5, float("-inf")]] * 3)
    targets, counted = torch.tensor([0, 1, 2]), torch.tensor([True, True, False])
    found = names["mean_loss"](log_p, targets, counted)
    return not torch.allclose(found, torch.tensor(1.0))


NAN = FindTheBug(
    id="self_check.bug_nan",
    prompt="This should be the mean loss over the targets that count. The id used for padding is "
    "never allowed as an output, so its log-probability is -inf. The loss is nan.",
    code="""
def mean_loss(log_p, targets, counted):
    picked = log_p.gather(-1, targets[..., None]).squeeze(-1)
    total = -(picked * counted).sum()
    return total / counted.sum()
""",
    line=3,
    fixed="total = -picked[counted].sum()",
    why="-inf times 0 is nan, and one nan makes the sum nan. Select the targets that count instead "
    "of multiplying the others by 0.",
    why_not={
        2: "gather takes from each row the log-probability of its target.",
        4: "the mean is over the number of targets that count, which is not 0 here.",
    },
    shows_bug=_loss_is_nan,
)
