"""The exercise that assembles a round of speculative decoding, from drafts to new tokens."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import round_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _sample(shares, u):
    end, last = 0.0, 0
    for token, share in enumerate(shares.tolist()):
        end += share
        last = token if share else last
        if u < end:
            return token
    return last


def _missing(target, draft):
    missing = (target - draft).clamp(min=0)
    return missing / missing.sum()


def _one_by_one(drafted, target, draft, uniform, replacement=_missing, number=lambda n, k: k):
    new, k = [], len(drafted)
    for i, token in enumerate(drafted.tolist()):
        if uniform[i] * draft[i, token] >= target[i, token]:
            new.append(_sample(replacement(target[i], draft[i]), uniform[number(i, k)]))
            return drafted.new_tensor(new)
        new.append(token)
    return drafted.new_tensor([*new, _sample(target[k], uniform[number(k, k)])])


def _from_the_target(*given):
    return _one_by_one(*given, replacement=lambda target, draft: target)


def _best_of_the_missing(*given):
    def surest(target, draft):
        return torch.nn.functional.one_hot((target - draft).argmax(), len(target)).to(target.dtype)

    return _one_by_one(*given, replacement=surest)


def _the_draft_s_excess(*given):
    return _one_by_one(*given, replacement=lambda target, draft: _missing(draft, target))


def _next_number(*given):
    return _one_by_one(*given, number=lambda n, k: n)


def _upside_down(drafted, target, draft, uniform):
    kept = 0
    for i, token in enumerate(drafted.tolist()):
        if uniform[i] * target[i, token] >= draft[i, token]:
            break
        kept += 1
    k = len(drafted)
    row = target[k] if kept == k else _missing(target[kept], draft[kept])
    return drafted.new_tensor([*drafted[:kept].tolist(), _sample(row, uniform[k])])


def _all_kept(drafted, target, draft, uniform):
    return drafted.new_tensor([*drafted.tolist(), _sample(target[-1], uniform[-1])])


def _kept_alone(*given):
    return _one_by_one(*given)[:-1]


def _nothing_after_the_last(drafted, *rest):
    return _one_by_one(drafted, *rest)[: len(drafted)]


def _not_replaced(drafted, *rest):
    new = _one_by_one(drafted, *rest)
    return new if len(new) > len(drafted) else new[:-1]


def _rejected_stays(drafted, *rest):
    new = _one_by_one(drafted, *rest)
    n = len(new) - 1
    return torch.cat((drafted[: n + 1], new[-1:]))


def _rest_of_the_drafts(drafted, *rest):
    new = _one_by_one(drafted, *rest)
    return torch.cat((new, drafted[len(new) :]))


def _last_row(drafted, target, draft, uniform):
    kept = len(_one_by_one(drafted, target, draft, uniform)) - 1
    return torch.tensor([*drafted[:kept].tolist(), _sample(target[-1], uniform[-1])])


def _as_hinted(drafted, target, draft, uniform):
    k = len(drafted)
    each = torch.arange(k)
    n = generation.accepted_count(target[each, drafted], draft[each, drafted], uniform[:k])
    row = target[k] if n == k else generation.residual_distribution(target[n], draft[n])
    return torch.cat((drafted[:n], generation.draw(row[None], uniform[k:])))


def _draft_padded(drafted, target, draft, uniform):
    k = len(drafted)
    p = target[:k].gather(1, drafted[:, None])[:, 0]
    q = draft.gather(1, drafted[:, None])[:, 0]
    n = int((uniform[:k] * q < p).long().cumprod(0).sum())
    padded = torch.cat((draft, torch.zeros_like(target[:1])))  # nothing was drafted at the end
    row = (target[n] - padded[n]).clamp(min=0)
    ends = (row / row.sum()).cumsum(0)
    return torch.cat((drafted[:n], (ends <= uniform[k]).sum()[None]))


_CAT = [0.5, 0.3, 0.2, 0.0]
_DOG = [0.2, 0.2, 0.2, 0.4]


def _given(drafted, target, draft, uniform):
    rows = (torch.tensor(each, dtype=torch.float64) for each in (target, draft, uniform))
    return call(torch.tensor(drafted), *rows)


ROUND = Exercise(
    id="generation.speculative_round",
    title="A speculative round",
    minutes=15,
    difficulty=3,
    statement=(
        "The draft model proposed the tokens `drafted` (k,), each sampled from its row of `draft` "
        "(k, V). `target` (k + 1, V) holds the large model's distributions: row i for the place "
        "of token i, row k for the place after all of them. Return the new tokens of this round, a "
        "tensor of 1 to k + 1 ids. Keep token i while uniform[i] is below target / draft, the "
        "ratio of its two probabilities. Replace the first rejected one by a sample from the "
        "residual distribution of its row and stop. If all k are kept, sample one more from row k. "
        "`uniform` is (k + 1,); its last number is for this sample. You may use "
        "`generation.accepted_count`, `generation.residual_distribution` and `generation.draw`."
    ),
    solution=generation.verify,
    reference=_one_by_one,
    generator=round_inputs,
    probes=(
        Probe(
            "all kept",
            lambda: _given([0, 1], [_CAT, _CAT, _DOG], [_DOG, _DOG], [0.9, 0.5, 0.7]),
            "Both are likelier under the target. The same pass gives a third token, from row k.",
        ),
        Probe(
            "rejected at once",
            lambda: _given([3, 0], [_CAT, _CAT, _CAT], [_DOG, _DOG], [0.4, 0.1, 0.8]),
            "Token 3 has probability 0 under the target. 0.8 samples from what is missing, "
            "0.75 and 0.25: token 1.",
        ),
        Probe(
            "the second rejected",
            lambda: _given([0, 3, 1], [_CAT] * 4, [_DOG] * 3, [0.7, 0.3, 0.2, 0.1]),
            "The first stays, the second is replaced, the third is discarded.",
        ),
        Probe(
            "kept by chance",
            lambda: _given([0, 1], [_DOG, _CAT, _CAT], [_CAT, _CAT], [0.35, 0.95, 0.6]),
            "0.35 is below 0.2 / 0.5 = 0.4; with p = q a token is always kept.",
        ),
        Probe(
            "the last rejected",
            lambda: _given([0, 3], [_CAT, _CAT, _DOG], [_DOG, _DOG], [0.2, 0.6, 0.9]),
            "A replacement ends the round: row k would continue a text with token 3.",
        ),
    ),
    misconceptions=(
        Misconception(
            "replaced from the target",
            _from_the_target,
            "You sample the replacement from the target itself. Tokens that were kept as drafts "
            "would be counted twice. Sample from max(0, target − draft), rescaled.",
        ),
        Misconception(
            "every draft kept",
            _all_kept,
            "You keep all drafts, so the text is that of the draft model. Keep draft i while "
            "uniform[i] < target / draft of its token, and end the round at the first rejection.",
        ),
        Misconception(
            "the largest gap",
            _best_of_the_missing,
            "You replace a rejected token by the one with the largest gap. Sample from the "
            "residual distribution, with the last number of `uniform`.",
        ),
        Misconception(
            "the difference reversed",
            _the_draft_s_excess,
            "You sample from what the draft model proposes too often. Missing is what the target "
            "has more of: target − draft.",
        ),
        Misconception(
            "the number of the rejected token",
            _next_number,
            "You sample with uniform[n], which already decided about token n: on a rejection it is "
            "never small. Use the last number, uniform[k].",
        ),
        Misconception(
            "the ratio upside down",
            _upside_down,
            "You keep a token while uniform[i] < draft / target. It is target / draft: what the "
            "draft model proposes too often must be rejected sometimes.",
        ),
        Misconception(
            "only the kept drafts",
            _kept_alone,
            "Every round ends with one more token, a replacement or the one after the last draft. "
            "Without it a round may add nothing at all.",
        ),
        Misconception(
            "no token after the last draft",
            _nothing_after_the_last,
            "If all drafts are kept, row k of the same pass gives one more token for free.",
        ),
        Misconception(
            "the rejected token not replaced",
            _not_replaced,
            "You stop at the rejected token and put nothing in its place. Sample a replacement "
            "from the residual distribution of its row.",
        ),
        Misconception(
            "the rejected token stays",
            _rejected_stays,
            "You append the replacement after the rejected token. It takes its place: "
            "drafted[:n], then the replacement.",
        ),
        Misconception(
            "the later drafts stay",
            _rest_of_the_drafts,
            "The drafts after a rejected token continue a text that no longer exists. Drop them.",
        ),
        Misconception(
            "always from the last row",
            _last_row,
            "Row k predicts what follows *all* drafts. After a rejection at n, sample from the "
            "residual of row n.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("zeros as the last draft row", _draft_padded),
        Alternative("token by token", _one_by_one),
    ),
    hints=(
        "The probabilities of the drafted tokens: target[torch.arange(k), drafted], and the same "
        "for draft. generation.accepted_count of these and uniform[:k] is n.",
        "If n == k the last distribution is target[k], otherwise "
        "generation.residual_distribution(target[n], draft[n]).",
        "Return drafted[:n] and one token from that distribution: "
        "torch.cat((drafted[:n], generation.draw(row[None], uniform[k:]))).",
    ),
)
