"""Many answers to one question: voting, choosing with a verifier, and what more samples can do.

    majority vote     the answer that occurs most often               needs no verifier
    weighted vote     the answer with the largest total weight        weights from a reward model
    best of n         the single answer with the highest score        needs a score for each
    pass@k            whether any of k answers is right                an upper bound for all three

pass@k from n samples of which c are right is estimated without bias by 1 - C(n-c, k) / C(n, k): the
probability that k of these n, drawn without replacement, contain a right one.

Taught in:        rewards
Paper:            Wang et al. 2022, arXiv:2203.11171 (self-consistency); Chen et al. 2021,
                  arXiv:2107.03374 (pass@k); Li et al. 2022, arXiv:2206.02336 (weighted votes)
Checked against:  enumeration of all subsets; simulated votes
Shapes:           none
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import product
from typing import TypeVar

Answer = TypeVar("Answer", bound=Hashable)


def majority_vote(answers: Sequence[Answer | None]) -> Answer | None:
    """Return the answer that occurs most often; of equally frequent ones the first given.

    None stands for a text without an answer. It has no vote, and wins only if all are None.
    """
    return weighted_vote(answers, [1.0] * len(answers))


def weighted_vote(answers: Sequence[Answer | None], weights: Sequence[float]) -> Answer | None:
    """Return the answer with the largest total weight; of equal ones the first given."""
    _check_scores(answers, weights, "weight")
    totals: dict[Answer, float] = defaultdict(float)
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            totals[answer] += weight
    # max keeps the first of equals, and a dict keeps the order in which its keys came.
    return max(totals, key=totals.__getitem__) if totals else None


def best_of_n(answers: Sequence[Answer], scores: Sequence[float]) -> Answer:
    """Return the answer with the highest score; of equal ones the first given."""
    _check_scores(answers, scores, "score")
    return answers[max(range(len(answers)), key=scores.__getitem__)]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of P(at least one of k answers is right), from c right of n."""
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(
            f"pass@k needs c right of n answers and 1 <= k <= n; got n={n}, c={c}, k={k}. Sample "
            "at least k answers."
        )
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def majority_accuracy(shares: Sequence[float], n: int) -> float:
    """Return how often a vote of n is right, if an answer is the i-th with probability shares[i].

    The first is the right one. Ties are decided by the order in which the answers were given, so
    each of m tied answers is equally likely to win. All counts are enumerated.
    """
    if n < 1 or not shares or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise ValueError(
            "a vote needs n of at least 1 and shares that are probabilities; got "
            f"n={n}, shares={list(shares)}."
        )
    right = 0.0
    for others in product(range(n + 1), repeat=len(shares) - 1):
        first = n - sum(others)
        if first < max(others, default=0):
            continue  # includes negative counts: the others add up to more than n
        tied = 1 + others.count(first)
        right += multinomial((first, *others), shares) / tied
    return right


def best_of_n_accuracy(share: float, n: int, accepts_right: float, accepts_wrong: float) -> float:
    """Return how often best of n is right with a verifier that accepts or rejects.

    An answer is right with probability `share`; the verifier accepts right and wrong ones with
    these probabilities. One of the accepted answers is taken, or one of all if none is accepted.
    """
    chances = (share, accepts_right, accepts_wrong)
    if n < 1 or not all(0 <= chance <= 1 for chance in chances):
        raise ValueError(
            "best of n needs n of at least 1 and probabilities from 0 to 1; got "
            f"n={n}, share={share}, accepts_right={accepts_right}, accepts_wrong={accepts_wrong}."
        )
    right, wrong = share * accepts_right, (1 - share) * accepts_wrong  # and accepted
    none = (1 - right - wrong) ** n
    if none == 1:
        return share
    after_none = (share - right) / (1 - right - wrong) if none else 0.0
    return (1 - none) * right / (right + wrong) + none * after_none


def multinomial(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the probability of these counts among independent draws."""
    log = math.lgamma(sum(counts) + 1)
    for count, share in zip(counts, shares, strict=True):
        if share == 0 and count:
            return 0.0
        log += (count * math.log(share) if count else 0.0) - math.lgamma(count + 1)
    return math.exp(log)


def _check_scores(answers: Sequence[object], scores: Sequence[float], name: str) -> None:
    if len(answers) != len(scores) or not answers:
        raise ValueError(
            f"each answer needs one {name}, and there must be at least one answer; got "
            f"{len(answers)} answers and {len(scores)} {name}s."
        )
    for score in scores:
        if not math.isfinite(score):
            raise ValueError(f"a {name} must be a finite number; got {score}.")
