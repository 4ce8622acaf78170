"""The exercise on rounding that lets gradients pass."""

import torch

from course_lib.chapters.compression import answers
from course_lib.chapters.compression.exercises import generators
from course_lib.chapters.compression.exercises.with_gradient import with_gradient
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _most(bits):
    return 2 ** (bits - 1) - 1


def _by_fake_quantize(x, scale, bits):
    most = _most(bits)
    wide = torch.float32
    return torch.fake_quantize_per_tensor_affine(x.to(wide), scale, 0, -most, most).to(x.dtype)


def _as_hinted(x, scale, bits):
    most = 2 ** (bits - 1) - 1
    codes = (x / scale).round()
    inside = (codes.abs() <= most).to(x.dtype)
    y = codes.clamp(-most, most) * scale
    return y.detach() + (x - x.detach()) * inside


def _by_where(x, scale, bits):
    most = _most(bits)
    codes = (x / scale).round().detach()
    passing = x + (codes * scale - x).detach()
    return torch.where(codes.abs() <= most, passing, codes.clamp(-most, most) * scale)


def _by_clamped_codes(x, scale, bits):
    most = _most(bits)
    ratio = x / scale
    codes = ratio + (ratio.round() - ratio).detach()
    return codes.clamp(-most, most) * scale


def _by_masked(x, scale, bits):
    most = _most(bits)
    codes = (x / scale).round()
    kept = torch.where(codes.abs() <= most, x, x.detach())
    return kept + (codes.clamp(-most, most) * scale - x).detach()


def _no_gradient(x, scale, bits):
    return (x / scale).round().clamp(-_most(bits), _most(bits)) * scale


def _everywhere(x, scale, bits):
    return x + (_no_gradient(x, scale, bits) - x).detach()


def _clamped_first(x, scale, bits):
    inside = (x / scale).clamp(-_most(bits), _most(bits))
    return (inside + (inside.round() - inside).detach()) * scale


def _not_clamped(x, scale, bits):
    return x + ((x / scale).round() * scale - x).detach()


def _codes_only(x, scale, bits):
    codes = x / scale + ((x / scale).round() - x / scale).detach()
    return codes.clamp(-_most(bits), _most(bits))


def _wrong_limit(x, scale, bits):
    most = 2**bits - 1
    codes = x / scale + ((x / scale).round() - x / scale).detach()
    return codes.clamp(-most, most) * scale


def _cut(x, scale, bits):
    ratio = x / scale
    codes = ratio + (ratio.trunc() - ratio).detach()
    return codes.clamp(-_most(bits), _most(bits)) * scale


def _scaled_gradient(x, scale, bits):
    most = _most(bits)
    codes = (x / scale).round()
    inside = (codes.abs() <= most).to(x.dtype)
    y = codes.clamp(-most, most) * scale
    return y.detach() + (x - x.detach()) * inside / scale


def _call(*numbers, scale=0.5, bits=3):
    return call(torch.tensor(numbers), scale, bits)


STRAIGHT = Exercise(
    id="compression.straight",
    title="Round, and let the gradient pass",
    minutes=10,
    difficulty=3,
    statement=(
        "Return `x`, of any shape, rounded to multiples of `scale`, a positive number: code = "
        "round(x / scale), clamped to −m … m with m = 2^(bits − 1) − 1; the result is code · "
        "scale. Its gradient with respect to x is 1 where the rounded code lies within −m … m "
        "before it is clamped, and 0 where it is beyond. Rounding is torch.round's. The gradient "
        "is checked too."
    ),
    solution=with_gradient(answers.round_through),
    adapter=with_gradient,
    reference=with_gradient(_by_fake_quantize),
    generator=generators.straight,
    probes=(
        Probe(
            "rounded",
            lambda: _call(0.6, -0.9, 0.1),
            "The nearest multiples of 0.5: 0.5, −1 and 0.",
        ),
        Probe("clamped", lambda: _call(9.0, -9.0), "3 bits: at most 3 · 0.5 in both directions."),
        Probe("two bits", lambda: _call(0.3, 2.0, bits=2), "Only −1, 0 and 1 are codes."),
        Probe(
            "the gradient inside",
            lambda: _call(0.6, -0.9, 0.1, 1.4),
            "It passes as if nothing had been rounded: 1 everywhere.",
        ),
        Probe(
            "the gradient outside",
            lambda: _call(0.6, 9.0, -9.0),
            "Where x is clamped, moving it changes nothing: 0.",
        ),
        Probe(
            "just outside",
            lambda: _call(1.6, -1.7),
            "1.6 / 0.5 = 3.2 is rounded to 3, which is a code: the gradient passes.",
        ),
        Probe(
            "a matrix",
            lambda: call(torch.tensor([[0.6, 5.0, 1.1], [-0.4, -7.0, 3.9]]), 2.0, 3),
            "Any shape.",
        ),
        Probe(
            "halves",
            lambda: _call(0.25, 0.75, -0.25),
            "0.25 / 0.5 = 0.5 becomes 0, 0.75 / 0.5 = 1.5 becomes 2: halves go to even numbers.",
        ),
    ),
    misconceptions=(
        Misconception(
            "no gradient",
            with_gradient(_no_gradient),
            "torch.round has the gradient 0, so nothing is learned. Detach the rounding error.",
        ),
        Misconception(
            "a gradient everywhere",
            with_gradient(_everywhere),
            "x + (q − x).detach() passes the gradient where x was clamped too.",
        ),
        Misconception(
            "clamped before rounding",
            with_gradient(_clamped_first),
            "You clamp x / scale before rounding, so the gradient ends half a step too early.",
        ),
        Misconception(
            "not clamped",
            with_gradient(_not_clamped),
            "There are no codes beyond m = 2^(bits − 1) − 1. Clamp.",
        ),
        Misconception(
            "codes, not numbers",
            with_gradient(_codes_only),
            "You return codes. Multiply them by the scale.",
        ),
        Misconception(
            "too many codes",
            with_gradient(_wrong_limit),
            "The largest code is 2^(bits − 1) − 1.",
        ),
        Misconception(
            "cut off, not rounded",
            with_gradient(_cut),
            "You cut the fraction off. Use torch.round.",
        ),
        Misconception(
            "the gradient divided by the scale",
            with_gradient(_scaled_gradient),
            "The result is in the units of x: its gradient is 1, not 1 / scale.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", with_gradient(_as_hinted)),
        Alternative("by where", with_gradient(_by_where)),
        Alternative("clamped codes", with_gradient(_by_clamped_codes)),
        Alternative("with a part detached", with_gradient(_by_masked)),
    ),
    hints=(
        "A number minus itself, x − x.detach(), is 0 and has the gradient 1.",
        "y = (x / scale).round().clamp(−m, m) * scale is the value, without a useful gradient.",
        "y.detach() + (x − x.detach()) * inside, where inside is 1 or 0 for each number.",
    ),
)
