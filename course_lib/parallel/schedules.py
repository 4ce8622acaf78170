"""Pipelines: the order in which each stage works, and the time that it stands idle.

The layers are cut into p stages, the batch into m microbatches. A stage can start only when the one
before it has finished, so at the start and at the end some stages stand idle: the bubble.

    idle share = (p - 1) / (m + p - 1)            for GPipe and for 1F1B
    activations kept by stage s    GPipe: m       1F1B: min(p - s, m)

GPipe runs all forward passes, then all backward passes. 1F1B begins with p - s - 1 forward passes
(warm-up), then alternates one forward and one backward, and ends with the backward passes left. It
takes as long, and keeps fewer activations.

Taught in:        parallel
Paper:            Huang et al. 2018, arXiv:1811.06965 (GPipe); Narayanan et al. 2021,
                  arXiv:2104.04473 (1F1B in Megatron)
Checked against:  torch's ScheduleGPipe and Schedule1F1B on gloo; schedules worked out by hand
Shapes:           p stages, m microbatches
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from course_lib.parallel.communicator import DeadlockError

Number = int | float
Work = tuple[Literal["F", "B"], int]  # forward or backward, and the number of the microbatch


def gpipe_order(stage: int, stages: int, microbatches: int) -> list[Work]:
    """Return what a stage does: all forward passes, then all backward passes."""
    check_pipeline(stage, stages, microbatches)
    return [("F", i) for i in range(microbatches)] + [("B", i) for i in range(microbatches)]


def one_f_one_b_order(stage: int, stages: int, microbatches: int) -> list[Work]:
    """Return what a stage does: warm-up, then one forward and one backward, then the rest."""
    check_pipeline(stage, stages, microbatches)
    warm_up = min(stages - 1 - stage, microbatches)
    order: list[Work] = [("F", i) for i in range(warm_up)]
    for i in range(microbatches - warm_up):
        order += [("F", warm_up + i), ("B", i)]
    return order + [("B", i) for i in range(microbatches - warm_up, microbatches)]


ORDERS: dict[str, Callable[[int, int, int], list[Work]]] = {
    "GPipe": gpipe_order,
    "1F1B": one_f_one_b_order,
}


def check_pipeline(stage: int, stages: int, microbatches: int) -> None:
    """Raise `ValueError` for a stage that does not exist, or nothing to do."""
    if not 0 <= stage < stages or microbatches < 1:
        raise ValueError(
            f"a stage is counted from 0 to stages - 1, and there is at least one microbatch; got "
            f"stage {stage} of {stages} and {microbatches} microbatches."
        )


class Bar(NamedTuple):
    """A piece of work of a stage, from `begin` to `end`."""

    stage: int
    work: Work
    begin: Number
    end: Number


def timeline(
    orders: Sequence[Sequence[Work]], forward: Number = 1, backward: Number = 2
) -> list[Bar]:
    """Return when each stage does what, if each starts as early as it can.

    A forward pass needs that of the stage before, a backward pass that of the stage after, which in
    the last stage is the forward pass itself.
    """
    ended: dict[tuple[int, Work], Number] = {}
    places, free = [0] * len(orders), [0.0] * len(orders)
    bars = []
    while any(place < len(order) for place, order in zip(places, orders, strict=True)):
        moved = False
        for stage, order in enumerate(orders):
            while places[stage] < len(order):
                work = order[places[stage]]
                needed = _needs(stage, len(orders), work)
                if needed is not None and needed not in ended:
                    break
                begin = max(free[stage], 0 if needed is None else ended[needed])
                end = begin + (forward if work[0] == "F" else backward)
                free[stage] = ended[stage, work] = end
                bars.append(Bar(stage, work, begin, end))
                places[stage] += 1
                moved = True
        if not moved:
            raise DeadlockError(_stuck(orders, places))
    return bars


def _needs(stage: int, stages: int, work: Work) -> tuple[int, Work] | None:
    kind, number = work
    if kind == "F":
        return (stage - 1, work) if stage else None
    return (stage + 1, work) if stage + 1 < stages else (stage, ("F", number))


def _stuck(orders: Sequence[Sequence[Work]], places: Sequence[int]) -> str:
    waits = []
    for stage, (order, place) in enumerate(zip(orders, places, strict=True)):
        if place < len(order):
            needed = _needs(stage, len(orders), order[place])
            assert needed is not None
            waits.append(
                f"stage {stage} waits with {_name(order[place])} for {_name(needed[1])} of stage "
                f"{needed[0]}"
            )
    return "no stage can go on: " + "; ".join(waits) + "."


def _name(work: Work) -> str:
    return f"{work[0]}{work[1]}"


def idle_share(bars: Sequence[Bar], stages: int) -> float:
    """Return the fraction of all stages' time in which they do nothing."""
    whole = max(bar.end for bar in bars)
    return 1 - sum(bar.end - bar.begin for bar in bars) / (stages * whole)


def bubble_fraction(stages: int, microbatches: int) -> float:
    """Return the idle share by the formula, (p - 1) / (m + p - 1)."""
    check_pipeline(0, stages, microbatches)
    return (stages - 1) / (microbatches + stages - 1)


def most_kept(order: Sequence[Work]) -> int:
    """Return for how many microbatches a stage keeps activations at the same time."""
    kept = most = 0
    for kind, _ in order:
        kept += 1 if kind == "F" else -1
        most = max(most, kept)
    return most
