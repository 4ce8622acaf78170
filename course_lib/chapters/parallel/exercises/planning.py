"""The exercises on planning: the order of a pipeline stage, and a stage of ZeRO that fits."""

from course_lib import parallel
from course_lib.chapters.parallel import answers
from course_lib.chapters.parallel.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_room(stage, stages, microbatches):
    order, forward, backward = [], 0, 0
    while backward < microbatches:
        if forward < microbatches and forward - backward < stages - stage:
            order.append(("F", forward))
            forward += 1
        else:
            order.append(("B", backward))
            backward += 1
    return order


def _in_three_parts(stage, stages, microbatches):
    ahead = min(stages - stage - 1, microbatches)
    first = [("F", i) for i in range(ahead)]
    pairs = [work for i in range(ahead, microbatches) for work in (("F", i), ("B", i - ahead))]
    return first + pairs + [("B", i) for i in range(microbatches - ahead, microbatches)]


def _inserted(stage, stages, microbatches):
    order = [("F", i) for i in range(microbatches)]
    for i in range(microbatches):
        place = min(stages - stage + i, microbatches) + i
        order.insert(place, ("B", i))
    return order


def _all_forward_first(stage, stages, microbatches):
    return [(kind, i) for kind in "FB" for i in range(microbatches)]


def _one_more_ahead(stage, stages, microbatches):
    return _in_three_parts(stage - 1, stages, microbatches)


def _like_the_last(stage, stages, microbatches):
    return _in_three_parts(stages - 1, stages, microbatches)


def _mirrored(stage, stages, microbatches):
    return _in_three_parts(stages - 1 - stage, stages, microbatches)


def _backwards_reversed(stage, stages, microbatches):
    order = _in_three_parts(stage, stages, microbatches)
    numbers = iter(reversed(range(microbatches)))
    return [(kind, next(numbers) if kind == "B" else i) for kind, i in order]


def _not_emptied(stage, stages, microbatches):
    order = _in_three_parts(stage, stages, microbatches)
    ahead = min(stages - stage - 1, microbatches)
    return order[: len(order) - ahead]


def _backward_first(stage, stages, microbatches):
    ahead = min(stages - stage - 1, microbatches)
    order = [("F", i) for i in range(ahead)]
    for i in range(ahead, microbatches):
        order += [("B", i - ahead), ("F", i)]
    return order + [("B", i) for i in range(microbatches - ahead, microbatches)]


ORDER = Exercise(
    id="parallel.order",
    title="One forward, one backward",
    minutes=12,
    difficulty=2,
    statement=(
        'Return what a pipeline stage does under 1F1B: a list of pairs ("F", i) and ("B", i), the '
        "forward and the backward pass of microbatch i, each from 0 to microbatches − 1 in order. "
        "Stages are numbered from 0; the last is stages − 1. First come stages − 1 − stage forward "
        "passes, or all if there are fewer; then, while forward passes are left, one forward and "
        "one "
        "backward in turn; then the backward passes that are left."
    ),
    solution=parallel.one_f_one_b_order,
    reference=_by_room,
    generator=generators.order,
    probes=(
        Probe("the last stage", lambda: call(1, 2, 2), "F0 B0 F1 B1: no warm-up."),
        Probe("the first of two", lambda: call(0, 2, 2), "F0 F1 B0 B1."),
        Probe("the first of three", lambda: call(0, 3, 5), "Two forward passes, then pairs."),
        Probe("in the middle", lambda: call(1, 4, 5), "Two forward passes ahead of the pairs."),
        Probe("one stage", lambda: call(0, 1, 3), "The order of one process."),
        Probe("few microbatches", lambda: call(0, 5, 2), "All forward passes are the warm-up."),
        Probe("one microbatch", lambda: call(1, 3, 1), "F0 B0."),
    ),
    misconceptions=(
        Misconception(
            "all forward passes first",
            _all_forward_first,
            "That is GPipe: all microbatches' activations are kept. Alternate after the warm-up.",
        ),
        Misconception(
            "one too many ahead",
            _one_more_ahead,
            "The warm-up has stages − 1 − stage forward passes: none in the last stage.",
        ),
        Misconception(
            "no warm-up",
            _like_the_last,
            "Only the last stage can go backward right after its first forward pass. With this "
            "order "
            "the stages wait for each other for ever.",
        ),
        Misconception(
            "counted from the wrong end",
            _mirrored,
            "The first stage has the longest warm-up: its first backward pass comes last.",
        ),
        Misconception(
            "backward passes reversed",
            _backwards_reversed,
            "Microbatches go backward in the order in which they went forward.",
        ),
        Misconception(
            "not emptied",
            _not_emptied,
            "The microbatches of the warm-up need a backward pass too, at the end.",
        ),
        Misconception(
            "backward before forward",
            _backward_first,
            "In each pair the forward pass comes first; otherwise the last stage has nothing to go "
            "back from.",
        ),
    ),
    alternatives=(
        Alternative("by room for activations", _by_room),
        Alternative("in three parts", _in_three_parts),
        Alternative("backward passes inserted", _inserted),
    ),
    hints=(
        "ahead = min(stages - 1 - stage, microbatches) forward passes come first.",
        "Then for i in range(microbatches - ahead): F of ahead + i, and B of i.",
        "The last `ahead` microbatches go backward at the end.",
    ),
)


def _needed(parameters, devices):
    each = (2, 2, 12)
    for cut in range(4):
        yield sum(
            size * parameters / (devices if place >= 3 - cut else 1)
            for place, size in enumerate(each)
        )


def _first_that_fits(parameters, devices, memory, activations):
    for stage, needed in enumerate(_needed(parameters, devices)):
        if needed <= memory - activations:
            return stage
    return None


def _by_ifs(parameters, devices, memory, activations):
    shard = parameters / devices
    if 16 * parameters + activations <= memory:
        return 0
    if 4 * parameters + 12 * shard + activations <= memory:
        return 1
    if 2 * parameters + 14 * shard + activations <= memory:
        return 2
    return 3 if 16 * shard + activations <= memory else None


def _by_table(parameters, devices, memory, activations):
    table = {0: (16, 0), 1: (4, 12), 2: (2, 14), 3: (0, 16)}
    fits = [
        stage
        for stage, (whole, cut) in table.items()
        if parameters * (whole + cut / devices) + activations <= memory
    ]
    return min(fits, default=None)


def _in_whole_numbers(parameters, devices, memory, activations):
    room = (memory - activations) * devices
    for stage, whole in enumerate((16, 4, 2, 0)):
        if parameters * (whole * devices + 16 - whole) <= room:
            return stage
    return None


def _with_table(table):
    def function(parameters, devices, memory, activations):
        for stage, (whole, cut) in enumerate(table):
            if parameters * (whole + cut / devices) + activations <= memory:
                return stage
        return None

    return function


RIGHT_TABLE = ((16, 0), (4, 12), (2, 14), (0, 16))


def _no_activations(parameters, devices, memory, activations):
    return _by_table(parameters, devices, memory, 0)


def _activations_cut(parameters, devices, memory, activations):
    for stage, (whole, cut) in enumerate(RIGHT_TABLE):
        kept = activations if stage == 0 else activations / devices
        if parameters * (whole + cut / devices) + kept <= memory:
            return stage
    return None


def _largest(parameters, devices, memory, activations):
    return 3 if 16 * parameters / devices + activations <= memory else None


def _strict(parameters, devices, memory, activations):
    for stage, (whole, cut) in enumerate(RIGHT_TABLE):
        if parameters * (whole + cut / devices) + activations < memory:
            return stage
    return None


def _three_anyway(parameters, devices, memory, activations):
    found = _by_table(parameters, devices, memory, activations)
    return 3 if found is None else found


STAGE = Exercise(
    id="parallel.stage",
    title="The stage that fits",
    minutes=8,
    difficulty=1,
    statement=(
        "A model of `parameters` parameters is trained on `devices` devices with `memory` bytes "
        "each. "
        "A parameter takes 2 bytes, its gradient 2 and its optimizer state 12. Plain data "
        "parallelism, "
        "stage 0, keeps all of them on every device; ZeRO-1 divides the optimizer state by the "
        "number "
        "of devices, ZeRO-2 the gradients too, ZeRO-3 the parameters too. In every stage, each "
        "device also needs `activations` bytes. Return the smallest stage, a whole number from 0 "
        "to 3, whose bytes are at most `memory`, or None if none fits. Fractions of bytes count."
    ),
    solution=answers.least_stage,
    reference=_first_that_fits,
    generator=generators.stage,
    probes=(
        Probe("plenty", lambda: call(10, 4, 200, 0), "16 · 10 = 160 bytes fit."),
        Probe("optimizer sharded", lambda: call(10, 4, 70, 0), "4 · 10 + 12 · 10 / 4 = 70."),
        Probe("gradients sharded", lambda: call(10, 4, 69, 0), "2 · 10 + 14 · 10 / 4 = 55."),
        Probe("parameters sharded", lambda: call(10, 4, 50, 0), "16 · 10 / 4 = 40."),
        Probe("none fits", lambda: call(10, 4, 39, 0), "Even 40 bytes are too many."),
        Probe(
            "with activations", lambda: call(10, 4, 75, 20), "55 + 20 = 75: stage 2 fits exactly."
        ),
        Probe("one device", lambda: call(3, 1, 48, 0), "With one device nothing is sharded."),
        Probe("one device, too small", lambda: call(3, 1, 47, 0), "Then no stage helps."),
    ),
    misconceptions=(
        Misconception(
            "activations forgotten",
            _no_activations,
            "Every device also needs its activations. Add them in every stage.",
        ),
        Misconception(
            "activations divided",
            _activations_cut,
            "ZeRO does not shard activations: each device computes its own rows.",
        ),
        Misconception(
            "always stage 3",
            _largest,
            "Stage 3 costs half as much traffic again. Return the smallest stage that fits.",
        ),
        Misconception("an exact fit left out", _strict, "At most `memory`: an exact fit fits."),
        Misconception(
            "stage 3 though nothing fits",
            _three_anyway,
            "If not even stage 3 fits, return None.",
        ),
        Misconception(
            "gradients sharded in stage 1",
            _with_table(((16, 0), (2, 14), (2, 14), (0, 16))),
            "Stage 1 shards the optimizer state only; gradients are whole until stage 2.",
        ),
        Misconception(
            "8 bytes for the optimizer",
            _with_table(((12, 0), (4, 8), (2, 10), (0, 12))),
            "Mixed precision keeps float32 master weights besides Adam's two moments: 12 bytes.",
        ),
        Misconception(
            "parameters sharded before gradients",
            _with_table(((16, 0), (4, 12), (0, 16), (0, 16))),
            "Stage 2 keeps the parameters whole; only stage 3 shards them.",
        ),
    ),
    alternatives=(
        Alternative("case by case", _by_ifs),
        Alternative("from a table", _by_table),
        Alternative("in whole numbers", _in_whole_numbers),
    ),
    hints=(
        "Bytes for each parameter: 16; 4 + 12/n; 2 + 14/n; 16/n.",
        "Try the stages in order, and return the first that fits with the activations.",
    ),
)
