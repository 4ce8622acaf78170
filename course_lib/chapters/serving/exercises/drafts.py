"""The exercise on drafting from the text itself."""

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _places(tokens, n):
    """Return where the ending occurs, its own place included."""
    if len(tokens) < n:
        return []
    starts = range(len(tokens) - n + 1)
    return [s for s in starts if tokens[s : s + n] == tokens[len(tokens) - n :]]


def _by_places(tokens, count, n):
    earlier = _places(tokens, n)[:-1]
    return tokens[earlier[-1] + n :][:count] if earlier else []


def _backwards(tokens, count, n):
    for start in range(len(tokens) - n - 1, -1, -1):
        if all(tokens[start + i] == tokens[len(tokens) - n + i] for i in range(n)):
            return tokens[start + n : start + n + count]
    return []


def _by_table(tokens, count, n):
    seen = {}
    for end in range(n, len(tokens)):
        seen[tuple(tokens[end - n : end])] = end
    end = seen.get(tuple(tokens[-n:]) if len(tokens) >= n else None)
    return [] if end is None else tokens[end : end + count]


def _by_slices(tokens, count, n):
    found = []
    for start in range(max(len(tokens) - n, 0)):
        if tokens[start : start + n] == tokens[-n:]:
            found = tokens[start + n : start + n + count]
    return found


def _first(tokens, count, n):
    earlier = _places(tokens, n)[:-1]
    return tokens[earlier[0] + n :][:count] if earlier else []


def _with_ending(tokens, count, n):
    earlier = _places(tokens, n)[:-1]
    return tokens[earlier[-1] :][:count] if earlier else []


def _itself(tokens, count, n):
    places = _places(tokens, n)
    return tokens[places[-1] + n :][:count] if places else []


def _all(tokens, count, n):
    earlier = _places(tokens, n)[:-1]
    return tokens[earlier[-1] + n :] if earlier else []


def _no_overlap(tokens, count, n):
    earlier = [s for s in _places(tokens, n)[:-1] if s + n <= len(tokens) - n]
    return tokens[earlier[-1] + n :][:count] if earlier else []


def _last_token(tokens, count, n):
    return _by_places(tokens, count, 1)


def _full_only(tokens, count, n):
    earlier = [s for s in _places(tokens, n) if s + n + count <= len(tokens)][::1]
    earlier = [s for s in earlier if s < len(tokens) - n]
    return tokens[earlier[-1] + n :][:count] if earlier else []


def _in_text(tokens, count, n):
    if len(tokens) <= n:
        return []
    text, ending = " ".join(map(str, tokens)), " ".join(map(str, tokens[-n:]))
    place = text.rfind(ending, 0, len(text) - 1)
    return list(map(int, text[place + len(ending) :].split()))[:count] if place >= 0 else []


def _guess_anyway(tokens, count, n):
    return _by_places(tokens, count, n) or tokens[-1:] * count


DRAFT = Exercise(
    id="serving.draft",
    title="A draft from the text itself",
    minutes=8,
    difficulty=2,
    statement=(
        "Find the last place before the end of `tokens`, a list of at least one id, where its last "
        "n tokens occur (n at least 1; the two may overlap). Return the tokens that follow there, "
        "at most `count`, as a list; it is empty if there is no such place."
    ),
    solution=answers.draft,
    reference=_by_places,
    generator=generators.draft,
    probes=(
        Probe("by hand", lambda: call([5, 6, 7, 8, 5, 6], 2, 2), "After 5, 6 came 7, 8."),
        Probe("twice before", lambda: call([5, 6, 1, 5, 6, 2, 5, 6], 1, 2), "Last time it was 2."),
        Probe("never before", lambda: call([1, 2, 3, 4], 3, 2), "No place, no draft."),
        Probe("fewer than count", lambda: call([9, 4, 9], 5, 1), "4 and 9 follow, then it ends."),
        Probe("overlapping", lambda: call([3, 3, 3], 2, 2), "The first 3, 3 is followed by a 3."),
        Probe("only the last token", lambda: call([1, 7, 2, 7], 2, 2), "2, 7 is new; 7 is not."),
        Probe(
            "parts of a number",
            lambda: call([15, 6, 7, 5, 6], 2, 2),
            "15, 6 ends like 5, 6 when written out, but 15 is not 5.",
        ),
        Probe("too short", lambda: call([4], 3, 2), "A text shorter than n has no ending of n."),
        Probe("no draft wanted", lambda: call([1, 1, 1], 0, 1), "count is 0."),
    ),
    misconceptions=(
        Misconception(
            "the first place",
            _first,
            "You take the first place where the ending occurs. The last one is nearer, "
            "and the text is more likely to go on as it did there.",
        ),
        Misconception(
            "the ending repeated",
            _with_ending,
            "Your draft begins with the ending itself. Start after it, at place + n.",
        ),
        Misconception(
            "the end found",
            _itself,
            "The ending occurs at the very end, of course, and nothing follows there. Look before.",
        ),
        Misconception(
            "everything that follows",
            _all,
            "At most `count` tokens: each one that is guessed wrongly was computed for nothing.",
        ),
        Misconception(
            "no overlap",
            _no_overlap,
            "In 3, 3, 3 the ending 3, 3 occurred before, one place earlier. Places may overlap.",
        ),
        Misconception(
            "one token compared",
            _last_token,
            "You compare the last token only. All of the last n must be equal.",
        ),
        Misconception(
            "searched as text",
            _in_text,
            "Written out, 5 is a part of 15. Compare lists of ids, not strings.",
        ),
        Misconception(
            "full drafts only",
            _full_only,
            "You skip places after which fewer than `count` tokens follow. A short draft is good.",
        ),
        Misconception(
            "a guess in any case",
            _guess_anyway,
            "Without an earlier place there is nothing to go by. Return an empty list.",
        ),
    ),
    alternatives=(
        Alternative("backwards", _backwards),
        Alternative("a table of endings", _by_table),
        Alternative("slice by slice", _by_slices),
    ),
    hints=(
        "Go through the starts from len(tokens) − n − 1 down to 0.",
        "If tokens[start:start + n] == tokens[-n:], return tokens[start + n:start + n + count].",
    ),
)
