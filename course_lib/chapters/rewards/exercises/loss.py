"""The exercise on GRPO's loss with a mask."""

import torch

from course_lib.chapters.rewards import answers
from course_lib.chapters.rewards.exercises.generators import loss_inputs, mask_of
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _one_by_one(new, old, advantages, mask, clip=0.2):
    total = 0.0
    for n, o, a, m in zip(new.double(), old.double(), advantages.tolist(), mask, strict=True):
        ratios = torch.exp(n - o)[m].tolist()
        each = [min(r * a, min(max(r, 1 - clip), 1 + clip) * a) for r in ratios]
        total -= sum(each) / len(each)
    return torch.tensor(total / len(new), dtype=new.dtype)


def _objective(ratio, advantages, clip):
    """Return the objective of each token."""
    a = advantages[:, None]
    return torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)


def _tokens(new, old, advantages, mask, clip):
    return _objective(torch.where(mask, new - old, 0.0).exp(), advantages, clip)


def _mean_of_means(each, mask):
    return (each * mask).sum(1).div(mask.sum(1)).mean()


def _over_padding(new, old, advantages, mask, clip=0.2):
    return -(_tokens(new, old, advantages, mask, clip) * mask).mean()


def _mask_forgotten(new, old, advantages, mask, clip=0.2):
    return -_objective((new - old).exp(), advantages, clip).mean()


def _mask_too_late(new, old, advantages, mask, clip=0.2):
    return -_mean_of_means(_objective((new - old).exp(), advantages, clip), mask)


def _over_all_tokens(new, old, advantages, mask, clip=0.2):
    return -(_tokens(new, old, advantages, mask, clip) * mask).sum() / mask.sum()


def _summed(new, old, advantages, mask, clip=0.2):
    return -(_tokens(new, old, advantages, mask, clip) * mask).sum(-1).mean()


def _maximum(new, old, advantages, mask, clip=0.2):
    return _mean_of_means(_tokens(new, old, -advantages, mask, clip), mask)


def _unclipped(new, old, advantages, mask, clip=0.2):
    return -_mean_of_means(_tokens(new, old, advantages, mask, 1e9), mask)


def _clipped_only(new, old, advantages, mask, clip=0.2):
    ratio = torch.where(mask, new - old, 0.0).exp().clamp(1 - clip, 1 + clip)
    return -_mean_of_means(ratio * advantages[:, None], mask)


def _whole_answer(new, old, advantages, mask, clip=0.2):
    gap = torch.where(mask, new - old, 0.0).sum(-1, keepdim=True).expand_as(new)
    return -_mean_of_means(_objective(gap.exp(), advantages, clip), mask)


def _plain_log(new, old, advantages, mask, clip=0.2):
    return -_mean_of_means(_objective(torch.where(mask, new - old, 0.0), advantages, clip), mask)


def _as_hinted(new, old, advantages, mask, clip=0.2):
    ratio = torch.where(mask, new - old, 0.0).exp()
    a = advantages[:, None]
    each = torch.minimum(ratio * a, torch.clamp(ratio, 1 - clip, 1 + clip) * a) * mask
    return -(each.sum(1) / mask.sum(1)).mean()


def _all_but_the_policy_detached(new, old, advantages, mask, clip=0.2):
    return _as_hinted(new, old.detach(), advantages.detach(), mask, clip)


def _answer_by_answer(new, old, advantages, mask, clip=0.2):
    losses = []
    for b, length in enumerate(mask.sum(-1).tolist()):
        ratio = (new[b, :length] - old[b, :length]).exp()
        limited = ratio.clamp(1 - clip, 1 + clip)
        losses.append(-torch.minimum(ratio * advantages[b], limited * advantages[b]).mean())
    return torch.stack(losses).mean()


def _by_weights(new, old, advantages, mask, clip=0.2):
    weights = mask / (mask.sum(-1, keepdim=True) * len(mask))
    ratio = (new - old).masked_fill(~mask, 0.0).exp()
    upper = torch.where(advantages[:, None] > 0, 1 + clip, torch.inf)
    lower = torch.where(advantages[:, None] < 0, 1 - clip, 0.0)
    return -(ratio.clamp(lower, upper) * advantages[:, None] * weights).sum()


def _wild_padding():
    """Return two answers whose padding is far from both policies."""
    new, old, advantages, mask, clip = _batch([2, 1], tokens=2).args
    return call(torch.where(mask, new, 0.0), torch.where(mask, old, -200.0), advantages, mask, clip)


def _batch(lengths, tokens=4, *, moved=0.4, clip=0.2):
    old = -uneven(len(lengths), tokens).abs()
    new = old + moved * uneven(tokens, len(lengths)).mT
    advantages = uneven(len(lengths)) - 0.5
    return call(new, old, advantages, mask_of(lengths, tokens), clip)


GRPO_LOSS = Exercise(
    id="rewards.grpo_loss",
    title="The loss of GRPO",
    minutes=12,
    difficulty=3,
    statement=(
        "`new` and `old` (B, T) are log-probabilities of the sampled tokens under the policy in "
        "training and the one that sampled, `advantages` (B) belong to whole answers, `mask` is "
        "True at the tokens of an answer; padding may hold any finite numbers. Return the loss as "
        "one number: minus PPO's objective with the limits 1 − clip and 1 + clip, averaged over "
        "the tokens of each answer, then over the answers. The gradient with respect to `new` is "
        "checked too."
    ),
    solution=answers.grpo_loss,
    reference=_one_by_one,
    generator=loss_inputs,
    tolerance=4.0,
    probes=(
        Probe(
            "the old policy itself",
            lambda: _batch([2], tokens=2, moved=0.0),
            "All ratios are 1, so the loss is minus the advantage.",
        ),
        Probe(
            "one token",
            lambda: call(
                torch.tensor([[-1.0]]),
                torch.tensor([[-1.1]]),
                torch.tensor([2.0]),
                torch.tensor([[True]]),
            ),
            "The ratio is exp(0.1), within the limits.",
        ),
        Probe(
            "one token, clipped",
            lambda: call(
                torch.tensor([[-1.0]]),
                torch.tensor([[-2.0]]),
                torch.tensor([1.5]),
                torch.tensor([[True]]),
            ),
            "exp(1) is beyond the limit: −1.2 · 1.5.",
        ),
        Probe(
            "a bad answer that became likelier",
            lambda: call(
                torch.tensor([[-1.0]]),
                torch.tensor([[-2.0]]),
                torch.tensor([-1.5]),
                torch.tensor([[True]]),
            ),
            "The clip does not stop the correction: 2.718 · 1.5.",
        ),
        Probe(
            "a short and a long answer",
            lambda: _batch([1, 4]),
            "Each answer counts the same: first the mean over its own tokens.",
            gradient=True,
            constants=(1, 2),
        ),
        Probe(
            "padding far away",
            _wild_padding,
            "exp(200) is infinite in float32, and ∞ · 0 is nan. Padding must not reach exp.",
            gradient=True,
            constants=(1, 2),
        ),
        Probe(
            "a batch",
            lambda: _batch([3, 1, 2, 5], tokens=5, clip=0.1),
            "All together.",
            gradient=True,
            constants=(1, 2),
        ),
    ),
    misconceptions=(
        Misconception(
            "the mean over padding",
            _over_padding,
            "Padding adds zeros, but it is counted in the mean, so short answers hardly count. "
            "Divide by the number of tokens that an answer has.",
        ),
        Misconception(
            "the mask forgotten",
            _mask_forgotten,
            "Padding takes part as if it were text. Multiply by the mask and divide by its sum.",
        ),
        Misconception(
            "the mask applied after exp",
            _mask_too_late,
            "At padding, new − old may be anything. Where its exp overflows, ∞ · 0 is nan: set "
            "new − old to 0 at padding first, with torch.where or masked_fill.",
        ),
        Misconception(
            "clipped only",
            _clipped_only,
            "Without the minimum the gradient vanishes on both sides of the limits. Take the lower "
            "of the plain and the clipped product.",
        ),
        Misconception(
            "the mean over all tokens",
            _over_all_tokens,
            "This is DAPO's average: each token counts the same, so long answers count more. GRPO "
            "takes the mean of each answer first.",
        ),
        Misconception(
            "summed over the answer",
            _summed,
            "You add up the tokens of an answer. Divide by their number.",
        ),
        Misconception(
            "an objective",
            lambda *given, **more: -_as_hinted(*given, **more),
            "This is to be maximised. The loss is minus that.",
        ),
        Misconception(
            "the higher of the two",
            _maximum,
            "You take the maximum of the plain and the clipped product. Take the minimum.",
        ),
        Misconception(
            "not clipped",
            _unclipped,
            "The ratio is never clipped: clamp it to 1 − clip … 1 + clip.",
        ),
        Misconception(
            "the ratio of the whole answer",
            _whole_answer,
            "You use the product of all ratios of an answer, as RLOO does. GRPO has a ratio for "
            "each token.",
        ),
        Misconception(
            "the ratio without exp",
            _plain_log,
            "new − old is the logarithm of the ratio. Take exp.",
        ),
        Misconception(
            "old over new",
            lambda new, old, *rest, **more: _as_hinted(old, new, *rest, **more),
            "The ratio is new over old: exp(new − old).",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("answer by answer", _answer_by_answer),
        Alternative("by weights", _by_weights),
        Alternative("all but the policy detached", _all_but_the_policy_detached),
    ),
    hints=(
        "The ratio is exp(new − old). Set new − old to 0 at padding before exp: "
        "`torch.where(mask, new - old, 0.0)`. advantages[:, None] applies to every token of its "
        "answer.",
        "The objective of a token is the exercise before: the minimum of two products.",
        "Multiply by the mask, sum over the tokens, divide by mask.sum(-1), take the mean, and "
        "put a minus in front.",
    ),
)
