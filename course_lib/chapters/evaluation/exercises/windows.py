"""The exercise on the windows in which a long text is scored."""

import itertools

from course_lib import evaluation
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _token_by_token(length, window, stride):
    """Return the windows from where each token is scored."""
    found = [[0, 1, min(window, length)]]
    for token in range(window, length):
        if (token - window) % stride == 0:
            found.append([0, token, token])
        found[-1][2] = token + 1
        found[-1][0] = token + 1 - window
    return [tuple(each) for each in found]


def _as_hinted(length, window, stride):
    end = min(window, length)
    windows = [(0, 1, end)]
    while end < length:
        scored = end
        end = min(scored + stride, length)
        windows.append((end - window, scored, end))
    return windows


def _by_ends(length, window, stride):
    ends = [*range(min(window, length), length, stride), length]
    first = [(0, 1, ends[0])]
    return first + [(e - window, s, e) for s, e in itertools.pairwise(ends)]


def _recursive(length, window, stride):
    if length <= window:
        return [(0, 1, length)]
    rest = (length - window) % stride or stride
    return [
        *_recursive(length - rest, window, stride),
        (length - window, length - rest, length),
    ]


def _changed(change):
    def windows(length, window, stride):
        return [change(n, *each, window, stride) for n, each in
                enumerate(_as_hinted(length, window, stride))]  # fmt: skip

    return windows


def _without_the_rest(length, window, stride):
    full = [each for each in _as_hinted(length, window, stride)[1:] if each[2] - each[1] == stride]
    return [(0, 1, min(window, length)), *full]


WINDOWS = Exercise(
    id="evaluation.windows",
    title="Windows over a long text",
    minutes=10,
    difficulty=2,
    statement=(
        "A text of `length` tokens is read in windows of `window` tokens, or one of `length` if "
        "the text is shorter. Return a list of triples (begin, scored, end): tokens begin to "
        "end − 1 are read, those from `scored` on are scored. The first window begins at 0 and "
        "scores its tokens from 1 on, since nothing comes before token 0. Each later window scores "
        "the next `stride` tokens, the last one those that are left, and still reads `window` "
        "tokens, the last `window` before its end. length ≥ 2, window ≥ 2, 1 ≤ stride < window."
    ),
    solution=evaluation.scoring_windows,
    reference=_token_by_token,
    generator=generators.windows,
    probes=(
        Probe("one window", lambda: call(4, 4, 2), "The whole text fits: (0, 1, 4)."),
        Probe("shorter than a window", lambda: call(3, 8, 4), "It ends with the text."),
        Probe("two windows", lambda: call(6, 4, 2), "The second reads 2 to 5 and scores 4 and 5."),
        Probe("a stride of 1", lambda: call(6, 4, 1), "Each new token gets all the context."),
        Probe("a rest", lambda: call(9, 5, 3), "The last window scores one token, and reads five."),
        Probe("many windows", lambda: call(23, 6, 4), "Every token is scored once."),
        Probe("a wide stride", lambda: call(12, 5, 4), "Each later window has one token before."),
    ),
    misconceptions=(
        Misconception(
            "scored twice",
            _changed(lambda n, begin, scored, end, window, stride: (begin, begin + 1, end)),
            "Each window scores everything that it reads, so tokens in the overlap count twice. "
            "Score from where the last window ended.",
        ),
        Misconception(
            "no overlap",
            lambda length, window, stride: [
                (b, b + 1, min(b + window, length)) for b in range(0, length, window)
            ],
            "The first token of each window has nothing before it, and the next ones very little. "
            "Let windows overlap.",
        ),
        Misconception(
            "begin at multiples of the stride",
            _changed(lambda n, begin, scored, end, window, stride: (n * stride, scored, end)),
            "The last window is then shorter, and its tokens have less context. It begins "
            "`window` tokens before its end.",
        ),
        Misconception(
            "the rest is lost",
            _without_the_rest,
            "If the tokens that are left are fewer than `stride`, they need a window too.",
        ),
        Misconception(
            "token 0 is scored",
            _changed(
                lambda n, begin, scored, end, window, stride: (begin, scored if n else 0, end)
            ),
            "Nothing comes before token 0, so it has no probability. Score from 1 on.",
        ),
        Misconception(
            "the last token, not the end",
            _changed(lambda n, begin, scored, end, window, stride: (begin, scored, end - 1)),
            "`end` is the place after the last token, as in a slice.",
        ),
        Misconception(
            "stride and overlap confused",
            lambda length, window, stride: _as_hinted(length, window, window - stride),
            "`stride` is how many new tokens a window scores, not how many it shares.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("from the ends", _by_ends),
        Alternative("recursively", _recursive),
    ),
    hints=(
        "The first window is (0, 1, min(window, length)). Keep its end.",
        "While the end is before `length`: the next window scores from there on, and ends "
        "`stride` later, or at `length`.",
        "It begins at its end minus `window`.",
    ),
)
