"""The exercise on ROUGE-L."""

import difflib
from collections import Counter
from functools import cache

from course_lib import evaluation
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _subsequences(a, b):
    """Return the length of the longest common subsequence, by recursion."""

    @cache
    def longest(i, j):
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    return longest(0, 0)


def _f1(common, a, b):
    return 2 * common / (a + b) if common else 0.0


def _by_recursion(candidate, reference):
    return _f1(_subsequences(candidate, reference), len(candidate), len(reference))


def _by_rows(candidate, reference):
    row = [0] * (len(reference) + 1)
    for word in candidate:
        new = [0]
        for j, other in enumerate(reference):
            new.append(row[j] + 1 if word == other else max(row[j + 1], new[-1]))
        row = new
    if row[-1] == 0:
        return 0.0
    precision, recall = row[-1] / len(candidate), row[-1] / len(reference)
    return 2 * precision * recall / (precision + recall)


def _from_the_end(candidate, reference):
    @cache
    def longest(i, j):
        if i == 0 or j == 0:
            return 0
        if candidate[i - 1] == reference[j - 1]:
            return longest(i - 1, j - 1) + 1
        return max(longest(i - 1, j), longest(i, j - 1))

    common = longest(len(candidate), len(reference))
    precision, recall = common / max(len(candidate), 1), common / len(reference)
    return 2 * precision * recall / (precision + recall) if common else 0.0


def _as_hinted(candidate, reference):
    table = [[0] * (len(reference) + 1) for _ in range(len(candidate) + 1)]
    for i in range(1, len(candidate) + 1):
        for j in range(1, len(reference) + 1):
            if candidate[i - 1] == reference[j - 1]:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    return _f1(table[-1][-1], len(candidate), len(reference))


def _run(a, b):
    """Return the length of the longest common run of neighbours."""
    best = 0
    for i in range(len(a)):
        for j in range(len(b)):
            k = 0
            while i + k < len(a) and j + k < len(b) and a[i + k] == b[j + k]:
                k += 1
            best = max(best, k)
    return best


def _blocks(a, b):
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())


def _greedy(a, b):
    place = common = 0
    for word in a:
        if word in b[place:]:
            place += b[place:].index(word) + 1
            common += 1
    return common


def _of(common):
    return lambda a, b: _f1(common(a, b), len(a), len(b))


def _as(text):
    return text.split()


ROUGE_L = Exercise(
    id="evaluation.rouge_l",
    title="ROUGE-L",
    minutes=12,
    difficulty=3,
    statement=(
        "`candidate` and `reference` are lists of words. L is the length of their longest common "
        "subsequence: the same words in the same order, with any gaps. Return the F1 "
        "of the precision L / (words of the candidate) and the recall L / (words of the "
        "reference), from 0 to 1; 0 if nothing is common. The candidate may be empty, the "
        "reference has at least one word. Both may have a hundred words."
    ),
    solution=evaluation.rouge_l_of_words,
    reference=_by_recursion,
    generator=generators.rouge,
    probes=(
        Probe("equal", lambda: call(_as("a cat sat"), _as("a cat sat")), "All words: 1."),
        Probe(
            "a gap",
            lambda: call(_as("a cat sat"), _as("a big cat often sat")),
            "L is 3, although the three words are not neighbours.",
        ),
        Probe(
            "different order",
            lambda: call(_as("sat cat a"), _as("a cat sat")),
            "Only one word can be in order: L = 1.",
        ),
        Probe(
            "a word too early",
            lambda: call(_as("mat a cat sat on"), _as("a cat sat on mat")),
            "Whoever takes `mat` first finds nothing after it; L is 4.",
        ),
        Probe(
            "the longest run is not enough",
            lambda: call(_as("no no no yes"), _as("no well no no")),
            "Whoever begins with the longest common run, `no no` at the end, finds 2. L is 3.",
        ),
        Probe(
            "long texts",
            lambda: call([f"a{i}" for i in range(40)], [f"a{i * 7 % 41}" for i in range(40)]),
            "Each word doubles the work of a recursion that remembers nothing.",
        ),
        Probe(
            "a repeated word", lambda: call(_as("a a a"), _as("a")), "One word is common: L = 1."
        ),
        Probe("nothing in common", lambda: call(_as("dog"), _as("a cat")), "0."),
        Probe("an empty candidate", lambda: call([], _as("a cat")), "0."),
    ),
    misconceptions=(
        Misconception(
            "neighbours only",
            _of(_run),
            "That is the longest common substring. A subsequence may have gaps.",
        ),
        Misconception(
            "in any order",
            _of(lambda a, b: (Counter(a) & Counter(b)).total()),
            "You count common words in any order, which is ROUGE-1. A subsequence keeps the order.",
        ),
        Misconception(
            "the first match taken",
            _of(_greedy),
            "Taking each word as soon as it is found may skip many others. Try both: with the word "
            "and without it.",
        ),
        Misconception(
            "runs of difflib",
            _of(_blocks),
            "SequenceMatcher takes the longest common run first, and then looks on both sides of "
            "it. That may miss the longest subsequence.",
        ),
        Misconception(
            "recall only",
            lambda a, b: _subsequences(a, b) / len(b),
            "You return the recall. Long candidates would always win; return F1.",
        ),
        Misconception(
            "precision only",
            lambda a, b: _subsequences(a, b) / max(len(a), 1),
            "You return the precision. Very short candidates would win; return F1.",
        ),
        Misconception(
            "the arithmetic mean",
            lambda a, b: _subsequences(a, b) * (1 / max(len(a), 1) + 1 / len(b)) / 2,
            "F1 is the harmonic mean: 2 P R / (P + R).",
        ),
        Misconception(
            "divided by the longer one",
            lambda a, b: _subsequences(a, b) / max(len(a), len(b)),
            "You divide by the longer text. F1 is 2 L / (words of both).",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("row by row", _by_rows),
        Alternative("by recursion, from the end", _from_the_end),
    ),
    hints=(
        "Let table[i][j] be L of the first i and the first j words. The first row and the first "
        "column are 0.",
        "If the words i and j are equal, table[i][j] = table[i−1][j−1] + 1; if not, it is the "
        "larger of table[i−1][j] and table[i][j−1].",
        "F1 = 2 L / (words of both together).",
    ),
)
