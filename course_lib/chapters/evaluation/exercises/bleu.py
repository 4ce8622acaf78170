"""The exercise on BLEU."""

import math
from collections import Counter

from course_lib.chapters.evaluation import answers
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _clipped(hypothesis, reference, n):
    left, hits = _grams(reference, n), 0
    for gram in _grams(hypothesis, n):
        if gram in left:
            left.remove(gram)
            hits += 1
    return hits


def _unclipped(hypothesis, reference, n):
    return sum(gram in _grams(reference, n) for gram in _grams(hypothesis, n))


def _joined(hypothesis, reference, n):
    given, wanted = (
        Counter("".join(gram) for gram in _grams(words, n)) for words in (hypothesis, reference)
    )
    return (given & wanted).total()


def _penalty(c, r):
    return 1.0 if c >= r else math.exp(1 - r / c)


def _variant(
    count=_clipped, orders=4, penalty=_penalty, mean=None, total=None, scale=100.0
):  # the slips below change one of these
    def bleu(hypotheses, references):
        pairs = list(zip(hypotheses, references, strict=True))
        precisions = []
        for n in range(1, orders + 1):
            hits = sum(count(h, r, n) for h, r in pairs)
            sizes = sum(len(_grams(r if total else h, n)) for h, r in pairs)
            precisions.append(hits / sizes if sizes else 0.0)
        c, r = (sum(map(len, each)) for each in (hypotheses, references))
        value = math.prod(precisions) ** (1 / orders) if mean is None else mean(precisions)
        return scale * penalty(c, r) * value if c else 0.0

    return bleu


_reference = _variant()


def _counted(hypotheses, references):
    logs = []
    for n in (1, 2, 3, 4):
        hits = total = 0
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            counts = Counter(_grams(hypothesis, n))
            hits += sum((counts & Counter(_grams(reference, n))).values())
            total += sum(counts.values())
        if hits == 0:
            return 0.0
        logs.append(math.log(hits / total))
    c, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * math.exp(min(0.0, 1 - r / c) + sum(logs) / 4)


def _by_joined_words(hypotheses, references):
    def counts(words, n):
        found = {}
        for i in range(len(words) - n + 1):
            key = "\0".join(words[i : i + n])
            found[key] = found.get(key, 0) + 1
        return found

    product = 1.0
    for n in range(1, 5):
        hits = total = 0
        for h, r in zip(hypotheses, references, strict=True):
            given, wanted = counts(h, n), counts(r, n)
            hits += sum(min(k, wanted.get(gram, 0)) for gram, k in given.items())
            total += sum(given.values())
        if hits == 0:
            return 0.0
        product *= hits / total
    c, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * product**0.25 * (math.exp(1 - r / c) if c and c < r else 1.0)


def _sentence_mean(hypotheses, references):
    pairs = zip(hypotheses, references, strict=True)
    scores = [_reference([h], [r]) for h, r in pairs]
    return sum(scores) / len(scores)


SAT = ["the", "cat", "sat", "on", "the", "mat"]

BLEU = Exercise(
    id="evaluation.bleu",
    title="BLEU",
    minutes=15,
    difficulty=3,
    statement=(
        "`hypotheses` and `references` are lists of the same length, at least 1; each entry is a "
        "list of words, and every reference has at least one. Return the BLEU of the corpus, from "
        "0 to 100, without smoothing: 100 · BP · (p1 p2 p3 p4)^(1/4). pn is the number of n-grams "
        "that hypothesis and reference share, each counted at most as often as it occurs in "
        "the reference of its own sentence, divided by the number of n-grams of the hypotheses; "
        "both are added up over all sentences first. BP is 1, or exp(1 − r / c) if the c words of "
        "all hypotheses are fewer than the r words of all references. If an order has no match, "
        "or no n-gram at all, the result is 0."
    ),
    solution=answers.bleu_of_words,
    reference=_reference,
    generator=generators.bleu,
    probes=(
        Probe("equal", lambda: call([SAT], [SAT]), "Equal texts of six words: 100."),
        Probe(
            "equal, three words",
            lambda: call([SAT[:3]], [SAT[:3]]),
            "Three words have no 4-gram, so the result is 0.",
        ),
        Probe(
            "a repeated word",
            lambda: call([["the", *SAT, "mat"]], [SAT]),
            "`the` occurs twice in the reference, so only two of three count.",
        ),
        Probe("too short", lambda: call([SAT[:5]], [SAT]), "Only the brevity penalty is below 1."),
        Probe(
            "a capital letter",
            lambda: call([["The", *SAT[1:]]], [SAT]),
            "`The` and `the` are two words.",
        ),
        Probe(
            "words joined",
            lambda: call([["a", "bc", *SAT]], [["ab", "c", *SAT]]),
            "Both pairs are `abc` without a space, but they are not the same words.",
        ),
        Probe("too long", lambda: call([[*SAT, "today"]], [SAT]), "No penalty for being longer."),
        Probe(
            "two sentences",
            lambda: call([SAT, ["a", "dog", "ran"]], [SAT, ["a", "dog", "sat"]]),
            "Counts are added up before dividing; the second sentence alone would be 0.",
        ),
        Probe(
            "words of another sentence",
            lambda: call([SAT, ["dog"]], [SAT, ["mat", "dog", "the", "cat", "sat", "on"]]),
            "An n-gram must occur in its own reference.",
        ),
        Probe("an empty hypothesis", lambda: call([[], SAT], [["dog"], SAT]), "It has no words."),
        Probe("nothing in common", lambda: call([["dog"] * 5], [SAT]), "No match: 0."),
    ),
    misconceptions=(
        Misconception(
            "not clipped",
            _variant(count=_unclipped),
            "`the the the` would be a perfect text. Count an n-gram at most as often as the "
            "reference has it.",
        ),
        Misconception(
            "upper and lower case",
            lambda hypotheses, references: _reference(
                *(
                    [[word.lower() for word in words] for words in each]
                    for each in (hypotheses, references)
                )
            ),
            "The words are compared as they are, capital letters included.",
        ),
        Misconception(
            "words joined without a space",
            _variant(count=_joined),
            "`a bc` and `ab c` are different words. Keep an n-gram as a tuple.",
        ),
        Misconception(
            "the mean of sentence scores",
            _sentence_mean,
            "BLEU adds up matches and n-grams over the corpus before it divides. One short "
            "sentence with a score of 0 must not spoil the mean.",
        ),
        Misconception(
            "no brevity penalty",
            _variant(penalty=lambda c, r: 1.0),
            "A hypothesis of a few safe words would win. Multiply by exp(1 − r / c) if it is "
            "shorter.",
        ),
        Misconception(
            "a penalty for length too",
            _variant(penalty=lambda c, r: math.exp(1 - max(r / c, c / r))),
            "Longer hypotheses lose precision already. BP is 1 for them.",
        ),
        Misconception(
            "the arithmetic mean",
            _variant(mean=lambda values: sum(values) / len(values)),
            "The mean is geometric: the fourth root of the product. One order at 0 makes it 0.",
        ),
        Misconception(
            "recall",
            _variant(total=True),
            "You divide by the n-grams of the references. Precision divides by those of the "
            "hypotheses.",
        ),
        Misconception(
            "three orders",
            _variant(orders=3),
            "BLEU uses n-grams of 1 to 4 words.",
        ),
        Misconception(
            "a linear penalty",
            _variant(penalty=lambda c, r: min(1.0, c / r)),
            "The penalty is exp(1 − r / c), not c / r.",
        ),
        Misconception(
            "from 0 to 1",
            _variant(scale=1.0),
            "Return a number from 0 to 100: multiply by 100.",
        ),
    ),
    alternatives=(
        Alternative("with Counter, as the hints say", _counted),
        Alternative("with joined words", _by_joined_words),
        Alternative("with lists", _variant()),
    ),
    hints=(
        "For each n from 1 to 4: Counter of the tuples words[i : i + n], for both texts. "
        "`a & b` of two Counters keeps the smaller count of each.",
        "Add up matches and n-grams over all sentences, then divide. If there is no match, "
        "return 0.",
        "100 · exp(min(0, 1 − r / c) + mean of the logarithms of the four precisions).",
    ),
)
