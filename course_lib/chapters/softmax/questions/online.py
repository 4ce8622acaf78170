"""Questions on softmax in one pass: running maximum and sum, and the merge of two blocks."""

import math
import random
from typing import Any

import torch

from course_lib import softmax
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    Slip,
)


def _float64(values: list[float] | list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _draw_blocks(rng: random.Random) -> dict[str, Any]:
    m_a = rng.randint(-3, 6)
    m_b = m_a + rng.choice([-2, -1, 1, 2])
    total_a, total_b = (tenths / 10 for tenths in rng.sample(range(10, 60), 2))
    return {"m_a": m_a, "total_a": total_a, "m_b": m_b, "total_b": total_b}


def _merged_total(m_a: int, total_a: float, m_b: int, total_b: float) -> float:
    maxima, totals = _float64([m_a, m_b]), _float64([total_a, total_b])
    states = [softmax.SoftmaxState(maxima[k], totals[k]) for k in range(2)]
    return softmax.merge_states(*states).total.item()


def _explain_merge(m_a: int, total_a: float, m_b: int, total_b: float) -> str:
    top = max(m_a, m_b)
    return (
        f"The common maximum is {top}. Each sum is rescaled to it: "
        f"{total_a} · e^({m_a - top}) + {total_b} · e^({m_b - top}) = "
        f"{total_a * math.exp(m_a - top):.4g} + {total_b * math.exp(m_b - top):.4g} = "
        f"{_merged_total(m_a, total_a, m_b, total_b):.4g}."
    )


MERGE = Numeric(
    id="softmax.merge",
    prompt="Block A of a row has the maximum {m_a} and the sum {total_a}; block B has the maximum "
    "{m_b} and the sum {total_b}. Each sum adds exp(score - maximum of its own block). What "
    "is the sum of both blocks together, relative to their common maximum?",
    draw=_draw_blocks,
    answer=_merged_total,
    explain=_explain_merge,
    slips=(
        Slip(
            "not rescaled",
            lambda m_a, total_a, m_b, total_b: total_a + total_b,
            "You added the two sums as they are, but they are relative to different maxima.",
        ),
        Slip(
            "both rescaled by the difference",
            lambda m_a, total_a, m_b, total_b: (total_a + total_b) * math.exp(-abs(m_a - m_b)),
            "You rescaled both sums. The sum of the block with the larger maximum is unchanged.",
        ),
        Slip(
            "wrong block",
            lambda m_a, total_a, m_b, total_b: (
                total_a * math.exp(m_b - max(m_a, m_b)) + total_b * math.exp(m_a - max(m_a, m_b))
            ),
            "You rescaled the wrong block: the one with the smaller maximum shrinks.",
        ),
        Slip(
            "wrong direction",
            lambda m_a, total_a, m_b, total_b: (
                total_a * math.exp(max(m_a, m_b) - m_a) + total_b * math.exp(max(m_a, m_b) - m_b)
            ),
            "The exponent has the wrong sign: a sum shrinks when the maximum it refers to grows.",
        ),
    ),
)


ONLINE_STEPS = OrderSteps(
    id="softmax.online_step",
    prompt="The online softmax keeps a running maximum m and a running sum. The next score "
    "arrives. Put its four steps in order.",
    steps=(
        "Compute new, the larger of m and the score.",
        "Multiply the sum by e^(m - new).",
        "Set m to new.",
        "Add e^(score - m) to the sum.",
    ),
    explanation="The sum is relative to the old maximum, so it is rescaled while both maxima are "
    "still known. Only then may m be overwritten. The new term, relative to the new m, comes "
    "last: anything added before the rescaling would be rescaled as well.",
)


ASSOCIATIVE = OneAnswer(
    id="softmax.associative",
    prompt="Merging two states (maximum, sum) is associative. What does that allow?",
    options=(
        Option(
            "Blocks of a row can be processed in any grouping, also in parallel.",
            True,
            "whichever neighbours are merged first, the state of the whole row is the same up to "
            "rounding. FlashAttention relies on this.",
        ),
        Option(
            "Rounding errors cancel, so the result is exact.",
            False,
            "associativity holds in exact arithmetic; in floating point, different groupings may "
            "differ in the last digits.",
        ),
        Option(
            "The maximum is no longer needed.",
            False,
            "without it the sums could not be brought to a common scale, and they would overflow.",
        ),
        Option(
            "The probabilities are known before the last score has been read.",
            False,
            "each probability is divided by the sum of the whole row, which is complete only after "
            "the last score.",
        ),
    ),
)


def _online_is_wrong(names: dict[str, Any]) -> bool:
    scores = [0.5, 2.0, -1.0, 3.0]
    expected = softmax.online_state(_float64(scores))
    maximum, total = names["online"](scores)
    return maximum != expected.maximum.item() or not math.isclose(total, expected.total.item())


BUG_ONLINE = FindTheBug(
    id="softmax.bug_online",
    prompt="This function should return the maximum of the scores and the sum of "
    "`exp(score - maximum)`, in one pass. The sum is wrong for most inputs.",
    code="""
import math

def online(scores):
    maximum, total = -math.inf, 0.0
    for score in scores:
        larger = max(maximum, score)
        total = total + math.exp(score - larger)
        maximum = larger
    return maximum, total
""",
    line=7,
    fixed="total = total * math.exp(maximum - larger) + math.exp(score - larger)",
    why="When the maximum grows, the sum so far still refers to the old one. It must be "
    "multiplied by e^(old - new) before the new term is added. The code is right only if the "
    "first score is the largest.",
    why_not={
        4: "no score has been seen yet, so the maximum is -inf and the sum is 0.",
        6: "the new maximum gets its own name, since the old one is still needed.",
        8: "the old maximum is overwritten after its last use.",
        9: "both numbers are what was asked for, once line 7 is fixed.",
    },
    shows_bug=_online_is_wrong,
)


def _draw_batch(rng: random.Random) -> dict[str, Any]:
    return {
        "tokens": 1024 * rng.choice([2, 4, 8, 16]),
        "vocabulary": 1000 * rng.choice([32, 50, 128, 152, 256]),
        "chunk": 1000 * rng.choice([2, 4, 8]),
    }


def _saved_gigabytes(tokens: int, vocabulary: int, chunk: int) -> float:
    return (softmax.logits_bytes(tokens, vocabulary) - softmax.logits_bytes(tokens, chunk)) / 1e9


LOGITS_MEMORY = Numeric(
    id="softmax.logits_memory",
    prompt="A batch has {tokens} tokens, the vocabulary {vocabulary} tokens, and logits are "
    "float32. The loss is computed for {chunk} tokens of the vocabulary at a time, keeping one "
    "chunk of logits. How many gigabytes (10^9 bytes) of logits does this save?",
    draw=_draw_batch,
    answer=_saved_gigabytes,
    explain=lambda tokens, vocabulary, chunk: (
        f"All logits: 4 · {tokens} · {vocabulary} bytes = {4 * tokens * vocabulary / 1e9:.4g} GB. "
        f"One chunk: 4 · {tokens} · {chunk} bytes = {4 * tokens * chunk / 1e9:.4g} GB. The "
        f"difference is {_saved_gigabytes(tokens, vocabulary, chunk):.4g} GB."
    ),
    slips=(
        Slip(
            "bytes",
            lambda tokens, vocabulary, chunk: tokens * (vocabulary - chunk) / 1e9,
            "You counted numbers. A float32 number takes 4 bytes.",
        ),
        Slip(
            "everything",
            lambda tokens, vocabulary, chunk: 4 * tokens * vocabulary / 1e9,
            "This is the size of all logits. One chunk of them still exists.",
        ),
        Slip(
            "the chunk",
            lambda tokens, vocabulary, chunk: 4 * tokens * chunk / 1e9,
            "This is the size of one chunk, which is what remains.",
        ),
        Slip(
            "bfloat16",
            lambda tokens, vocabulary, chunk: 2 * tokens * (vocabulary - chunk) / 1e9,
            "You took 2 bytes for each number. float32 has 4.",
        ),
    ),
)
