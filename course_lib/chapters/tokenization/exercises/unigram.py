"""The exercise on Unigram: the most probable of all segmentations."""

import math
import sys
from functools import cache
from itertools import pairwise

from course_lib.chapters.tokenization.exercises.generators import text_and_pieces
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import segmentation


def logs(**shares):
    """Return the logarithm of each share, which is how a tokenizer keeps them."""
    return {piece: math.log(share) for piece, share in shares.items()}


_HUG = logs(h=0.05, u=0.06, g=0.07, s=0.08, hu=0.15, ug=0.2, hug=0.1, gs=0.02)
_LONG = _HUG | logs(i=0.02, n=0.03, hugging=0.01, ing=0.001)
_GREED = logs(a=0.2, b=0.18, c=0.2, ab=0.1, bc=0.15, abc=0.001, cd=0.15, d=0.01)
_WORD = "antidisestablishmentarianism"
_WHOLE = logs(**{_WORD: 0.001}, **dict.fromkeys(_WORD, 0.08))
_SMALL = {"a": -300.0, "b": -450.0, "c": -500.0, "ab": -700.0, "ca": -900.0}
_COUNT = logs(a=0.3, b=0.28, ab=0.05, ba=0.01, aba=0.02)


def segmentations(text, log_probs):
    """Return every way to cut the text into known pieces, with the sum of the logarithms."""
    if not text:
        return [([], 0.0)]
    found = []
    for end in range(1, len(text) + 1):
        if text[:end] in log_probs:
            for pieces, score in segmentations(text[end:], log_probs):
                found.append(([text[:end], *pieces], log_probs[text[:end]] + score))
    return found


def _best_of(text, log_probs, key):
    return max(segmentations(text, log_probs), key=key)[0]


def _by_trying_all(text, log_probs):
    return _best_of(text, log_probs, lambda found: found[1])


def _memoised_recursion(text, log_probs):
    sys.setrecursionlimit(5_000)

    @cache
    def best(begin):
        ends = [end for end in range(begin + 1, len(text) + 1) if text[begin:end] in log_probs]
        ways = [(log_probs[text[begin:end]] + best(end)[0], end) for end in ends]
        return max(ways, default=(0.0, None))

    pieces, begin = [], 0
    while begin < len(text):
        end = best(begin)[1]
        pieces.append(text[begin:end])
        begin = end
    return pieces


def _with_whole_paths(text, log_probs):
    """Keep for each position the best sum and the pieces that lead there."""
    best = {0: (0.0, [])}
    for end in range(1, len(text) + 1):
        ways = [
            (best[begin][0] + log_probs[text[begin:end]], [*best[begin][1], text[begin:end]])
            for begin in range(end)
            if text[begin:end] in log_probs
        ]
        best[end] = max(ways)
    return best[len(text)][1]


def _as_hinted(text, log_probs):
    best, came_from = [0.0], [0]
    for end in range(1, len(text) + 1):
        best.append(-math.inf)
        came_from.append(end)
        for begin in range(end):
            score = best[begin] + log_probs.get(text[begin:end], -math.inf)
            if score > best[end]:
                best[end], came_from[end] = score, begin
    pieces, end = [], len(text)
    while end > 0:
        pieces.append(text[came_from[end] : end])
        end = came_from[end]
    return pieces[::-1]


def _neighbours_joined(text, log_probs):
    pieces = list(text)
    while True:
        gains = [
            (log_probs[a + b] - log_probs[a] - log_probs[b], place)
            for place, (a, b) in enumerate(pairwise(pieces))
            if a + b in log_probs
        ]
        gain, place = max(gains, default=(0.0, 0))
        if gain <= 0:
            return pieces
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]


def _longest_match(text, log_probs):
    pieces, start = [], 0
    while start < len(text):
        end = next(e for e in range(len(text), start, -1) if text[start:e] in log_probs)
        pieces.append(text[start:end])
        start = end
    return pieces


def _likeliest_start(text, log_probs):
    pieces, start = [], 0
    while start < len(text):
        ends = [e for e in range(start + 1, len(text) + 1) if text[start:e] in log_probs]
        end = max(ends, key=lambda e: log_probs[text[start:e]])
        pieces.append(text[start:end])
        start = end
    return pieces


def _likeliest_end(text, log_probs):
    pieces, end = [], len(text)
    while end:
        begins = [b for b in range(end) if text[b:end] in log_probs]
        begin = max(begins, key=lambda b: log_probs[text[b:end]])
        pieces.append(text[begin:end])
        end = begin
    return pieces[::-1]


def _added_shares(text, log_probs):
    return _best_of(text, log_probs, lambda found: sum(math.exp(log_probs[p]) for p in found[0]))


def _multiplied(text, log_probs):
    best = {0: (1.0, [])}
    for end in range(1, len(text) + 1):
        begins = [begin for begin in range(end) if text[begin:end] in log_probs]
        ways = [(best[b][0] * math.exp(log_probs[text[b:end]]), b) for b in begins]
        product, begin = max(ways, key=lambda way: way[0])
        best[end] = (product, [*best[begin][1], text[begin:end]])
    return best[len(text)][1]


def _of_limited_length(text, log_probs):
    return _by_trying_all(text, {piece: log_probs[piece] for piece in log_probs if len(piece) < 9})


def _on_average(text, log_probs):
    return _best_of(text, log_probs, lambda found: found[1] / max(len(found[0]), 1))


VITERBI = Exercise(
    id="tokenization.viterbi",
    title="The most probable segmentation",
    minutes=15,
    difficulty=3,
    statement=(
        "`log_probs` is a dict from a piece to the logarithm of its probability; every character "
        "of `text` is a piece. Return the list of pieces that spell `text` with the largest sum. "
        "Do it in one pass from left to right: keep the best path to each position."
    ),
    solution=segmentation.viterbi,
    reference=_by_trying_all,
    generator=text_and_pieces,
    probes=(
        Probe("one character", lambda: call("h", _HUG), "There is only one segmentation."),
        Probe(
            "two segmentations",
            lambda: call("ug", _HUG),
            "ug with 0.2 against u · g with 0.06 · 0.07: the product counts.",
        ),
        Probe(
            "three letters",
            lambda: call("hug", _HUG),
            "hug has 0.1; h ug has 0.05 · 0.2; hu g has 0.15 · 0.07.",
        ),
        Probe(
            "four letters",
            lambda: call("hugs", _HUG),
            "hug s: the pieces must fit together, gs would need hu before it.",
        ),
        Probe(
            "the longest start is a bad start",
            lambda: call("abcd", _GREED),
            "abc is long and rare; ab cd is better.",
        ),
        Probe(
            "more pieces, more probable",
            lambda: call("abab", _COUNT),
            "Four frequent pieces can beat two rare ones.",
        ),
        Probe(
            "the same piece again",
            lambda: call("aababbaba", _COUNT),
            "Each position keeps its own best path, however long the text is.",
        ),
        Probe(
            "a long piece without halves",
            lambda: call("huggings", _LONG),
            "hugging is a piece of seven letters, and no two pieces join to form it.",
        ),
        Probe(
            "a piece of 28 letters",
            lambda: call(_WORD, _WHOLE),
            "A piece may be as long as the text: try every begin, however far back.",
        ),
        Probe(
            "sums below −1000",
            lambda: call("abcaab", _SMALL),
            "ab c a ab sums to −2200, beyond what a probability could hold. Start with −inf where "
            "no path is known yet.",
        ),
        Probe("nothing", lambda: call("", _HUG), "An empty text has no pieces."),
        Probe(
            "a combining accent",
            lambda: call("e\u0301", {"\u00e9": -0.1, "e": -1.0, "\u0301": -2.0}),
            "e and its combining accent are two characters. Do not change the text first.",
        ),
    ),
    misconceptions=(
        Misconception(
            "longest match",
            _longest_match,
            "You take the longest piece each time, as WordPiece does. A long piece may be rare, "
            "or may leave a rest that is rare.",
        ),
        Misconception(
            "fewest pieces",
            lambda text, log_probs: _best_of(
                text, log_probs, lambda found: (-len(found[0]), found[1])
            ),
            "You choose the fewest pieces. Often that is the best, since every factor makes a "
            "product smaller, but frequent pieces can make up for their number.",
        ),
        Misconception(
            "the most probable piece at each step",
            _likeliest_start,
            "You choose the best next piece without looking at what it leaves. Keep the best sum "
            "for every position instead, and decide at the end.",
        ),
        Misconception(
            "the most probable last piece",
            _likeliest_end,
            "At each position you compare the last pieces alone. Compare the sums: the best path "
            "to where the piece begins, plus the piece.",
        ),
        Misconception(
            "neighbours joined, as BPE does",
            _neighbours_joined,
            "You join the two neighbours that gain most, again and again. A piece whose halves "
            "are not pieces is never reached that way: try every piece that ends at a position.",
        ),
        Misconception(
            "probabilities added",
            _added_shares,
            "You add probabilities. Independent pieces multiply, so it is the logarithms that add.",
        ),
        Misconception(
            "probabilities multiplied",
            _multiplied,
            "You multiply probabilities. The product of a long text rounds to 0, and then all "
            "paths look alike. Add logarithms instead.",
        ),
        Misconception(
            "the average per piece",
            _on_average,
            "You divide by the number of pieces. The probability of a segmentation is the product "
            "itself; dividing rewards cutting into many pieces.",
        ),
        Misconception(
            "a limit on the length of a piece",
            _of_limited_length,
            "You look back only a few characters, so a long piece is never found. Try every begin "
            "from 0 on, or look back as far as the longest piece in `log_probs`.",
        ),
        Misconception(
            "from the end to the beginning",
            lambda text, log_probs: _by_trying_all(text, log_probs)[::-1],
            "You followed the path back from the end and returned it as you found it. Reverse it.",
        ),
    ),
    alternatives=(
        Alternative("all segmentations tried", _by_trying_all),
        Alternative("by recursion that remembers, deeper than usual", _memoised_recursion),
        Alternative("with the pieces kept at each position", _with_whole_paths),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "best[0] = 0. For each end from 1: over all begins for which text[begin:end] is a piece, "
        "the largest best[begin] + log_probs[piece].",
        "Remember for each end the begin that won.",
        "From the last position, follow the remembered begins back to 0, and reverse the list.",
    ),
)
