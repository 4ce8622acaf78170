"""The exercise on memory: what of a long conversation stays in the context."""

from itertools import accumulate

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

ROLES = ["system", "user", "assistant", "tool", "tool", "assistant", "tool", "assistant"]
SIZES = [2, 3, 4, 5, 1, 2, 6, 3]


def _turns(roles):
    """Return where the head ends, and the places of each turn after it."""
    head = roles.index("user") + 1
    turns = []
    for place in range(head, len(roles)):
        if roles[place] != "tool":
            turns.append([])
        turns[-1].append(place)
    return head, turns


def _by_turns(roles, sizes, budget):
    head, turns = _turns(roles)
    room, kept = budget - sum(sizes[:head]), []
    for turn in reversed(turns):
        room -= sum(sizes[place] for place in turn)
        if room < 0:
            break
        kept = turn + kept
    return [*range(head), *kept]


def _by_starts(roles, sizes, budget):
    head = roles.index("user") + 1
    starts = [p for p in range(head, len(roles)) if roles[p] != "tool"] + [len(roles)]
    best = next(s for s in starts if sum(sizes[:head]) + sum(sizes[s:]) <= budget)
    return [*range(head), *range(best, len(roles))]


def _by_sums(roles, sizes, budget):
    head = roles.index("user") + 1
    after = [*accumulate(reversed(sizes[head:]), initial=sum(sizes[:head]))]
    start = len(roles)
    for count, total in enumerate(after):
        place = len(roles) - count
        if total <= budget and (place == len(roles) or roles[place] != "tool"):
            start = place
    return [*range(head), *range(start, len(roles))]


def _growing(roles, sizes, budget):
    head, turns = _turns(roles)
    for first in range(len(turns) + 1):
        places = [*range(head), *(place for turn in turns[first:] for place in turn)]
        if sum(sizes[place] for place in places) <= budget:
            return places
    return list(range(head))


def _torn(roles, sizes, budget):
    head = roles.index("user") + 1
    start = next(
        s for s in range(head, len(roles) + 1) if sum(sizes[:head]) + sum(sizes[s:]) <= budget
    )
    return [*range(head), *range(start, len(roles))]


def _gaps(roles, sizes, budget):
    head, turns = _turns(roles)
    room, kept = budget - sum(sizes[:head]), []
    for turn in reversed(turns):
        size = sum(sizes[place] for place in turn)
        if size <= room:
            room, kept = room - size, turn + kept
    return [*range(head), *kept]


def _oldest(roles, sizes, budget):
    head, turns = _turns(roles)
    room, kept = budget - sum(sizes[:head]), []
    for turn in turns:
        room -= sum(sizes[place] for place in turn)
        if room < 0:
            break
        kept = kept + turn
    return [*range(head), *kept]


def _no_head(roles, sizes, budget):
    head, _ = _turns(roles)
    found = _by_turns(roles, [0] * head + list(sizes[head:]), budget)
    return found[head:]


def _head_is_free(roles, sizes, budget):
    head, _ = _turns(roles)
    return _by_turns(roles, [0] * head + list(sizes[head:]), budget)


def _strictly(roles, sizes, budget):
    head, _ = _turns(roles)
    found = _by_turns(roles, sizes, budget - 1)
    return found if sum(sizes[:head]) < budget else list(range(head))


def _no_results(roles, sizes, budget):
    return [place for place in _by_turns(roles, sizes, budget) if roles[place] != "tool"]


def _one_more(roles, sizes, budget):
    head, turns = _turns(roles)
    kept = _by_turns(roles, sizes, budget)[head:]
    earlier = [turn for turn in turns if turn[0] not in kept]
    return [*range(head), *(earlier[-1] if earlier else []), *kept]


MEMORY = Exercise(
    id="agents.memory",
    title="What stays in the context",
    minutes=12,
    difficulty=2,
    statement=(
        "`roles` lists who speaks in each message (system, user, assistant, tool), `sizes` how "
        "long each is. The head, everything up to and including the first 'user', always stays, "
        "and `budget` is at least its size. After it, each message that is not from a 'tool' "
        "begins a turn, to which the 'tool' messages right after it belong. Keep as many of the "
        "newest turns as fit, head and turns together at most `budget`: turns are kept whole, and "
        "no older turn is kept if a newer one is not. Return the indices of the messages that "
        "stay, a sorted list."
    ),
    solution=answers.kept_places,
    reference=_by_turns,
    generator=generators.memory,
    probes=(
        Probe("all fit", lambda: call(ROLES, SIZES, 26), "26 is exactly what they take."),
        Probe("one less", lambda: call(ROLES, SIZES, 25), "The oldest turn goes, all 10 of it."),
        Probe("the last turn", lambda: call(ROLES, SIZES, 9), "5 are the head, 3 the last turn."),
        Probe("the head alone", lambda: call(ROLES, SIZES, 5), "Nothing else fits."),
        Probe(
            "results without their call",
            lambda: call(["user", "assistant", "tool", "tool"], [1, 5, 1, 1], 4),
            "The results would fit, the turn does not: it goes as a whole.",
        ),
        Probe(
            "a large turn in the middle",
            lambda: call(["user", "assistant", "assistant", "assistant"], [1, 1, 9, 1], 5),
            "An older turn that would fit is not kept: it would leave a gap.",
        ),
        Probe(
            "another question of the user",
            lambda: call(["user", "assistant", "user", "assistant", "tool"], [1, 2, 2, 2, 2], 7),
            "Only the first 'user' belongs to the head.",
        ),
        Probe("only a task", lambda: call(["user"], [4], 10), "There are no turns."),
    ),
    misconceptions=(
        Misconception(
            "turns torn",
            _torn,
            "You cut between messages. A result without its call means nothing, and an API rejects "
            "it. Cut between turns.",
        ),
        Misconception(
            "gaps",
            _gaps,
            "You skip a turn that is too large and take older ones. Stop at the first that does "
            "not fit.",
        ),
        Misconception("the oldest kept", _oldest, "Keep the newest turns; begin at the end."),
        Misconception(
            "the task forgotten",
            _no_head,
            "The system message and the task must stay, or the agent forgets what it is doing.",
        ),
        Misconception(
            "the head not counted",
            _head_is_free,
            "The head takes room, too: subtract its size from the budget first.",
        ),
        Misconception("never quite full", _strictly, "A turn that fits exactly is kept: use <=."),
        Misconception(
            "results dropped",
            _no_results,
            "A call without its result makes the model call again. Keep the turn whole.",
        ),
        Misconception(
            "one turn too many",
            _one_more,
            "You keep the turn that exceeds the budget. Look at the room before you keep it.",
        ),
    ),
    alternatives=(
        Alternative("the first start that fits", _by_starts),
        Alternative("running sums", _by_sums),
        Alternative("fewer and fewer turns", _growing),
    ),
    hints=(
        "head = roles.index('user') + 1. Then group the indices after it: a message that is not "
        "from a 'tool' opens a group.",
        "Go through the groups from the last to the first, and stop at the first that does not "
        "fit.",
    ),
)
