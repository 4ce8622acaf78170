"""The exercise on constrained output: which tokens an automaton allows."""

from functools import reduce

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_rest(token, state, moves):
    if not token:
        return True
    if (state, token[0]) not in moves:
        return False
    return _by_rest(token[1:], moves[state, token[0]], moves)


def _recursive(tokens, state, moves):
    return [_by_rest(token, state, moves) for token in tokens]


def _looped(tokens, state, moves):
    allowed = []
    for token in tokens:
        now = state
        for character in token:
            now = moves.get((now, character))
        allowed.append(now is not None)
    return allowed


def _folded(tokens, state, moves):
    return [reduce(lambda s, c: moves.get((s, c)), t, state) is not None for t in tokens]


def _caught(tokens, state, moves):
    allowed = []
    for token in tokens:
        now = state
        try:
            for character in token:
                now = moves[now, character]
            allowed.append(True)
        except KeyError:
            allowed.append(False)
    return allowed


def _first(tokens, state, moves):
    return [not token or (state, token[0]) in moves for token in tokens]


def _last(tokens, state, moves):
    return [not token or (state, token[-1]) in moves for token in tokens]


def _standing(tokens, state, moves):
    return [all((state, c) in moves for c in token) for token in tokens]


def _carried(tokens, state, moves):
    allowed = []
    for token in tokens:
        good = True
        for character in token:
            good = good and (state, character) in moves
            state = moves.get((state, character), state)
        allowed.append(good)
    return allowed


def _goes_on(tokens, state, moves):
    allowed = []
    for token in tokens:
        now, good = state, True
        for character in token:
            good = (now, character) in moves
            now = moves.get((now, character), now)
        allowed.append(good)
    return allowed


def _anywhere(tokens, state, moves):
    known = {character for _, character in moves}
    return [set(token) <= known for token in tokens]


def _forbidden(tokens, state, moves):
    return [not each for each in _looped(tokens, state, moves)]


def _single(tokens, state, moves):
    return [len(token) == 1 and (state, token) in moves for token in tokens]


NUMBERS = {(0, "-"): 1, (0, "1"): 2, (1, "1"): 2, (2, "1"): 2, (2, "."): 3, (3, "1"): 3}

ALLOWED = Exercise(
    id="serving.allowed",
    title="The mask of a grammar",
    minutes=10,
    difficulty=2,
    statement=(
        "An automaton reads a text character by character: in state s, character c leads to "
        "moves[s, c]; if there is no such entry, c may not come here. It is in `state`. Return, as "
        "a list of truth values, which of the `tokens`, texts of any length, may come next: those "
        "whose characters are all allowed, one after another. An empty token is allowed."
    ),
    solution=answers.allowed_tokens,
    reference=_recursive,
    generator=generators.allowed,
    probes=(
        Probe(
            "single characters",
            lambda: call(["-", "1", "."], 0, NUMBERS),
            "A number starts with a minus sign or a digit.",
        ),
        Probe(
            "several characters",
            lambda: call(["-1", "1.", "-.", ".1", "11"], 0, NUMBERS),
            "After the minus sign there must be a digit.",
        ),
        Probe(
            "another state",
            lambda: call(["1", ".1", "1.1", "-1"], 2, NUMBERS),
            "Inside a number a point is allowed, a minus sign is not.",
        ),
        Probe(
            "wrong at the end",
            lambda: call(["1.1.", "1.1", "1-"], 0, NUMBERS),
            "One wrong character is enough.",
        ),
        Probe(
            "wrong in the middle",
            lambda: call(["1-1", "..1", "x1", "--1"], 2, NUMBERS),
            "The characters after a wrong one do not matter.",
        ),
        Probe("nothing", lambda: call(["", "x"], 3, NUMBERS), "An empty token changes nothing."),
        Probe("a dead end", lambda: call(["1"], 9, NUMBERS), "From state 9 nothing is possible."),
    ),
    misconceptions=(
        Misconception(
            "the first character",
            _first,
            "You look at the first character only. A token may start well and end badly.",
        ),
        Misconception(
            "the last character",
            _last,
            "You look at the last character only, and from the wrong state.",
        ),
        Misconception(
            "the state stands still",
            _standing,
            "You check every character in the same state. Follow the automaton: "
            "state = moves[state, c].",
        ),
        Misconception(
            "the state carried over",
            _carried,
            "Each token is a choice of its own and starts from `state`. Reset it for each token.",
        ),
        Misconception(
            "only the end counts",
            _goes_on,
            "After a character that is not allowed you go on, and a later one makes it good again. "
            "One wrong character is enough.",
        ),
        Misconception(
            "known characters",
            _anywhere,
            "You ask whether the automaton knows these characters at all, not whether they may "
            "come here and in this order.",
        ),
        Misconception(
            "forbidden, not allowed",
            _forbidden,
            "True means that a token may come next.",
        ),
        Misconception(
            "tokens of one character",
            _single,
            "Tokens have several characters. A token is allowed if the automaton can follow all.",
        ),
    ),
    alternatives=(
        Alternative("a loop", _looped),
        Alternative("a fold", _folded),
        Alternative("an exception", _caught),
    ),
    hints=(
        "For each token start from `state` and follow moves.get((now, c)) character by character.",
        "If an entry is missing, the token is not allowed; the other tokens are not affected.",
    ),
)
