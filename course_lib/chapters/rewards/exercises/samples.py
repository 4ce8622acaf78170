"""Exercises on many answers to one question: the majority vote, and pass@k."""

import math
from collections import Counter
from fractions import Fraction

from course_lib import rewards
from course_lib.chapters.rewards.exercises.generators import pass_inputs, vote_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_places(answers):
    given = [each for each in answers if each is not None]
    return min(given, key=lambda each: (-given.count(each), given.index(each)), default=None)


def _none_votes(answers):
    return Counter(answers).most_common(1)[0][0]


def _last_of_tied(answers):
    return _by_places(answers[::-1])


def _absolute_majority(answers):
    best = _by_places(answers)
    return best if answers.count(best) * 2 > len(answers) else None


def _first_one(answers):
    return next((each for each in answers if each is not None), None)


def _largest_of_tied(answers):
    given = sorted((each for each in answers if each is not None), reverse=True)
    return _by_places(given)


def _with_its_count(answers):
    best = _by_places(answers)
    return best, answers.count(best)


def _as_hinted(answers):
    counts = Counter(each for each in answers if each is not None)
    return counts.most_common(1)[0][0] if counts else None


def _by_dict(answers):
    counts = {}
    for each in answers:
        if each is not None:
            counts[each] = counts.get(each, 0) + 1
    return max(counts, key=counts.get, default=None)


def _by_sorting(answers):
    given = [each for each in answers if each is not None]
    ordered = sorted(given, key=given.count, reverse=True)  # stable: of equals the first given
    return ordered[0] if ordered else None


MAJORITY = Exercise(
    id="rewards.majority_vote",
    title="A majority vote",
    minutes=5,
    difficulty=1,
    statement=(
        "`answers` is a list with at least one entry, each a string or None for a text without an "
        "answer. Return the string that occurs most often; None has no vote. Of equally frequent "
        "answers return the one that was given first. If all are None, return None."
    ),
    solution=rewards.majority_vote,
    reference=_by_places,
    generator=vote_inputs,
    probes=(
        Probe("a clear majority", lambda: call(["7", "8", "8"]), "8 has two votes of three."),
        Probe("one answer", lambda: call(["7"]), "A single vote decides."),
        Probe("a tie", lambda: call(["9", "7", "7", "9"]), "Of equals the first given: 9."),
        Probe("a tie, small first", lambda: call(["12", "7", "8"]), "All have one vote: 12."),
        Probe("a tie of three", lambda: call(["7", "9", "8"]), "All have one vote: 7 came first."),
        Probe("no vote", lambda: call([None, None, "7"]), "None has no vote, so 7 wins."),
        Probe("no majority", lambda: call(["7", "8", "9", "8", "6"]), "Two of five are enough."),
        Probe("nothing at all", lambda: call([None, None]), "Without a vote there is no answer."),
    ),
    misconceptions=(
        Misconception(
            "None has a vote",
            _none_votes,
            "None stands for a text without an answer. Leave it out before you count.",
        ),
        Misconception(
            "the last of tied answers",
            _last_of_tied,
            "Of equally frequent answers you return the one given last. Return the first.",
        ),
        Misconception(
            "more than half",
            _absolute_majority,
            "You require more than half of the votes. The most frequent answer wins, however few.",
        ),
        Misconception(
            "the first answer",
            _first_one,
            "You return the first answer. Count how often each occurs.",
        ),
        Misconception(
            "the largest of tied answers",
            _largest_of_tied,
            "Of equally frequent answers the one given first wins, not the largest.",
        ),
        Misconception(
            "the count as well",
            _with_its_count,
            "most_common returns pairs of an answer and its count. Return the answer alone.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by a dict", _by_dict),
        Alternative("by sorting", _by_sorting),
    ),
    hints=(
        "collections.Counter counts, and most_common(1) keeps the first given of equals.",
        "Leave None out first, and handle the case that nothing is left.",
    ),
)


def _by_factors(n, c, k):
    missed = Fraction(1)
    for i in range(k):
        missed *= Fraction(max(n - c - i, 0), n - i)
    return float(1 - missed)


def _by_product(n, c, k):
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def _by_logarithms(n, c, k):
    if n - c < k:
        return 1.0

    def log_comb(a):
        return math.lgamma(a + 1) - math.lgamma(k + 1) - math.lgamma(a - k + 1)

    return -math.expm1(log_comb(n - c) - log_comb(n))


PASS_AT_K = Exercise(
    id="rewards.pass_at_k",
    title="pass@k without bias",
    minutes=6,
    difficulty=2,
    statement=(
        "Of `n` sampled answers `c` are right. Return the unbiased estimate of the probability "
        "that at least one of `k` answers is right: draw k of the n without replacement, and "
        "return the probability that one of them is right. 0 ≤ c ≤ n and 1 ≤ k ≤ n; n may be a "
        "few hundred."
    ),
    solution=rewards.pass_at_k,
    reference=_by_factors,
    generator=pass_inputs,
    probes=(
        Probe("k = 1", lambda: call(4, 1, 1), "With one try it is c / n."),
        Probe(
            "two of four",
            lambda: call(4, 2, 2),
            "Of 6 pairs only 1 has no right answer: 5/6.",
        ),
        Probe("none right", lambda: call(5, 0, 3), "Without a right answer it is 0."),
        Probe("all of them", lambda: call(5, 1, 5), "Whoever takes all 5 finds the right one: 1."),
        Probe("few wrong ones", lambda: call(6, 4, 3), "3 tries do not fit into 2 wrong ones: 1."),
        Probe("many", lambda: call(200, 7, 100), "C(200, 100) has 59 digits: Python can do that."),
    ),
    misconceptions=(
        Misconception(
            "with replacement",
            lambda n, c, k: 1 - (1 - c / n) ** k,
            "1 − (1 − c/n)^k puts each answer back. As an estimate it is too low; draw without "
            "replacement.",
        ),
        Misconception(
            "k times c / n",
            lambda n, c, k: min(1.0, k * c / n),
            "You add up probabilities of events that can happen together. Compute the probability "
            "that all k are wrong instead.",
        ),
        Misconception(
            "all of them right",
            lambda n, c, k: math.comb(c, k) / math.comb(n, k),
            "That is the probability that all k are right. One is enough.",
        ),
        Misconception(
            "not all of them right",
            lambda n, c, k: 1 - math.comb(c, k) / math.comb(n, k),
            "You counted the draws in which not all are right. Count those in which all are "
            "wrong: C(n − c, k).",
        ),
        Misconception(
            "the complement forgotten",
            lambda n, c, k: math.comb(n - c, k) / math.comb(n, k),
            "That is the probability that all k are wrong. Subtract it from 1.",
        ),
        Misconception(
            "k ignored", lambda n, c, k: c / n, "c / n is pass@1. More tries make success likelier."
        ),
    ),
    alternatives=(
        Alternative("as a product", _by_product),
        Alternative("by logarithms", _by_logarithms),
        Alternative("by factors", _by_factors),
    ),
    hints=(
        "How many ways are there to draw k of the n − c wrong answers? math.comb(n - c, k).",
        "Divide by math.comb(n, k), and subtract the quotient from 1.",
    ),
)
