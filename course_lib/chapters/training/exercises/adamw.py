"""The exercise on one step of AdamW."""

import math

import torch

from course_lib.chapters.training.exercises.generators import adamw_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.training import optimizer


def _adamw(
    rule,
    decay=lambda p, rate, amount: p * (1 - rate * amount),
):
    """Return AdamW with a different rule: (g, m, v, step, betas, eps) -> (move, m, v)."""

    def update(
        parameter,
        gradient,
        m,
        v,
        step,
        rate,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.01,
    ):
        move, m, v = rule(gradient, m, v, step, betas, eps)
        return decay(parameter, rate, weight_decay) - rate * move, m, v

    return update


def _means(g, m, v, betas):
    return betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g


def _corrected(m, v, step, betas):
    return m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)


def _right(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, step, betas)
    return m_hat / (v_hat.sqrt() + eps), m, v


def _uncorrected(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    return m / (v.sqrt() + eps), m, v


def _half_corrected(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    return _corrected(m, v, step, betas)[0] / (v.sqrt() + eps), m, v


def _inside(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, step, betas)
    return m_hat / (v_hat + eps).sqrt(), m, v


def _no_root(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    m_hat, v_hat = _corrected(m, v, step, betas)
    return m_hat / (v_hat + eps), m, v


def _not_squared(g, m, v, step, betas, eps):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g
    m_hat, v_hat = _corrected(m, v, step, betas)
    return m_hat / (v_hat.sqrt() + eps), m, v


def _epsilon_first(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    return (
        _corrected(m, v, step, betas)[0] * math.sqrt(1 - betas[1] ** step) / (v.sqrt() + eps),
        m,
        v,
    )


def _of_last_time(g, m, v, step, betas, eps):
    m_hat, v_hat = _corrected(m, v, step, betas)
    return m_hat / (v_hat.sqrt() + eps), *_means(g, m, v, betas)


def _carried_on(g, m, v, step, betas, eps):
    move, m, v = _right(g, m, v, step, betas, eps)
    return move, *_corrected(m, v, step, betas)


def _from_zero(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, betas)
    m_hat = m / torch.tensor(1 - betas[0] ** (step - 1))
    v_hat = v / torch.tensor(1 - betas[1] ** (step - 1))
    return m_hat / (v_hat.sqrt() + eps), m, v


def _swapped(g, m, v, step, betas, eps):
    return _right(g, m, v, step, betas[::-1], eps)


def _weights_exchanged(g, m, v, step, betas, eps):
    m, v = _means(g, m, v, (1 - betas[0], 1 - betas[1]))
    m_hat, v_hat = _corrected(m, v, step, betas)
    return m_hat / (v_hat.sqrt() + eps), m, v


def _l2(parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    gradient = gradient + weight_decay * parameter
    move, m, v = _right(gradient, m, v, step, betas, eps)
    return parameter - rate * move, m, v


def _decayed_last(
    parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    move, m, v = _right(gradient, m, v, step, betas, eps)
    return (parameter - rate * move) * (1 - rate * weight_decay), m, v


def _number_by_number(
    parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    """Compute the whole step for each number separately, in Python's own arithmetic."""
    rows = zip(*(t.flatten().tolist() for t in (parameter, gradient, m, v)), strict=True)
    new = []
    for weight, g, old_m, old_v in rows:
        mean = old_m + (1 - betas[0]) * (g - old_m)
        square = old_v + (1 - betas[1]) * (g**2 - old_v)
        size = math.sqrt(square / (1 - math.pow(betas[1], step))) + eps
        move = mean / (1 - math.pow(betas[0], step)) / size
        new.append((weight - rate * (weight_decay * weight + move), mean, square))
    return tuple(torch.tensor(each).view_as(parameter) for each in zip(*new, strict=True))


def _settings_ignored(
    parameter, gradient, m, v, step, rate, betas=None, eps=1e-8, weight_decay=0.01
):
    move, m, v = _right(gradient, m, v, step, (0.9, 0.999), eps)
    return parameter * (1 - rate * weight_decay) - rate * move, m, v


def _means_first(*given, **settings):
    parameter, m, v = _adamw(_right)(*given, **settings)
    return m, v, parameter


def _by_optimizer(
    parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    leaf = torch.nn.Parameter(parameter.clone())
    leaf.grad = gradient.clone()
    steps = torch.optim.AdamW([leaf], rate, betas, eps, weight_decay)
    state = {"step": torch.tensor(step - 1.0), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    steps.state[leaf] = state
    steps.step()
    return leaf.detach(), state["exp_avg"], state["exp_avg_sq"]


def _corrected_rate(
    parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    m = m.lerp(gradient, 1 - betas[0])
    v = (betas[1] * v).addcmul(gradient, gradient, value=1 - betas[1])
    fix = math.sqrt(1 - betas[1] ** step)
    moved = -rate * fix / (1 - betas[0] ** step)
    kept = parameter * (1 - rate * weight_decay)
    return kept.addcdiv(m, v.sqrt() + eps * fix, value=moved), m, v


def _some(size=1.0):
    return uneven(2, 3), uneven(3, 2).mT.contiguous() * size


def _begun(step, **settings):
    """Return a call in the middle of a run, with means that are not zero."""
    weight, gradient = _some()
    m, v = gradient.flip(1) * 0.3, gradient.flip(0) ** 2 * 0.2
    return call(weight, gradient, m, v, step, **settings)


def _first(weight_decay, size=1.0):
    weight, gradient = _some(size)
    zero = torch.zeros(2, 3)
    return call(weight, gradient, zero, zero.clone(), 1, rate=0.1, weight_decay=weight_decay)


ADAMW = Exercise(
    id="training.adamw",
    title="One step of AdamW",
    minutes=12,
    difficulty=3,
    statement=(
        "Return the new parameter and the new m and v, in that order, as new tensors. All four "
        "tensors have the same shape, which may be any. `step` counts from 1. The m and v that you "
        "return are the running means without the correction."
    ),
    solution=optimizer.adamw_update,
    reference=_number_by_number,
    generator=adamw_inputs,
    probes=(
        Probe(
            "the first step, no decay",
            lambda: _first(0.0),
            "Corrected, m is g and v is g²: each number moves by the rate, against the sign of g.",
        ),
        Probe(
            "a later step, no decay",
            lambda: _begun(7, rate=0.1, weight_decay=0.0),
            "The old means count too; the correction is the one for step 7.",
        ),
        Probe(
            "decay alone",
            lambda: call(
                uneven(2, 3), *[torch.zeros(2, 3) for _ in range(3)], 3, 0.1, weight_decay=0.5
            ),
            "Without a gradient the parameter shrinks by rate · weight_decay, here 5 %.",
        ),
        Probe(
            "decay of a vector",
            lambda: call(uneven(3), *[torch.zeros(3) for _ in range(3)], 2, 0.1, weight_decay=0.5),
            "A vector decays like a matrix; the caller decides, through weight_decay.",
        ),
        Probe(
            "decay and gradient",
            lambda: _begun(4, rate=0.1, weight_decay=0.5),
            "The decay uses the old parameter and is not divided by √v.",
        ),
        Probe(
            "a large epsilon",
            lambda: _begun(4, rate=0.1, eps=0.3, weight_decay=0.0),
            "An ε of 0.3 shows where it is added: after the root and after the correction.",
        ),
        Probe(
            "other betas",
            lambda: _begun(3, rate=0.05, betas=(0.5, 0.8), weight_decay=0.1),
            "The first beta is for m, the second for v.",
        ),
    ),
    misconceptions=(
        Misconception(
            "no bias correction",
            _adamw(_uncorrected),
            "m and v start at zero. With the default betas m is a tenth of the gradient after one "
            "step and √v about a thirtieth of it, so the first step is three times too long. "
            "Divide m by 1 − β₁ᵗ and v by 1 − β₂ᵗ.",
        ),
        Misconception(
            "L2 instead of decoupled decay",
            _l2,
            "You added weight_decay · parameter to the gradient. There it is divided by √v like "
            "the rest, so that weights with large gradients hardly decay. AdamW subtracts rate · "
            "weight_decay · parameter from the parameter itself.",
        ),
        Misconception(
            "epsilon inside the root",
            _adamw(_inside),
            "√(v̂ + ε) with ε = 1e-8 acts like an ε of 1e-4 outside the root. The formula is √v̂ + "
            "ε.",
        ),
        Misconception(
            "steps counted from zero",
            _adamw(_from_zero),
            "You correct with the power step − 1, which divides by zero at the first step. `step` "
            "is already 1 there, so use it unchanged.",
        ),
        Misconception(
            "only m corrected",
            _adamw(_half_corrected),
            "v starts at zero as m does, and with β₂ = 0.999 it needs the correction for much "
            "longer. Divide v by 1 − β₂ᵗ as well.",
        ),
        Misconception(
            "no square",
            _adamw(_not_squared),
            "v is the running mean of g². A mean of g itself may be negative and then has no root.",
        ),
        Misconception(
            "epsilon before the correction",
            _adamw(_epsilon_first),
            "You add ε to √v and correct afterwards, so ε is corrected too. (Early versions of "
            "Adam did this.) First v̂ = v / (1 − β₂ᵗ), then √v̂ + ε.",
        ),
        Misconception(
            "the means of the previous step",
            _adamw(_of_last_time),
            "You move by the old m and v. Update them with this gradient first.",
        ),
        Misconception(
            "uphill",
            _adamw(lambda *given: (-_right(*given)[0], *_right(*given)[1:])),
            "The gradient points in the direction in which the loss grows. Subtract rate · m̂ / "
            "(√v̂ + ε).",
        ),
        Misconception(
            "no decay",
            _adamw(_right, lambda p, rate, amount: p),
            "This is Adam. AdamW also subtracts rate · weight_decay · parameter from the "
            "parameter.",
        ),
        Misconception(
            "the corrected means returned",
            _adamw(_carried_on),
            "You return m̂ and v̂. The next step would correct them a second time. Return m and v.",
        ),
        Misconception(
            "no square root",
            _adamw(_no_root),
            "v is a mean of squares: dividing by v itself makes the step shrink as gradients grow. "
            "Divide by its root.",
        ),
        Misconception(
            "the betas exchanged",
            _adamw(_swapped),
            "betas[0] is for m, which must react quickly; betas[1] is for v, which must be steady.",
        ),
        Misconception(
            "beta and 1 − beta exchanged",
            _adamw(_weights_exchanged),
            "β is the weight of the old mean, and 1 − β that of the new gradient; with β = 0.9 the "
            "old mean counts nine times as much.",
        ),
        Misconception(
            "decay without the rate",
            _adamw(_right, lambda p, rate, amount: p * (1 - amount)),
            "The parameter shrinks by rate · weight_decay, so the decay follows the schedule too.",
        ),
        Misconception(
            "decay after the step",
            _decayed_last,
            "You decay the step itself too. Shrink the parameter first, then take the step.",
        ),
        Misconception(
            "only matrices decayed",
            _adamw(_right, lambda p, rate, amount: p * (1 - rate * amount * (p.dim() > 1))),
            "Which parameters decay is decided by the caller, with the weight_decay of their "
            "group. This function shrinks any parameter.",
        ),
        Misconception(
            "the betas ignored",
            _settings_ignored,
            "You use 0.9 and 0.999 whatever `betas` is. Use betas[0] and betas[1].",
        ),
        Misconception(
            "m and v first",
            _means_first,
            "All three are correct, but in the wrong order: the parameter, then m, then v.",
        ),
    ),
    alternatives=(
        Alternative("one formula at a time", _adamw(_right)),
        Alternative("torch.optim.AdamW", _by_optimizer),
        Alternative("corrections moved to the rate", _corrected_rate),
    ),
    hints=(
        "m = β₁·m + (1 − β₁)·g and v = β₂·v + (1 − β₂)·g², as new tensors. Return these two.",
        "m_hat = m / (1 - betas[0] ** step), and v_hat likewise with betas[1].",
        "First parameter - rate * weight_decay * parameter; from that subtract "
        "rate * m_hat / (v_hat.sqrt() + eps).",
    ),
)
