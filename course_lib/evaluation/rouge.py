"""ROUGE-L: the longest common subsequence of words, as an F1.

    L = longest common subsequence (in order, gaps allowed)
    precision = L / words of the candidate,  recall = L / words of the reference

ROUGE-L takes a text as one row of words. ROUGE-Lsum cuts it at its line ends and looks for each
sentence of the reference in all sentences of the candidate, so the order of sentences does not
matter. Papers that write "ROUGE-L" of summaries often mean the second.

Taught in:        evaluation
Paper:            Lin 2004, *ROUGE*, ACL workshop
Checked against:  rouge-score
Shapes:           none
"""

import re
from collections import Counter
from collections.abc import Sequence

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


def rouge_words(text: str) -> list[str]:
    """Return the words of a text as ROUGE counts them: lower case, letters and digits only."""
    return [word for word in _NOT_A_WORD.split(text.lower()) if word]


def lcs_table(a: Sequence[str], b: Sequence[str]) -> list[list[int]]:
    """Return the length of the longest common subsequence of every a[:i] and b[:j]."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, left in enumerate(a, 1):
        for j, right in enumerate(b, 1):
            if left == right:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    return table


def f1(common: int, first: int, second: int) -> float:
    """Return the harmonic mean of common / first and common / second; 0 if nothing is common."""
    return 2 * common / (first + second) if common else 0.0


def rouge_l_of_words(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence; 0 if either has no words."""
    common = lcs_table(candidate, reference)[-1][-1]
    return f1(common, len(candidate), len(reference))


def rouge_l(candidate: str, reference: str) -> float:
    """Return ROUGE-L, the whole text as one row of words."""
    _check(reference)
    return rouge_l_of_words(rouge_words(candidate), rouge_words(reference))


def rouge_lsum(candidate: str, reference: str) -> float:
    """Return ROUGE-Lsum: sentences stand on lines of their own, and their order is free."""
    _check(reference)
    given, wanted = _sentences(candidate), _sentences(reference)
    left = [Counter(word for sentence in each for word in sentence) for each in (given, wanted)]
    sizes = [counter.total() for counter in left]
    common = 0
    for sentence in wanted:
        places = set().union(*(_common_places(sentence, each) for each in given))
        for word in (sentence[i] for i in sorted(places)):
            if min(counter[word] for counter in left) > 0:  # each word counts once on each side
                common += 1
                for counter in left:
                    counter[word] -= 1
    return f1(common, *sizes)


def _sentences(text: str) -> list[list[str]]:
    return [words for line in text.split("\n") if (words := rouge_words(line))]


def _common_places(reference: Sequence[str], candidate: Sequence[str]) -> set[int]:
    """Return where in the reference a longest common subsequence has its words."""
    table, places = lcs_table(reference, candidate), set()
    i, j = len(reference), len(candidate)
    while i and j:
        if reference[i - 1] == candidate[j - 1]:
            places.add(i - 1)
            i, j = i - 1, j - 1
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places


def _check(reference: str) -> None:
    if not rouge_words(reference):
        raise ValueError(f"a reference must contain a word to compare with; got {reference!r}.")
