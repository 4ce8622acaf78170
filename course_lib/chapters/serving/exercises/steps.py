"""The exercise on the scheduler: which tokens a step computes."""

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _token_by_token(pending, budget):
    given = [0] * len(pending)
    for _ in range(budget):
        decoding = [i for i, n in enumerate(pending) if n == 1 and not given[i]]
        reading = [i for i, n in enumerate(pending) if n > 1 and given[i] < n]
        chosen = (decoding or reading)[:1]
        for i in chosen:
            given[i] += 1
    return given


def _in_order(order):
    def share(pending, budget):
        given = [0] * len(pending)
        for i in order(pending):
            given[i] = min(pending[i], budget)
            budget -= given[i]
        return given

    return share


def _sorted(pending, budget):
    given, left = [0] * len(pending), budget
    for i in sorted(range(len(pending)), key=lambda i: pending[i] > 1):
        given[i] = min(pending[i], left)
        left -= given[i]
    return given


def _two_passes(pending, budget):
    given = [0] * len(pending)
    for decoding in (True, False):
        for i, count in enumerate(pending):
            if (count == 1) == decoding:
                given[i] = min(count, budget - sum(given))
    return given


def _split(pending, budget):
    decoding = [i for i, n in enumerate(pending) if n == 1][:budget]
    left, given = budget - len(decoding), []
    for i, count in enumerate(pending):
        share = int(i in decoding) if count == 1 else min(count, left)
        left -= share if count > 1 else 0
        given.append(share)
    return given


def _whole_only(pending, budget):
    given, left = [0] * len(pending), budget
    for i in sorted(range(len(pending)), key=lambda i: pending[i] > 1):
        if pending[i] <= left:
            given[i] = pending[i]
            left -= given[i]
    return given


def _equal(pending, budget):
    each = budget // len(pending) if pending else 0
    return [min(count, each) for count in pending]


def _decoding_free(pending, budget):
    given = []
    for count in pending:
        share = count if count == 1 else min(count, budget)
        budget -= share if count > 1 else 0
        given.append(share)
    return given


def _one_prompt(pending, budget):
    given = _sorted(pending, budget)
    first = next((i for i, n in enumerate(pending) if n > 1), None)
    return [n if pending[i] == 1 or i == first else 0 for i, n in enumerate(given)]


def _all_whole(pending, budget):
    return list(pending)


def _reading_first(pending):
    return sorted(range(len(pending)), key=lambda i: pending[i] == 1)


def _shortest_first(pending):
    return sorted(range(len(pending)), key=lambda i: pending[i])


SHARES = Exercise(
    id="serving.shares",
    title="A step of the scheduler",
    minutes=10,
    difficulty=2,
    statement=(
        "The running requests are in order of service; `pending` says how many tokens of each have "
        "not passed through the model. Those with 1 are generating. A step may compute at most "
        "`budget` tokens, 1 or more. Return as a list how many of each request it computes: first "
        "the generating requests, in order; then the prompts, in order, each as much as is left, "
        "so that a prompt may be cut. The list may be empty."
    ),
    solution=answers.token_shares,
    reference=_token_by_token,
    generator=generators.shares,
    probes=(
        Probe("room for all", lambda: call([1, 5, 1], 10), "Everything fits."),
        Probe("a prompt is cut", lambda: call([7, 1], 5), "The second comes first: 1, and 4."),
        Probe("two prompts", lambda: call([4, 6, 1], 8), "1, then 4, then 3 of 6."),
        Probe("the short one last", lambda: call([6, 3], 7), "In order of service: 6 and 1."),
        Probe("more generating than budget", lambda: call([1, 1, 1, 4], 2), "The third waits."),
        Probe("a short prompt later", lambda: call([3, 2], 3), "Two tokens are a prompt."),
        Probe("nobody", lambda: call([], 4), "An empty step."),
        Probe("a prompt alone", lambda: call([9], 4), "Its first chunk."),
    ),
    misconceptions=(
        Misconception(
            "first come, first served",
            _in_order(lambda pending: range(len(pending))),
            "A long prompt in front takes the whole budget, and those who are generating stall. "
            "Serve the requests with 1 pending token first.",
        ),
        Misconception(
            "prompts first",
            _in_order(_reading_first),
            "You serve prompts before the requests that are generating: their readers see the text "
            "stop whenever somebody arrives.",
        ),
        Misconception(
            "the shortest first",
            _in_order(_shortest_first),
            "You serve short prompts first, so a long one may wait for ever. Among prompts the "
            "order of service counts.",
        ),
        Misconception(
            "prompts never cut",
            _whole_only,
            "A prompt that does not fit is left out; one longer than the budget never starts. Give "
            "it what is left.",
        ),
        Misconception(
            "equal shares",
            _equal,
            "You divide the budget evenly. A request that is generating has one token, and what it "
            "leaves goes to the prompts.",
        ),
        Misconception(
            "generating is free",
            _decoding_free,
            "The tokens of generating requests count against the budget too.",
        ),
        Misconception(
            "one prompt a step",
            _one_prompt,
            "After the first prompt there may be budget left: the next one gets it.",
        ),
        Misconception(
            "no budget",
            _all_whole,
            "A step may compute at most `budget` tokens; cut what does not fit.",
        ),
    ),
    alternatives=(
        Alternative("sorted", _sorted),
        Alternative("two passes", _two_passes),
        Alternative("generating counted first", _split),
    ),
    hints=(
        "Go through the requests in two passes: those with pending == 1, then the others.",
        "Each gets min(pending, what is left of the budget).",
    ),
)
