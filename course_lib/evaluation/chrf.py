"""chrF: an F-score of character n-grams, for languages in which words are not the unit.

    chrF = 100 · (1 + β²) P R / (β² P + R)         β = 2: recall counts more

P and R are means of the precisions and recalls of 1-grams to 6-grams of characters, without blanks.
Orders for which one side is too short are left out of the mean.

Taught in:        evaluation
Paper:            Popović 2015, WMT
Checked against:  sacrebleu
Shapes:           none
"""

from collections import Counter
from collections.abc import Sequence

ORDER, BETA = 6, 2.0


def character_ngrams(text: str, n: int) -> Counter[str]:
    """Return how often each sequence of n characters occurs, without blanks."""
    joined = "".join(text.split())
    return Counter(joined[i : i + n] for i in range(len(joined) - n + 1))


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the chrF of a corpus with one reference for each hypothesis, from 0 to 100."""
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(
            "each hypothesis needs a reference, and there must be one; got "
            f"{len(hypotheses)} hypotheses and {len(references)} references."
        )
    precisions, recalls = [], []
    for n in range(1, ORDER + 1):
        given = [character_ngrams(each, n) for each in hypotheses]
        wanted = [character_ngrams(each, n) for each in references]
        common = sum((a & b).total() for a, b in zip(given, wanted, strict=True))
        # As in sacrebleu, a hypothesis does not count if its reference is too short for this order.
        counted = [a for a, b in zip(given, wanted, strict=True) if b]
        sizes = [sum(each.total() for each in row) for row in (counted, wanted)]
        if all(sizes):
            precisions.append(common / sizes[0])
            recalls.append(common / sizes[1])
    if not any(precisions):
        return 0.0
    precision, recall = (sum(row) / len(row) for row in (precisions, recalls))
    return 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
