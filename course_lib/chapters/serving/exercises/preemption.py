"""The exercise on preemption: who goes on, who pauses and who loses its blocks."""

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_states(held, needs, free):
    state, left = ["" for _ in held], list(range(len(held)))
    for number in range(len(held)):
        if state[number]:
            continue
        state[number] = "runs"
        while needs[number] and not free:
            last = left.pop()
            state[last] = "pauses" if last == number else "preempted"
            if last == number:
                break
            free += held[last]
        if state[number] == "runs" and needs[number]:
            free -= 1
    return state


def _recursive(held, needs, free):
    if not held:
        return []
    if not needs[0] or free:
        return ["runs", *_recursive(held[1:], needs[1:], free - bool(needs[0]))]
    if len(held) == 1:
        return ["pauses"]
    return [*_recursive(held[:-1], needs[:-1], free + held[-1]), "preempted"]


def _two_ends(held, needs, free):
    states = []
    end = len(held)
    while len(states) < end:
        if not needs[len(states)] or free > 0:
            free -= needs[len(states)]
            states.append("runs")
        elif end == len(states) + 1:
            states.append("pauses")
        else:
            end -= 1
            free += held[end]
    return states + ["preempted"] * (len(held) - end)


def _from_sums(held, needs, free):
    count, end, begin = len(held), len(held), 0
    while begin < end:
        wanted = sum(needs[: begin + 1])
        while free + sum(held[end:]) < wanted and end > begin + 1:
            end -= 1
        if free + sum(held[end:]) < wanted:
            break
        begin += 1
    middle = ["pauses"] * (end - begin)
    return ["runs"] * begin + middle + ["preempted"] * (count - end)


def _walk(held, needs, free, victim, gain, kept=True):
    """Serve in order; `victim` picks who loses its blocks, `gain` says what that frees."""
    state = [""] * len(held)
    for number, need in enumerate(needs):
        while not state[number]:
            if not need or free:
                state[number] = "runs"
                free -= bool(need)
                continue
            last = victim(number, [i for i, each in enumerate(state) if each != "preempted"], held)
            if last == number and kept:
                state[number] = "pauses"
                continue
            state[last] = "preempted"
            free += gain(held[last])
    return state


def _mistake(name, explanation, *, victim=None, gain=None, kept=True):
    def function(held, needs, free):
        pick, freed = victim or (lambda number, left, held: left[-1]), gain or (lambda n: n)
        return _walk(held, needs, free, pick, freed, kept)

    return Misconception(name, function, explanation)


def _most_blocks(number, left, held):
    later = [i for i in left if i >= number]
    return max(later, key=lambda i: (held[i], i)) if later[1:] else number


def _next_in_order(number, left, held):
    return next((i for i in left if i > number), number)


def _itself(number, left, held):
    return number


def _all_pause(held, needs, free):
    state = []
    for need in needs:
        state.append("runs" if not need or free else "pauses")
        free -= bool(need and free)
    return state


def _everybody_needs(held, needs, free):
    return _by_states(held, [1] * len(held), free)


def _never_used_up(held, needs, free):
    state, end = [], len(held)
    while len(state) < end:
        if not needs[len(state)] or free:
            state.append("runs")
        elif end == len(state) + 1:
            state.append("pauses")
        else:
            end -= 1
            free += held[end]
    return state + ["preempted"] * (len(held) - end)


PREEMPTED = Exercise(
    id="serving.preempted",
    title="Who loses its blocks",
    minutes=15,
    difficulty=3,
    statement=(
        "The running requests are in order of service, and all are generating. Request i holds "
        "held[i] blocks, at least 1, none of them shared; needs[i] is 1 if its next token needs "
        "one more block, otherwise 0. `free` blocks are free. Serve the requests in order. One "
        "that needs no block runs; one that needs a block takes a free one and runs. If none is "
        "free, the last request that has not lost its blocks loses them all: it is preempted, and "
        "they are free. Repeat that until the request can take a block; if it is the last one "
        "itself, it keeps its blocks and pauses. A preempted request is not served in this step. "
        "Return a list with 'runs', 'pauses' or 'preempted' for each request. It may be empty."
    ),
    solution=answers.preempted,
    reference=_by_states,
    generator=generators.preempted,
    probes=(
        Probe("room for all", lambda: call([2, 1, 3], [1, 0, 1], 2), "Nobody loses anything."),
        Probe("one block too few", lambda: call([2, 1, 3], [1, 1, 0], 1), "The third pays."),
        Probe("the last one needs it", lambda: call([2, 2], [1, 1], 1), "It pauses, and keeps 2."),
        Probe(
            "one victim is enough",
            lambda: call([1, 1, 2], [1, 1, 1], 0),
            "The two blocks of the third serve the first and the second.",
        ),
        Probe(
            "two victims",
            lambda: call([3, 2, 1, 1], [1, 1, 0, 1], 0),
            "One block serves the first; for the second, the third has to go too.",
        ),
        Probe(
            "the second pauses",
            lambda: call([3, 2, 1], [1, 1, 0], 0),
            "The block of the third serves the first; now the second is last.",
        ),
        Probe(
            "no block is needed", lambda: call([1, 4], [0, 0], 0), "All run with what they have."
        ),
        Probe("alone", lambda: call([5], [1], 0), "It can only pause."),
        Probe(
            "the last needs nothing",
            lambda: call([1, 2, 2], [0, 1, 0], 0),
            "It loses its blocks although it could have run.",
        ),
        Probe("nobody", lambda: call([], [], 3), "An empty step."),
    ),
    misconceptions=(
        _mistake(
            "the largest loses",
            "You preempt the request with the most blocks. That frees many at once, but it may "
            "hit one that came early again and again, so that it never ends. Take the last one.",
            victim=_most_blocks,
        ),
        _mistake(
            "the next one loses",
            "You preempt the request right after the one that needs a block. Take from the end of "
            "the order: who came last usually has the least to compute again.",
            victim=_next_in_order,
        ),
        _mistake(
            "the needy one loses",
            "You preempt the request that needs the block. Then the first in order may be thrown "
            "out for the sake of later ones.",
            victim=_itself,
            kept=False,
        ),
        Misconception(
            "nobody loses",
            _all_pause,
            "Whoever finds no free block pauses, and nobody gives any back: if all need one, all "
            "wait for ever.",
        ),
        _mistake(
            "one block freed",
            "A preempted request gives back all its blocks, not one.",
            gain=lambda held: 1,
        ),
        _mistake(
            "the last one loses its own",
            "The request that needs a block is the last one left: it keeps its blocks and pauses. "
            "Nobody else would gain from taking them.",
            kept=False,
        ),
        Misconception(
            "a block for everybody",
            _everybody_needs,
            "A request whose last block still has a place needs no block: look at needs[i].",
        ),
        Misconception(
            "free blocks never used up",
            _never_used_up,
            "A block that was taken is no longer free: subtract it.",
        ),
    ),
    alternatives=(
        Alternative("recursive", _recursive),
        Alternative("from both ends", _two_ends),
        Alternative("from sums", _from_sums),
    ),
    hints=(
        "Keep two places: the request being served, and the last one that still has its blocks.",
        "While a block is needed and none is free, move the second place forward by one request, "
        "add its blocks to `free`, and call it 'preempted'; stop when both places meet.",
    ),
)
