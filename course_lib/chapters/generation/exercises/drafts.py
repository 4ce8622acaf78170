"""Exercises on speculative decoding: what is kept, and what replaces the first that is not."""

import torch
import torch.nn.functional as F

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import accept_inputs, residual_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _kept(target, draft, uniform, rule=lambda p, q, u: u * q < p):
    count = 0
    for p, q, u in zip(target.tolist(), draft.tolist(), uniform.tolist(), strict=True):
        if not rule(p, q, u):
            break
        count += 1
    return count


def _not_stopped(target, draft, uniform):
    return int((uniform * draft < target).sum())


def _rejected_counted(target, draft, uniform):
    return min(_kept(target, draft, uniform) + 1, len(target))


def _by_ratio(target, draft, uniform):
    count = 0
    for ratio, u in zip((target / draft).tolist(), uniform.tolist(), strict=True):
        if u >= min(1.0, ratio):
            return count
        count += 1
    return count


def _from_the_end(target, draft, uniform):
    return _kept(target.flip(0), draft.flip(0), uniform.flip(0))


def _first_rejected(target, draft, uniform):
    return int((uniform * draft >= target).long().argmax())


def _by_cumprod(target, draft, uniform):
    kept = uniform < target / draft
    return kept.long().cumprod(0).sum()


def _by_index(target, draft, uniform):
    return [*(uniform < (target / draft).clamp(max=1)).tolist(), False].index(False)


def _numbers(target, draft, uniform):
    return call(*(torch.tensor(each, dtype=torch.float64) for each in (target, draft, uniform)))


ACCEPT = Exercise(
    id="generation.accept",
    title="Accept or reject",
    minutes=8,
    difficulty=2,
    statement=(
        "Each drafted token has a probability under the large model (`target`), one under the "
        "draft model (`draft`) and a random number (`uniform`), all (k,). It is kept with "
        "probability min(1, target / draft). Return how many are kept before the first rejection."
        " A number equal to the ratio rejects the token."
    ),
    solution=generation.accepted_count,
    reference=_kept,
    generator=accept_inputs,
    probes=(
        Probe(
            "the large model likes it more",
            lambda: _numbers([0.6], [0.2], [0.99]),
            "min(1, 3) = 1: kept whatever the random number.",
        ),
        Probe(
            "half as likely",
            lambda: _numbers([0.2], [0.4], [0.45]),
            "Kept with probability 0.5; 0.45 is below.",
        ),
        Probe(
            "half as likely, unlucky",
            lambda: _numbers([0.2], [0.4], [0.55]),
            "0.55 is above 0.5: rejected.",
        ),
        Probe(
            "impossible under the large model",
            lambda: _numbers([0.0], [0.4], [0.0]),
            "min(1, 0) = 0: never kept.",
        ),
        Probe(
            "unlikely for both",
            lambda: _numbers([0.04], [0.05], [0.7]),
            "Only the ratio counts, 0.8 here, not how likely the token is.",
        ),
        Probe(
            "nothing behind a rejection",
            lambda: _numbers([0.5, 0.1, 0.9], [0.5, 0.8, 0.3], [0.3, 0.5, 0.1]),
            "The third token continues a text that does not exist any more.",
        ),
        Probe(
            "rejected at once",
            lambda: _numbers([0.1, 0.5], [0.5, 0.4], [0.9, 0.1]),
            "0.9 is above 0.2. The second would be kept, but it comes too late.",
        ),
        Probe(
            "all four",
            lambda: _numbers([0.5, 0.3, 0.2, 0.4], [0.4, 0.4, 0.3, 0.4], [0.9, 0.7, 0.6, 0.9]),
            "Each ratio is above its number: 1, 0.75, 0.67, 1.",
        ),
        Probe(
            "rare for both",
            lambda: _numbers([1e-6, 0.4], [2e-6, 0.5], [0.4, 0.9]),
            "The ratio of two small probabilities is still their ratio: 0.5.",
        ),
    ),
    misconceptions=(
        Misconception(
            "q over p",
            lambda target, draft, uniform: _kept(draft, target, uniform),
            "You turned the ratio round: what the draft likes too much is now always kept. The "
            "large model decides: target / draft.",
        ),
        Misconception(
            "kept with the target's probability",
            lambda target, draft, uniform: _kept(target, torch.ones_like(draft), uniform),
            "You keep a token with probability p. But it was drafted with probability q already, "
            "so that it would come out with p · q. Divide by q.",
        ),
        Misconception(
            "counted behind the first rejection",
            _not_stopped,
            "You count all tokens that pass. Those behind a rejected one were drafted for another "
            "text: stop at the first (cumprod, or a loop with break).",
        ),
        Misconception(
            "the rejected one counted",
            _rejected_counted,
            "You count the token at which you stop. It is rejected, and something else will stand "
            "in its place: count only what is kept.",
        ),
        Misconception(
            "kept when the large model prefers it",
            lambda target, draft, uniform: _kept(
                target, draft, uniform, rule=lambda p, q, u: p >= q
            ),
            "Without the random number every token that the draft overrates is rejected, and the "
            "distribution is no longer that of the large model.",
        ),
        Misconception(
            "kept when the number is above",
            lambda target, draft, uniform: _kept(
                target, draft, uniform, rule=lambda p, q, u: u * q >= p
            ),
            "You keep where you should reject. A number below the ratio keeps the token.",
        ),
        Misconception(
            "counted from the end",
            _from_the_end,
            "You count the kept tokens after the last rejection. A text grows from its start: "
            "count up to the first one that is rejected.",
        ),
        Misconception(
            "argmax over no rejection",
            _first_rejected,
            "argmax finds the first rejection, but where nothing is rejected it is 0, and you keep "
            "nothing. Then all k are kept.",
        ),
        Misconception(
            "kept when the number is strictly above",
            lambda target, draft, uniform: _kept(
                target, draft, uniform, rule=lambda p, q, u: u > min(1.0, p / q)
            ),
            "You keep where you should reject. A number below the ratio keeps the token.",
        ),
    ),
    alternatives=(
        Alternative("by the ratio", _by_ratio),
        Alternative("as the hints say", _by_cumprod),
        Alternative("the place of the first rejection", _by_index),
    ),
    hints=(
        "uniform < target / draft keeps a token. Written uniform * draft < target it needs no "
        "division.",
        "kept.long().cumprod(0) is 1 up to the first rejection and 0 from there on.",
    ),
)


def _missing(target, draft):
    gaps = [max(p - q, 0.0) for p, q in zip(target.tolist(), draft.tolist(), strict=True)]
    total = sum(gaps)
    shares = [gap / total for gap in gaps] if total else target.tolist()
    return torch.tensor(shares, dtype=target.dtype)


def _absolute(target, draft):
    gap = (target - draft).abs()
    return gap / gap.sum()


def _softmaxed(target, draft):
    return (target - draft).clamp(min=0).softmax(-1)


def _excluded(target, draft):
    kept = target.masked_fill(draft > target, 0.0)
    return kept / kept.sum()


def _unclamped_above(target, draft):
    total = (target - draft).clamp(min=0).sum()
    return (target - draft) / total if total > 0 else target.clone()


def _even_where_equal(target, draft):
    gaps = (target - draft).clamp(min=0)
    return gaps / gaps.sum() if gaps.any() else torch.full_like(gaps, 1 / len(gaps))


def _zeros_where_equal(target, draft):
    gaps = (target - draft).clamp(min=0)
    return gaps / gaps.sum() if gaps.any() else gaps


def _ratios(target, draft):
    ratios = target / draft
    return ratios / ratios.sum()


def _clamped(target, draft):
    missing = (target - draft).clamp(min=0)
    return target if missing.sum() == 0 else missing / missing.sum()


def _normalised(target, draft):
    missing = F.relu(target - draft)
    return F.normalize(missing, p=1, dim=0) if missing.any() else target


def _shares(*rows):
    return call(*(torch.tensor(row, dtype=torch.float64) for row in rows))


_STEP = 2**-21  # exact beside 1/2 in float32 too


def _nearly_equal():
    draft = torch.tensor([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=torch.float64)
    return call(draft + _STEP * torch.tensor([2, -2, 1, -1, 0]), draft)


def _gaps_or_target(target, draft, share, gap=lambda gap: gap.clamp(min=0)):
    """Return the target where both are equal, and something else than its share elsewhere."""
    return target if torch.equal(target, draft) else share(gap(target - draft))


def _propped_up(target, draft):
    return _gaps_or_target(target, draft, lambda gaps: gaps / (gaps.sum() + 1e-8))


def _close_is_equal(target, draft):
    return target if torch.allclose(target, draft, atol=1e-3) else _missing(target, draft)


def _target_where_places_agree(target, draft):
    return torch.where(target == draft, target, _missing(target, draft))


RESIDUAL = Exercise(
    id="generation.residual",
    title="What is missing",
    minutes=7,
    difficulty=3,
    statement=(
        "A drafted token was rejected. Return the distribution (V,) from which its replacement is "
        "drawn: max(0, target − draft), shared out so that it adds up to 1. Where both are equal, "
        "return `target`. Equal means in all places; a single place that agrees gets 0."
    ),
    solution=generation.residual_distribution,
    reference=_missing,
    generator=residual_inputs,
    probes=(
        Probe(
            "two tokens",
            lambda: _shares([0.7, 0.3], [0.4, 0.6]),
            "The draft proposes the first too rarely: all that is missing is the first.",
        ),
        Probe(
            "three of four are missing",
            lambda: _shares([0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.1, 0.6]),
            "The gaps 0.3, 0.1 and 0.1 share the whole of 1: 0.6, 0.2, 0.2.",
        ),
        Probe(
            "the draft cannot say it",
            lambda: _shares([0.5, 0.25, 0.25], [0.0, 0.5, 0.5]),
            "A token that the draft never proposes comes in this way alone.",
        ),
        Probe(
            "equal",
            lambda: _shares([0.6, 0.4], [0.6, 0.4]),
            "Nothing is missing, and 0 / 0 is nan.",
        ),
        Probe(
            "nearly equal",
            _nearly_equal,
            "Gaps of a millionth are gaps: they share the whole of 1. Where two numbers agree"
            " nothing is missing.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the target itself",
            lambda target, draft: target.clone(),
            "Drawn from the target, tokens that were often proposed are counted twice: once as "
            "kept drafts, once here. Draw only what is missing, max(0, p − q).",
        ),
        Misconception(
            "divided before it is clamped",
            lambda target, draft: ((target - draft) / (target - draft).sum()).clamp(min=0),
            "All gaps together, also the negative ones, are 0: both distributions add up to 1. "
            "Clamp first, then divide by what is left.",
        ),
        Misconception(
            "not shared out",
            lambda target, draft: (target - draft).clamp(min=0),
            "These gaps add up to less than 1. Divide by their sum.",
        ),
        Misconception(
            "the gap in either direction",
            _absolute,
            "Where the draft proposes too much nothing is missing. Clamp at 0 instead of taking "
            "the absolute value.",
        ),
        Misconception(
            "what the draft wants more",
            lambda target, draft: _missing(draft, target),
            "You turned the difference round. Missing is what the target has more of.",
        ),
        Misconception(
            "softmax of the gaps",
            _softmaxed,
            "These are shares already, not scores: softmax would give a gap of 0 a share too. "
            "Divide by the sum.",
        ),
        Misconception(
            "only the overrated excluded",
            _excluded,
            "You kept the full probability of what is underrated. Only the part that the draft "
            "does not deliver is missing: p − q.",
        ),
        Misconception(
            "nan where nothing is missing",
            lambda target, draft: (
                (target - draft).clamp(min=0) / (target - draft).clamp(min=0).sum()
            ),
            "If both agree the sum is 0, and 0 / 0 is nan. Return the target there.",
        ),
        Misconception(
            "not clamped",
            lambda target, draft: target - draft,
            "These differences can be negative, and they add up to 0. Take max(0, p − q) of each, "
            "then divide by their sum.",
        ),
        Misconception(
            "clamped in the sum only",
            _unclamped_above,
            "Your sum is right, but negative gaps are still among what you divide: a probability "
            "is never below 0. Clamp once, and use that in both places.",
        ),
        Misconception(
            "even where nothing is missing",
            _even_where_equal,
            "Where both distributions are equal, every token became equally likely. Return the "
            "target.",
        ),
        Misconception(
            "zeros where nothing is missing",
            _zeros_where_equal,
            "Where both are equal you return zeros, which is no distribution. Return the target.",
        ),
        Misconception(
            "ratios in place of gaps",
            _ratios,
            "You divide target by draft. That decides whether a draft is kept; what is missing "
            "after a rejection is the difference.",
        ),
        Misconception(
            "not shared out unless equal",
            lambda target, draft: _gaps_or_target(target, draft, lambda gaps: gaps),
            "These gaps add up to less than 1. Divide by their sum.",
        ),
        Misconception(
            "the gap in either direction unless equal",
            lambda target, draft: _gaps_or_target(
                target, draft, lambda gaps: gaps / gaps.sum(), torch.abs
            ),
            "Where the draft proposes too much nothing is missing. Clamp at 0 instead of "
            "taking the absolute value.",
        ),
        Misconception(
            "softmax of the gaps unless equal",
            lambda target, draft: _gaps_or_target(target, draft, lambda gaps: gaps.softmax(-1)),
            "These are shares already, not scores: softmax would give a gap of 0 a share too."
            " Divide by the sum.",
        ),
        Misconception(
            "a small number in the denominator",
            _propped_up,
            "Where both are close the small number weighs as much as the gaps, and the result"
            " adds up to less than 1. Divide by the sum alone, unless it is 0.",
        ),
        Misconception(
            "close taken for equal",
            _close_is_equal,
            "Small gaps are gaps: a rejected token is replaced by what is missing, however "
            "little. Return the target only where nothing at all is missing.",
        ),
        Misconception(
            "the target where single places agree",
            _target_where_places_agree,
            "Your result adds up to more than 1. Where a single place agrees nothing is "
            "missing there: 0. Only if all agree is it the target.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _clamped),
        Alternative("by F.normalize", _normalised),
        Alternative("number by number", _missing),
    ),
    hints=(
        "(target − draft).clamp(min=0) is what is missing.",
        "Divide by its sum, unless that is 0.",
    ),
)
