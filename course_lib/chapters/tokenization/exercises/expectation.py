"""The exercise on expectation: how often each piece is used, over all segmentations."""

import math

import torch

from course_lib.chapters.tokenization.exercises.generators import words_and_pieces
from course_lib.chapters.tokenization.exercises.unigram import logs, segmentations
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import unigram_training

_FEW = logs(a=0.5, b=0.4, ab=0.1)


def _log_sum(scores):
    """Return the logarithm of the sum of exp(score), where exp itself may round to 0."""
    top = max(scores)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(score - top) for score in scores))


def _shares_of(text, log_probs):
    """Return each segmentation with its share of the text's probability, and log p(text)."""
    ways = segmentations(text, log_probs)
    log_p = _log_sum([score for _, score in ways])
    return [(pieces, math.exp(score - log_p)) for pieces, score in ways], log_p


def _averaged(words, log_probs, share, total=None):
    """Return counts weighted by `share`, and log p of the words unless `total` is given."""
    counts, sum_of_logs = {}, 0.0
    for word, count in words.items():
        ways, log_p = _shares_of(word, log_probs)
        sum_of_logs += count * log_p if total is None else total(count, log_p, ways)
        for pieces, part in ways:
            for piece in pieces:
                counts[piece] = counts.get(piece, 0.0) + count * share(part, log_p, ways)
    return counts, sum_of_logs


def _over_all_ways(words, log_probs):
    return _averaged(words, log_probs, lambda part, log_p, ways: part)


def _best_way_only(words, log_probs):
    return _averaged(
        words,
        log_probs,
        lambda part, log_p, ways: float(part == max(each for _, each in ways)),
        lambda count, log_p, ways: count * (log_p + math.log(max(each for _, each in ways))),
    )


def _best_way_full_sum(words, log_probs):
    return _best_way_only(words, log_probs)[0], _over_all_ways(words, log_probs)[1]


def _best_way_sum_only(words, log_probs):
    return _over_all_ways(words, log_probs)[0], _best_way_only(words, log_probs)[1]


def _forwards_and_backwards(words, log_probs):
    """Sum over the ways to each position and from it on, instead of listing them."""
    counts, total = dict.fromkeys(log_probs, 0), 0.0
    for word, count in words.items():
        size = len(word)
        spans = [(b, e) for b in range(size) for e in range(b + 1, size + 1)]
        arcs = [(b, e, log_probs[word[b:e]]) for b, e in spans if word[b:e] in log_probs]
        to, onward = [0.0] + [-math.inf] * size, [-math.inf] * size + [0.0]
        for begin, end, score in sorted(arcs, key=lambda arc: arc[1]):
            to[end] = _log_sum([to[end], to[begin] + score])
        for begin, end, score in sorted(arcs, key=lambda arc: -arc[0]):
            onward[begin] = _log_sum([onward[begin], score + onward[end]])
        for begin, end, score in arcs:
            used = math.exp(to[begin] + score + onward[end] - to[-1])
            counts[word[begin:end]] += count * used
        total += count * to[-1]
    return counts, total


def _by_the_gradient(words, log_probs):
    """The expected count of a piece is the slope of log p along its logarithm."""
    names = list(log_probs)
    leaves = torch.tensor([log_probs[name] for name in names], requires_grad=True)
    of = dict(zip(names, leaves, strict=True))
    total = torch.zeros(())
    for word, count in words.items():
        to = [torch.zeros(())]
        for end in range(1, len(word) + 1):
            pieces = [(begin, word[begin:end]) for begin in range(end)]
            ways = [to[begin] + of[piece] for begin, piece in pieces if piece in of]
            to.append(torch.stack(ways).logsumexp(0))
        total = total + count * to[-1]
    (slopes,) = torch.autograd.grad(total, leaves)
    return dict(zip(names, slopes.tolist(), strict=True)), total.item()


def _as_hinted(words, log_probs):
    def ways(rest):
        if not rest:
            return [[]]
        ends = [end for end in range(1, len(rest) + 1) if rest[:end] in log_probs]
        return [[rest[:end], *more] for end in ends for more in ways(rest[end:])]

    counts, total = {}, 0.0
    for word, count in words.items():
        scores = [(sum(log_probs[p] for p in way), way) for way in ways(word)]
        top = max(score for score, _ in scores)
        mass = sum(math.exp(score - top) for score, _ in scores)
        total += count * (top + math.log(mass))
        for score, way in scores:
            for piece in way:
                counts[piece] = counts.get(piece, 0) + count * math.exp(score - top) / mass
    return counts, total


def _through_probabilities(words, log_probs):
    """Do the same without `top`: exp of a sum below −745 is 0, and log(0) raises an error."""
    counts, total = {}, 0.0
    for word, count in words.items():
        ways = [(pieces, math.exp(score)) for pieces, score in segmentations(word, log_probs)]
        mass = sum(each for _, each in ways)
        total += count * math.log(mass)
        for pieces, each in ways:
            for piece in pieces:
                counts[piece] = counts.get(piece, 0) + count * each / mass
    return counts, total


def _mean_of_logs(words, log_probs):
    """Return the mean of the logarithms in place of the logarithm of the sum."""
    total = 0.0
    for word, count in words.items():
        for pieces, part in _shares_of(word, log_probs)[0]:
            total += count * part * sum(log_probs[piece] for piece in pieces)
    return _over_all_ways(words, log_probs)[0], total


def _uses_unweighted(words, log_probs):
    return _unweighted(words, log_probs)[0], _over_all_ways(words, log_probs)[1]


def _sum_unweighted(words, log_probs):
    return _over_all_ways(words, log_probs)[0], _unweighted(words, log_probs)[1]


def _unweighted(words, log_probs):
    return _over_all_ways(dict.fromkeys(words, 1), log_probs)


def _once_per_way(words, log_probs):
    counts, total = {}, 0.0
    for word, count in words.items():
        ways, log_p = _shares_of(word, log_probs)
        total += count * log_p
        for pieces, part in ways:
            for piece in set(pieces):
                counts[piece] = counts.get(piece, 0.0) + count * part
    return counts, total


EXPECTED_COUNTS = Exercise(
    id="tokenization.expected_counts",
    title="How often is each piece used?",
    minutes=12,
    difficulty=3,
    statement=(
        "`words` is a dict from a word to its count, `log_probs` one from a piece to the logarithm "
        "of its probability. Return a pair: a dict from each piece to how often it is used, "
        "averaged over all segmentations of each word in proportion to their probability; and the "
        "sum over the corpus of log p(word), where p(word) is that of all its segmentations "
        "together. The words are short: you may list all segmentations. A word may be so "
        "improbable that exp of its logarithm rounds to 0."
    ),
    solution=unigram_training.expected_counts,
    reference=_over_all_ways,
    generator=words_and_pieces,
    probes=(
        Probe(
            "one segmentation",
            lambda: call({"ba": 1}, _FEW),
            "b a is the only segmentation: each piece is used once, and p = 0.2.",
        ),
        Probe(
            "two segmentations",
            lambda: call({"ab": 1}, _FEW),
            "a b has 0.2 and ab has 0.1, so a third of the use goes to ab.",
        ),
        Probe("a frequent word", lambda: call({"ab": 12}, _FEW), "Everything is multiplied by 12."),
        Probe(
            "a piece twice in one segmentation",
            lambda: call({"aab": 1}, _FEW),
            "In a a b the piece a is used twice.",
        ),
        Probe(
            "two words",
            lambda: call({"abab": 3, "b": 2}, _FEW),
            "Uses add up over words, and so do the logarithms.",
        ),
        Probe(
            "a word with a logarithm near −800",
            lambda: call({"ab": 3}, {"a": -400.0, "b": -400.0, "ab": -801.0}),
            "exp(−800) rounds to 0. Subtract the largest sum before exp, and add it again after "
            "the logarithm.",
        ),
        Probe(
            "a combining accent",
            lambda: call({"e\u0301": 2}, {"e": -0.7, "\u0301": -1.4, "\u00e9": -0.1}),
            "e and its combining accent are two characters. Do not change the words first.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the best segmentation only",
            _best_way_only,
            "You count the best segmentation only. Expectation counts every segmentation, each in "
            "proportion to its probability; otherwise a piece that is second best everywhere would "
            "seem useless.",
        ),
        Misconception(
            "the counts along the best segmentation",
            _best_way_full_sum,
            "Your sum of logarithms is right, but you count the pieces of the best segmentation "
            "only. Count every one, each weighted by its share of the word's probability.",
        ),
        Misconception(
            "the sum along the best segmentation",
            _best_way_sum_only,
            "Your counts are right, but log p(word) is that of the best segmentation alone. "
            "p(word) is the sum over all segmentations: take the logarithm of that total.",
        ),
        Misconception(
            "all segmentations count the same",
            lambda words, log_probs: _averaged(
                words, log_probs, lambda part, log_p, ways: 1 / len(ways)
            ),
            "You weight all segmentations equally. Weight each by its probability, divided by "
            "that of all segmentations of the word.",
        ),
        Misconception(
            "not divided by the total",
            lambda words, log_probs: _averaged(
                words, log_probs, lambda part, log_p, ways: part * math.exp(log_p)
            ),
            "You weight by the probability itself, so a rare word counts for next to nothing. The "
            "word *did* occur: the weights of its segmentations must add up to 1.",
        ),
        Misconception(
            "the count of the word ignored",
            _unweighted,
            "A word that occurs twelve times uses its pieces twelve times: multiply by its count.",
        ),
        Misconception(
            "the word's count missing in the uses",
            _uses_unweighted,
            "Your sum of logarithms is right, but a word that occurs twelve times also uses its "
            "pieces twelve times: multiply the uses by its count.",
        ),
        Misconception(
            "the word's count missing in the sum",
            _sum_unweighted,
            "Your uses are right, but the sum goes over the corpus, where a word occurs as often "
            "as its count says: add count · log p(word).",
        ),
        Misconception(
            "the mean of the logarithms",
            _mean_of_logs,
            "You average the logarithms of the segmentations. p(word) is the sum of their "
            "probabilities: take the logarithm of that sum.",
        ),
        Misconception(
            "probabilities that round to 0",
            _through_probabilities,
            "exp of a sum below −745 is 0, and log(0) raises an error. Subtract the largest sum, "
            "`top`, before exp; then log p(word) = top + log(total).",
        ),
        Misconception(
            "each piece once for each segmentation",
            _once_per_way,
            "A piece that occurs twice in a segmentation is used twice there.",
        ),
        Misconception(
            "probability instead of its logarithm",
            lambda words, log_probs: _averaged(
                words,
                log_probs,
                lambda part, log_p, ways: part,
                lambda count, log_p, ways: count * math.exp(log_p),
            ),
            "Words are independent, so their probabilities multiply and the logarithms add: "
            "count · log p(word).",
        ),
    ),
    alternatives=(
        Alternative("forwards and backwards", _forwards_and_backwards),
        Alternative("by the gradient of log p, in float32", _by_the_gradient),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "A function that calls itself lists all segmentations: choose the first piece, then cut "
        "the rest.",
        "With `top`, the largest sum, the weight of a segmentation is exp(its sum − top) / (the "
        "total of these over all of them). Subtracting `top` keeps exp from rounding to 0.",
        "counts[piece] += count * weight for each piece in it; total += count * (top + log(that "
        "total)).",
    ),
)
