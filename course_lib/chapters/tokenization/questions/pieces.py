"""Questions on WordPiece and Unigram."""

import math
import random
from typing import Any

from course_lib.study.ask.question import Numeric, OneAnswer, Option, SeveralAnswers, Slip
from course_lib.tokenization.pair_counts import PairCounts
from course_lib.tokenization.segmentation import forward, lattice
from course_lib.tokenization.unigram_training import expected_counts
from course_lib.tokenization.wordpiece import pair_score


def _draw_score(rng: random.Random) -> dict[str, Any]:
    pair = rng.randint(3, 20)
    return {"pair": pair, "left": pair + rng.randint(5, 40), "right": pair + rng.randint(5, 40)}


def _score(pair: int, left: int, right: int) -> float:
    words = [("ab", pair), ("ac", left - pair), ("db", right - pair)]
    return pair_score("ab", PairCounts(words))


SCORE = Numeric(
    id="tokenization.wordpiece_score",
    prompt="In the corpus the piece `q` occurs {left} times, the piece `##u` {right} times, and "
    "`q` is followed by `##u` {pair} times. What is the score of this pair, by the rule usually "
    "given for WordPiece?",
    draw=_draw_score,
    answer=_score,
    explain=lambda pair, left, right: (
        f"count(pair) / (count(left) · count(right)) = {pair} / ({left} · {right}) = "
        f"{_score(pair, left, right):.4g}."
    ),
    slips=(
        Slip(
            "sum",
            lambda pair, left, right: pair / (left + right),
            "You divided by the sum of the two counts. Under chance the two would meet in "
            "proportion to the product.",
        ),
        Slip(
            "left only",
            lambda pair, left, right: pair / left,
            "This is how often `q` is followed by `##u`. The frequency of `##u` counts as well.",
        ),
        Slip(
            "square root",
            lambda pair, left, right: pair / math.sqrt(left * right),
            "You took the square root of the product. The score divides by the product itself.",
        ),
        Slip(
            "plain count",
            lambda pair, left, right: float(pair),
            "The plain count is what BPE uses.",
        ),
    ),
)


ALL_OR_NOTHING = OneAnswer(
    id="tokenization.all_or_nothing",
    prompt="A WordPiece vocabulary holds `token`, `##s` and all letters, but not `☃`. What does "
    "`wordpiece_encode` return for `tokens☃`, taken as one word?",
    options=(
        Option(
            "`[UNK]`",
            True,
            "a word that cannot be completed becomes `[UNK]` as a whole. BERT splits off "
            "punctuation before this step, but `☃` is a symbol, not punctuation.",
        ),
        Option(
            "`token` `##s` `[UNK]`",
            False,
            "the pieces found before the obstacle are thrown away too.",
        ),
        Option(
            "`token` `##s`",
            False,
            "nothing is left out silently: the model would read something that nobody wrote.",
        ),
        Option(
            "`token` `##s` and the three bytes of the snowman",
            False,
            "WordPiece has no bytes to fall back on. Byte-level BPE always has, and Unigram may.",
        ),
    ),
)


def _draw_length(rng: random.Random) -> dict[str, Any]:
    return {"letters": rng.randint(7, 12)}


def _ways(letters: int) -> float:
    """Add up all segmentations, each with probability 1."""
    text = "abcdefghijkl"[:letters]
    pieces = {text[i:j]: 0.0 for i in range(letters) for j in range(i + 1, letters + 1)}
    return math.exp(forward(lattice(text, pieces))[-1])


WAYS = Numeric(
    id="tokenization.ways",
    prompt="A word has {letters} letters, and every run of its letters is a piece. How many "
    "segmentations does it have?",
    draw=_draw_length,
    answer=_ways,
    explain=lambda letters: (
        f"Between the letters are {letters - 1} places, each of them a cut or not: 2 to the power "
        f"of {letters - 1} = {_ways(letters):.0f}. Viterbi looks at each of the "
        f"{letters * (letters + 1) // 2} pieces once."
    ),
    slips=(
        Slip(
            "two to the n",
            lambda letters: 2.0**letters,
            "There is one place fewer to cut than there are letters.",
        ),
        Slip(
            "pieces",
            lambda letters: letters * (letters + 1) / 2,
            "This is the number of pieces, runs of letters, not of ways to combine them.",
        ),
        Slip(
            "one cut",
            lambda letters: letters - 1,
            "These are the ways to cut once. Each place is a cut or not, whatever the others are.",
        ),
    ),
)


def _draw_shares(rng: random.Random) -> dict[str, Any]:
    whole, left, right = (rng.randint(1, 6) / 20 for _ in range(3))
    return {"whole": whole, "left": left, "right": right}


def _share(whole: float, left: float, right: float) -> float:
    logs = {"ab": math.log(whole), "a": math.log(left), "b": math.log(right)}
    return expected_counts({"ab": 1}, logs)[0]["ab"]


SHARE = Numeric(
    id="tokenization.share",
    prompt="A Unigram model has p(ab) = {whole}, p(a) = {left} and p(b) = {right}. The word `ab` "
    "occurs once. How often is the piece `ab` used, averaged over its segmentations?",
    draw=_draw_shares,
    answer=_share,
    explain=lambda whole, left, right: (
        f"The two segmentations have {whole} and {left} · {right} = {left * right:.4g}. The share "
        f"of the first is {whole} / ({whole} + {left * right:.4g}) = "
        f"{_share(whole, left, right):.4g}."
    ),
    slips=(
        Slip(
            "the probability",
            lambda whole, left, right: whole,
            "This is the probability of the segmentation before anything was seen. The word did "
            "occur: divide by the probability of all its segmentations.",
        ),
        Slip(
            "added",
            lambda whole, left, right: whole / (whole + left + right),
            "You added p(a) and p(b). A segmentation has the product of its pieces.",
        ),
        Slip(
            "the other way",
            lambda whole, left, right: left * right / (whole + left * right),
            "This is the share of a b, the other segmentation.",
        ),
    ),
)


BEST_WAY = SeveralAnswers(
    id="tokenization.best_way",
    prompt="Which of these are true of the segmentation that Viterbi finds for Unigram?",
    options=(
        Option(
            "Its beginning, up to any of its cuts, is the best way to get there.",
            True,
            "otherwise a better beginning would make the whole better. This is why one number for "
            "each position is enough.",
        ),
        Option(
            "It has the largest product of probabilities.",
            True,
            "which is the largest sum of logarithms, the form in which it is computed.",
        ),
        Option(
            "It has as few pieces as possible.",
            False,
            "often it does, since each factor makes a product smaller, but two frequent pieces can "
            "beat one rare piece.",
        ),
        Option(
            "It begins with the longest piece that fits.",
            False,
            "that is WordPiece's rule. The longest piece may be rare or leave a bad rest.",
        ),
        Option(
            "Each additional letter doubles the time to find it.",
            False,
            "the number of segmentations doubles, but the pass over the lattice grows only by the "
            "pieces that end at the new letter.",
        ),
    ),
)
