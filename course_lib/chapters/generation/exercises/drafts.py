"""The exercise on which drafted tokens are kept."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import accept_inputs
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
    title="Accept or reject a draft",
    minutes=8,
    difficulty=2,
    statement=(
        "Each drafted token has a probability under the large model (`target`), one under the "
        "draft model (`draft`) and a random number in [0, 1) (`uniform`), all (k,). Token i is "
        "kept if uniform[i] < target[i] / draft[i], that is, with probability min(1, target / "
        "draft). Return how many are kept before the first rejection; a number or a tensor of one "
        "element."
    ),
    solution=generation.accepted_count,
    reference=_kept,
    generator=accept_inputs,
    probes=(
        Probe(
            "likelier under the large model",
            lambda: _numbers([0.6], [0.2], [0.99]),
            "min(1, 3) = 1: kept for any random number.",
        ),
        Probe(
            "half as likely",
            lambda: _numbers([0.2], [0.4], [0.45]),
            "Kept with probability 0.5; 0.45 is below.",
        ),
        Probe(
            "half as likely, rejected",
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
            "Only the ratio counts, 0.8 here, not the probabilities themselves.",
        ),
        Probe(
            "nothing after a rejection",
            lambda: _numbers([0.5, 0.1, 0.9], [0.5, 0.8, 0.3], [0.3, 0.5, 0.1]),
            "The third token continues a text that no longer exists.",
        ),
        Probe(
            "rejected at once",
            lambda: _numbers([0.1, 0.5], [0.5, 0.4], [0.9, 0.1]),
            "0.9 is above 0.2. The second would pass, but nothing is kept after a rejection.",
        ),
        Probe(
            "all four",
            lambda: _numbers([0.5, 0.3, 0.2, 0.4], [0.4, 0.4, 0.3, 0.4], [0.9, 0.7, 0.6, 0.9]),
            "Each ratio is above its number: 1, 0.75, 0.67, 1.",
        ),
        Probe(
            "rare under both models",
            lambda: _numbers([1e-6, 0.4], [2e-6, 0.5], [0.4, 0.9]),
            "The ratio of two small probabilities is still their ratio: 0.5.",
        ),
    ),
    misconceptions=(
        Misconception(
            "q over p",
            lambda target, draft, uniform: _kept(draft, target, uniform),
            "Your ratio is upside down: what the draft model proposes too often is now always "
            "kept. It is target / draft.",
        ),
        Misconception(
            "kept with the target's probability",
            lambda target, draft, uniform: _kept(target, torch.ones_like(draft), uniform),
            "You keep a token with probability p. It was already drafted with probability q, so it "
            "would appear with p · q. Divide by q.",
        ),
        Misconception(
            "counted after the first rejection",
            _not_stopped,
            "You count all tokens that pass. Those after a rejected one were drafted for a "
            "different text: stop at the first rejection (cumprod, or a loop with break).",
        ),
        Misconception(
            "the rejected one counted",
            _rejected_counted,
            "You count the token at which you stop. It is rejected and will be replaced: count "
            "only what is kept.",
        ),
        Misconception(
            "kept when the large model prefers it",
            lambda target, draft, uniform: _kept(
                target, draft, uniform, rule=lambda p, q, u: p >= q
            ),
            "Without the random number every token that the draft model overrates is rejected, and "
            "the distribution is no longer that of the large model.",
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
            "argmax (of the rejected) or argmin (of the kept) finds the first rejection, but where "
            "nothing is rejected it returns 0. Then all k are kept.",
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
        "A token is kept if uniform < target / draft. Written as uniform * draft < target this "
        "needs no division.",
        "kept.long().cumprod(0) is 1 up to the first rejection and 0 from there on.",
    ),
)
