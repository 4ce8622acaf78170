"""The exercise on updating the running state with one tile."""

import torch

from course_lib import flash
from course_lib.chapters.flash_attention.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

INF = torch.inf


def state_of(maximum, total, mixed):
    """Return a running state from numbers."""
    return flash.AttentionState(torch.tensor(maximum), torch.tensor(total), torch.as_tensor(mixed))


def zero_for_inf(maximum):
    """Return what may be subtracted from scores of -inf."""
    return maximum.nan_to_num(neginf=0.0)


def _update_in_double(state, scores, v):
    maximum, total, mixed = (x.double() for x in state)
    wide, values = scores.double(), v.double()
    larger = torch.maximum(maximum, wide.amax(-1))
    shift = zero_for_inf(larger)
    rows = []
    for i in range(len(wide)):
        row = mixed[i] * torch.exp(maximum[i] - shift[i])
        for j in range(wide.shape[1]):
            row = row + torch.exp(wide[i, j] - shift[i]) * values[j]
        rows.append(row)
    kept = total * torch.exp(maximum - shift)
    total = kept + torch.exp(wide - shift[:, None]).sum(-1)
    return larger.float(), total.float(), torch.stack(rows).float()


def _varied(rescale_total=None, rescale_mixed=None, mix=None, larger=torch.maximum, guard=True):
    """Return the update with one of its parts replaced."""

    def update(state, scores, v):
        maximum, total, mixed = state
        new = larger(maximum, scores.amax(-1))
        shift = zero_for_inf(new) if guard else new
        r = torch.exp(maximum - shift)
        weights = torch.exp(scores - shift[:, None])
        r_total = rescale_total(maximum, scores, r) if rescale_total else r
        r_mixed = rescale_mixed(maximum, scores, r) if rescale_mixed else r
        added = mix(weights, v) if mix else weights @ v
        return new, total * r_total + weights.sum(-1), mixed * r_mixed[:, None] + added

    return update


def _sum_outside(weights, v):
    return weights.sum(-1, keepdim=True) * v.sum(0)


def _one(maximum, scores, r):
    return torch.ones_like(r)


def _upside_down(maximum, scores, r):
    return 1 / r.clamp_min(1e-30)


def _by_tile_maximum(maximum, scores, r):
    return torch.exp(maximum - zero_for_inf(scores.amax(-1)))


def _divided_at_once(state, scores, v):
    new, total, mixed = _varied()(state, scores, v)
    return new, total, mixed / torch.where(total > 0, total, 1.0)[:, None]


def _softmax_of_tile(state, scores, v):
    maximum, total, mixed = state
    new = torch.maximum(maximum, scores.amax(-1))
    r = torch.exp(maximum - zero_for_inf(new))
    weights = torch.softmax(scores, -1).nan_to_num()
    return new, total * r + weights.sum(-1), mixed * r[:, None] + weights @ v


def _from_old_maximum(state, scores, v):
    maximum, total, mixed = state
    new = torch.maximum(maximum, scores.amax(-1))
    r = torch.exp(maximum - zero_for_inf(new))
    weights = torch.exp(scores - zero_for_inf(maximum)[:, None])
    return new, total * r + weights.sum(-1), mixed * r[:, None] + weights @ v


def _walked(state, scores, v):
    """One score at a time: tiles of one key."""
    for j in range(scores.shape[1]):
        state = _varied()(state, scores[:, j : j + 1], v[j : j + 1])
    return state


_NAN = (
    "while all scores of a row are −inf, so is its maximum, and the difference is nan. Subtract 0 "
    "in that case."
)

UPDATE = Exercise(
    id="flash_attention.update",
    title="Update with one tile",
    minutes=12,
    difficulty=3,
    statement=(
        "`state` holds for each of t queries (maximum, total, mixed) of the keys read so far, with "
        "shapes (t,), (t,) and (t, Dv). A tile brings scores (t, s) and values (s, Dv). Return the "
        "state after it, as a triple. Masked scores are −inf; a query that has read nothing keeps "
        "the empty state (−inf, 0, zeros). "
        "The given state is not changed."
    ),
    solution=flash.attend_scores,
    reference=_update_in_double,
    generator=generators.updates,
    probes=(
        Probe(
            "the first tile",
            lambda: call(
                state_of([-INF], [0.0], [[0.0, 0.0]]),
                torch.tensor([[2.0, 1.0, 0.1]]),
                torch.tensor([[1.0, 0.0], [0.0, 10.0], [5.0, 5.0]]),
            ),
            "Nothing was read before: the sum of exp(score − maximum) times the values.",
        ),
        Probe(
            "the maximum stays",
            lambda: call(
                state_of([3.0, 2.5], [1.5, 1.2], uneven(2, 3)),
                uneven(2, 4) - 2,
                uneven(4, 3),
            ),
            "The sums so far stay as they are; the tile adds to them.",
        ),
        Probe(
            "the maximum grows",
            lambda: call(
                state_of([-1.0, 0.5], [1.5, 1.2], uneven(2, 3)),
                uneven(2, 4) + 2,
                uneven(4, 3),
            ),
            "The sums so far were measured from a lower maximum: total and mixed both shrink.",
        ),
        Probe(
            "the maximum grows in some rows only",
            lambda: call(
                state_of([3.0, -2.0, 0.0], [1.5, 1.2, 2.0], uneven(3, 2)),
                uneven(3, 5),
                uneven(5, 2),
            ),
            "Each query has its own maximum.",
        ),
        Probe(
            "scores around 1000",
            lambda: call(state_of([999.0], [1.5], [[2.0, 3.0]]), uneven(1, 4) + 1000, uneven(4, 2)),
            "Only differences of scores may be exponentiated.",
        ),
        Probe(
            "a row that is masked so far",
            lambda: call(
                state_of([-INF, 0.0], [0.0, 1.0], [[0.0, 0.0], [1.0, 2.0]]),
                torch.tensor([[-INF, -INF], [-INF, 1.0]]),
                uneven(2, 2),
            ),
            "All its scores are −inf, and so is its maximum; −inf − (−inf) is nan.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the sum outside the product",
            _varied(mix=_sum_outside),
            "You multiply the sum of the weights by the sum of the values. Each weight belongs to "
            "its own value: Σⱼ pⱼ vⱼ is the matrix product weights @ v.",
        ),
        Misconception(
            "the accumulator not rescaled",
            _varied(rescale_mixed=_one),
            "The total shrinks when the maximum grows, and `mixed` must shrink with it: both are "
            "sums measured from the old maximum.",
        ),
        Misconception(
            "the total not rescaled",
            _varied(rescale_total=_one),
            "`mixed` shrinks when the maximum grows, and the total must shrink with it: both are "
            "sums measured from the old maximum.",
        ),
        Misconception(
            "nothing rescaled",
            _varied(rescale_total=_one, rescale_mixed=_one),
            "The sums so far are measured from the old maximum. When it grows, multiply total and "
            "mixed by exp(old − new) before you add.",
        ),
        Misconception(
            "rescaled by the wrong maximum",
            _varied(rescale_total=_by_tile_maximum, rescale_mixed=_by_tile_maximum),
            "You rescale by exp(old − maximum of the tile), which is more than 1 when the tile "
            "brings nothing larger. The new maximum is the larger of the two.",
        ),
        Misconception(
            "rescaled upside down",
            _varied(rescale_total=_upside_down, rescale_mixed=_upside_down),
            "A larger maximum makes the sums so far smaller: multiply by exp(old − new).",
        ),
        Misconception(
            "divided by the total at each step",
            _divided_at_once,
            "`mixed` stays a sum until the last tile. If you divide now, the next tile is added to "
            "an average. Divide once, at the end.",
        ),
        Misconception(
            "softmax within the tile",
            _softmax_of_tile,
            "softmax divides by the total of this tile, which is not that of the row. Take "
            "exp(score − new maximum) and leave the division to the end.",
        ),
        Misconception(
            "the weights measured from the old maximum",
            _from_old_maximum,
            "You measure the weights of the tile from the old maximum, but the sums so far from "
            "the new one. Measure both from the new one.",
        ),
        Misconception(
            "one maximum for all queries",
            _varied(larger=lambda old, tile: torch.maximum(old, tile.max())),
            "You take the largest score of the whole tile. Each query has its own maximum: "
            "scores.amax(-1).",
        ),
        Misconception(
            "the maximum of the tile alone",
            _varied(larger=lambda old, tile: tile),
            "Your new maximum forgets the old one, and falls when a tile holds only small scores: "
            "exp(old − new) may overflow. Take the larger of the two.",
        ),
        Misconception(
            "nan for a row that is masked so far",
            _varied(guard=False),
            f"W{_NAN[1:]}",
        ),
        Misconception(
            "the sum outside the product, and nan",
            _varied(mix=_sum_outside, guard=False),
            "You multiply the sum of the weights by the sum of the values: each weight belongs to "
            f"its own value, weights @ v. Also, {_NAN}",
        ),
        Misconception(
            "the accumulator not rescaled, and nan",
            _varied(rescale_mixed=_one, guard=False),
            "`mixed` is measured from the old maximum, like the total, and must shrink with it. "
            f"Also, {_NAN}",
        ),
        Misconception(
            "nothing rescaled, and nan",
            _varied(rescale_total=_one, rescale_mixed=_one, guard=False),
            "When the maximum grows, multiply total and mixed by exp(old − new) before you add. "
            f"Also, {_NAN}",
        ),
    ),
    alternatives=(
        Alternative("in float64, with loops", _update_in_double),
        Alternative("one key after the other", _walked),
        Alternative("as the hints say", _varied()),
    ),
    hints=(
        "Unpack the state: maximum, total, mixed = state. The new maximum is "
        "torch.maximum(maximum, scores.amax(-1)).",
        "r = exp(maximum − new) rescales the total and, as r[:, None], `mixed`.",
        "weights = exp(scores − new[:, None]); add weights.sum(-1) to the total and weights @ v to "
        "`mixed`. Where `new` is −inf, subtract 0 instead.",
    ),
)
