"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random
from fractions import Fraction

import torch
from torch import Tensor

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

_MARGIN = 1e-3  # how far a ratio is from every corner of the clip


def _dtype(rng: random.Random) -> torch.dtype:
    return rng.choice((torch.float32, torch.float64))


def gradient_inputs(rng: random.Random) -> Call:
    """Return logits, actions that repeat, and an advantage for each."""
    actions, samples, dtype = rng.randint(1, 5), rng.randint(1, 6), _dtype(rng)
    chosen = torch.randint(actions, (samples,), generator=torch_generator(rng))
    logits = random_tensor(rng, actions, scale=2.0, dtype=dtype)
    return call(logits, chosen, random_tensor(rng, samples, dtype=dtype))


def _away_from_corners(ratio: Tensor, corners: tuple[float, ...]) -> bool:
    return all(bool(((ratio - corner).abs() > _MARGIN).all()) for corner in corners)


def clip_inputs(rng: random.Random) -> Call:
    """Return ratios on all sides of the limits, advantages of both signs, and two limits."""
    rows, tokens, dtype = rng.randint(1, 4), rng.randint(1, 5), _dtype(rng)
    low, high = rng.choice((0.1, 0.2, 0.5)), rng.choice((0.1, 0.2, 0.28))
    while True:
        ratio = (0.4 * random_tensor(rng, rows, tokens, dtype=dtype)).exp()
        if _away_from_corners(ratio, (1 - low, 1 + high)):
            return call(ratio, random_tensor(rng, rows, tokens, dtype=dtype), low, high)


def mask_of(lengths: list[int], tokens: int) -> Tensor:
    """Return a mask that is True at the first tokens of each row."""
    return torch.arange(tokens) < torch.tensor(lengths)[:, None]


def gae_inputs(rng: random.Random) -> Call:
    """Return rewards and values of answers of different length, noise at padding."""
    rows, tokens, dtype = rng.randint(1, 3), rng.randint(1, 6), _dtype(rng)
    mask = mask_of([rng.randint(1, tokens) for _ in range(rows)], tokens)
    rewards, values = (random_tensor(rng, rows, tokens, dtype=dtype) for _ in range(2))
    return call(rewards, values, mask, rng.choice((0.5, 0.9, 1.0)), rng.choice((0.0, 0.5, 0.95)))


def group_inputs(rng: random.Random) -> Call:
    """Return rewards in eighths; some groups are all equal, some rewards far from 0."""
    prompts, group = rng.randint(1, 4), rng.randint(2, 6)
    rows = []
    for _ in range(prompts):
        most = rng.choice((0, 1, 8))
        start = rng.choice((0, 0, -3, 5))
        rows.append([start + rng.randint(0, most) / 8 for _ in range(group)])
    return call(torch.tensor(rows, dtype=_dtype(rng)), rng.choice((1e-4, 0.01, 0.25)))


def kl_inputs(rng: random.Random) -> Call:
    """Return the log-probabilities of the same tokens under two models."""
    shape = [rng.randint(1, 4) for _ in range(rng.randint(1, 3))]
    dtype = _dtype(rng)
    policy = -random_tensor(rng, *shape, scale=2.0, dtype=dtype).abs()
    return call(policy, policy + random_tensor(rng, *shape, scale=0.7, dtype=dtype))


def loss_inputs(rng: random.Random) -> Call:
    """Return log-probabilities under two policies, advantages of both signs, and lengths."""
    rows, tokens, dtype = rng.randint(1, 4), rng.randint(1, 5), _dtype(rng)
    clip = rng.choice((0.1, 0.2, 0.4))
    mask = mask_of([rng.randint(1, tokens) for _ in range(rows)], tokens)
    while True:
        old = -random_tensor(rng, rows, tokens, dtype=dtype).abs()
        new = old + random_tensor(rng, rows, tokens, scale=0.4, dtype=dtype)
        if _away_from_corners((new - old).exp(), (1 - clip, 1 + clip)):
            return call(new, old, random_tensor(rng, rows, dtype=dtype), mask, clip)


def _spelled(rng: random.Random, value: Fraction) -> str:
    """Return a number as an integer, a decimal number or a fraction."""
    forms = []
    if value.denominator == 1:
        forms += [str(value.numerator), f"{value.numerator}.0"]
    if value.denominator in (2, 4):
        forms.append(str(float(value)))
    factor = rng.randint(1, 3)
    forms.append(f"{value.numerator * factor}/{value.denominator * factor}")
    return rng.choice(forms)


def _number(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(-12, 30), rng.choice((1, 1, 1, 2, 3, 4)))


def verifier_inputs(rng: random.Random) -> Call:
    """Return a text, and a number that it may end with, mention, or not contain at all."""
    right, wrong = _number(rng), _number(rng)
    a, b = (_spelled(rng, rng.choice((right, right, wrong))) for _ in range(2))
    patterns = (
        "{a} so {b}.",
        "{a} so {b}.",
        "so {a}. No, so {b}.",
        "so {b}.",
        "so {a}",
        "so {a}. It is not {b}.",
        "{a} {b}.",
        "{b} is also {a}.",
        "so {a} or {b}.",
        "so none.",
        "so {a}/0.",
        "",
    )
    return call(rng.choice(patterns).format(a=a, b=b), _spelled(rng, right))


def vote_inputs(rng: random.Random) -> Call:
    """Return answers with ties, and texts without an answer among them."""
    known = rng.sample(["12", "7", "840", "843", "9"], rng.randint(1, 4))
    if rng.random() < 0.5:
        known.append(None)  # type: ignore[arg-type]
    count = rng.randint(1, 8)
    return call([rng.choice(known) for _ in range(count)])


def pass_inputs(rng: random.Random) -> Call:
    """Return numbers of answers, of right ones, and of tries."""
    n = rng.choice((rng.randint(1, 12), rng.randint(1, 200)))
    return call(n, rng.randint(0, n), rng.randint(1, n))
