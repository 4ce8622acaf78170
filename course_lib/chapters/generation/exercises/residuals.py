"""The exercise on the distribution that replaces a rejected draft."""

import torch
import torch.nn.functional as F

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import residual_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _missing(target, draft):
    gaps = [max(p - q, 0.0) for p, q in zip(target.tolist(), draft.tolist(), strict=True)]
    total = sum(gaps)
    shares = [gap / total for gap in gaps] if total else target.tolist()
    return target.new_tensor(shares)


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


_STEP = 2**-21  # 1/2 + _STEP is exact in float32 too


def _nearly_equal():
    draft = torch.tensor([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=torch.float64)
    return call(draft + _STEP * torch.tensor([2, -2, 1, -1, 0]), draft)


def _target_or(target, draft, result, gap=lambda gap: gap.clamp(min=0)):
    """Return the target where both are equal, and otherwise `result` of the gaps."""
    return target if torch.equal(target, draft) else result(gap(target - draft))


def _small_number_added(target, draft):
    return _target_or(target, draft, lambda gaps: gaps / (gaps.sum() + 1e-8))


def _close_is_equal(target, draft):
    return target if torch.allclose(target, draft, atol=1e-3) else _missing(target, draft)


def _target_at_equal_entries(target, draft):
    return torch.where(target == draft, target, _missing(target, draft))


RESIDUAL = Exercise(
    id="generation.residual",
    title="The residual distribution",
    minutes=7,
    difficulty=3,
    statement=(
        "A drafted token was rejected. Return the distribution (V,) from which its replacement is "
        "sampled: max(0, target − draft), divided by its sum. If both distributions are equal in "
        "every entry, return `target`; if only some entries are equal, these get 0."
    ),
    solution=generation.residual_distribution,
    reference=_missing,
    generator=residual_inputs,
    probes=(
        Probe(
            "two tokens",
            lambda: _shares([0.7, 0.3], [0.4, 0.6]),
            "The draft model proposes the first too rarely: only the first is missing.",
        ),
        Probe(
            "three of four are missing",
            lambda: _shares([0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.1, 0.6]),
            "The gaps 0.3, 0.1 and 0.1, divided by their sum: 0.6, 0.2, 0.2.",
        ),
        Probe(
            "never proposed",
            lambda: _shares([0.5, 0.25, 0.25], [0.0, 0.5, 0.5]),
            "A token that the draft model never proposes can only appear as a replacement.",
        ),
        Probe(
            "equal",
            lambda: _shares([0.6, 0.4], [0.6, 0.4]),
            "Nothing is missing, and 0 / 0 is nan.",
        ),
        Probe(
            "nearly equal",
            _nearly_equal,
            "Gaps of a millionth are gaps: divided by their sum they add up to 1. An entry that is "
            "equal in both gets 0.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the target itself",
            lambda target, draft: target.clone(),
            "Sampled from the target, tokens that were often proposed are counted twice: as kept "
            "drafts, and here. Sample only what is missing, max(0, p − q).",
        ),
        Misconception(
            "normalised before it is clamped",
            lambda target, draft: ((target - draft) / (target - draft).sum()).clamp(min=0),
            "Both distributions add up to 1, so the sum of all gaps, negative ones included, is 0. "
            "Clamp first, then divide by what is left.",
        ),
        Misconception(
            "not normalised",
            lambda target, draft: (target - draft).clamp(min=0),
            "These gaps add up to less than 1. Divide by their sum.",
        ),
        Misconception(
            "the absolute difference",
            _absolute,
            "Where the draft model proposes a token too often, nothing is missing. Clamp at 0 "
            "instead of taking the absolute value.",
        ),
        Misconception(
            "the difference reversed",
            lambda target, draft: _missing(draft, target),
            "You took draft − target. Missing is what the target has more of.",
        ),
        Misconception(
            "softmax of the gaps",
            _softmaxed,
            "These are differences of probabilities, not logits: softmax would give a gap of 0 a "
            "probability too. Divide by the sum.",
        ),
        Misconception(
            "only the overrated excluded",
            _excluded,
            "You kept the full probability of underrated tokens. Only the part that the draft "
            "model does not provide is missing: p − q.",
        ),
        Misconception(
            "nan where nothing is missing",
            lambda target, draft: (
                (target - draft).clamp(min=0) / (target - draft).clamp(min=0).sum()
            ),
            "If both are equal the sum is 0, and 0 / 0 is nan. Return the target there.",
        ),
        Misconception(
            "not clamped",
            lambda target, draft: target - draft,
            "These differences can be negative, and they add up to 0. Take max(0, p − q) of each, "
            "then divide by their sum.",
        ),
        Misconception(
            "clamped only in the sum",
            _unclamped_above,
            "Your sum is right, but you divide gaps that may be negative, and a probability is "
            "never below 0. Clamp once, and use the result in both places.",
        ),
        Misconception(
            "uniform where nothing is missing",
            _even_where_equal,
            "Where both distributions are equal you return a uniform one. Return the target.",
        ),
        Misconception(
            "zeros where nothing is missing",
            _zeros_where_equal,
            "Where both are equal you return zeros, which is not a distribution. Return the "
            "target.",
        ),
        Misconception(
            "ratios instead of differences",
            _ratios,
            "You divide target by draft. The ratio decides whether a draft is kept; what is "
            "missing after a rejection is the difference.",
        ),
        Misconception(
            "not normalised unless equal",
            lambda target, draft: _target_or(target, draft, lambda gaps: gaps),
            "These gaps add up to less than 1. Divide by their sum.",
        ),
        Misconception(
            "the absolute difference unless equal",
            lambda target, draft: _target_or(
                target, draft, lambda gaps: gaps / gaps.sum(), torch.abs
            ),
            "Where the draft model proposes a token too often, nothing is missing. Clamp at 0 "
            "instead of taking the absolute value.",
        ),
        Misconception(
            "softmax of the gaps unless equal",
            lambda target, draft: _target_or(target, draft, lambda gaps: gaps.softmax(-1)),
            "These are differences of probabilities, not logits: softmax would give a gap of 0 a "
            "probability too. Divide by the sum.",
        ),
        Misconception(
            "a small number added to the denominator",
            _small_number_added,
            "Where both are close, the small number matters next to the gaps, and the result "
            "adds up to less than 1. Divide by the sum alone, unless it is 0.",
        ),
        Misconception(
            "close treated as equal",
            _close_is_equal,
            "Small gaps are gaps: the replacement of a rejected token comes from them, however "
            "small they are. Return the target only where nothing at all is missing.",
        ),
        Misconception(
            "the target where single entries are equal",
            _target_at_equal_entries,
            "Your result adds up to more than 1. Where a single entry is equal, nothing is missing "
            "there: it gets 0. Return the target only if all entries are equal.",
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
