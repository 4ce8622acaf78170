"""Multiple choice by log-likelihood: which of the answers does the model find likeliest?

Nothing is generated. Every answer is scored as a continuation of the question, and the best score
is the model's choice. Long answers have more factors below 1, and some texts are likely anywhere;
how the score is normalised decides which of these effects is taken away:

    sum           log p(answer | question)
    per byte      the same divided by the answer's bytes         long answers lose less
    over prior    minus log p(answer | a neutral start)          common answers gain less

Taught in:        evaluation
Paper:            Brown et al. 2020, arXiv:2005.14165; Holtzman et al. 2021, arXiv:2104.08315
                  (surface form competition)
Checked against:  a pass of its own for each token of each answer; values worked out by hand;
                  lm-evaluation-harness on the same items
Shapes:           B answers, T tokens
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.model import DecoderLM
from course_lib.softmax import log_softmax
from course_lib.tokenization.huggingface import Tokenizer


class ScoredChoice(NamedTuple):
    """An answer's log-probability after the question, its length, and what it has on its own."""

    total: float
    tokens: int
    bytes: int
    alone: float = 0.0


NORMALISATIONS: dict[str, Callable[[ScoredChoice], float]] = {
    "sum": lambda scored: scored.total,
    "per byte": lambda scored: scored.total / scored.bytes,
    "over prior": lambda scored: scored.total - scored.alone,
}


def picked(scored: Sequence[ScoredChoice], normalisation: str = "sum") -> int:
    """Return the number of the choice with the highest score; of equals the first."""
    if normalisation not in NORMALISATIONS:
        known = ", ".join(NORMALISATIONS)
        raise ValueError(f"a normalisation must be one of {known}; got {normalisation!r}.")
    if not scored or min(each.bytes for each in scored) < 1:
        raise ValueError("there must be choices, none of them empty, to pick one.")
    key = NORMALISATIONS[normalisation]
    return max(range(len(scored)), key=lambda i: key(scored[i]))


@torch.inference_mode()
def continuation_log_probabilities(
    model: DecoderLM, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]
) -> list[float]:
    """Return log p of each continuation after its context, all in one padded batch.

    If more tokens would be read than the model's context length, the context loses its beginning.
    """
    if not all(contexts) or not all(continuations) or len(contexts) != len(continuations):
        raise ValueError("contexts and continuations need at least one token each, pair by pair.")
    limit, device = model.config.max_position_embeddings, model.lm_head.weight.device
    rows = []
    for context, continuation in zip(contexts, continuations, strict=True):
        if len(continuation) > limit:
            raise ValueError(
                f"a continuation must fit into the context length of {limit} tokens; got "
                f"{len(continuation)} tokens."
            )
        rows.append([*context, *continuation][-limit - 1 :])  # the last one is not read
    longest = max(map(len, rows))
    # Padding on the right is never read by what stands before it, so it needs no mask.
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    log_p = log_softmax(model(ids[:, :-1]).logits.float())
    each = log_p.gather(-1, ids[:, 1:, None]).squeeze(-1)
    return [_last(each[i, : len(rows[i]) - 1], len(c)) for i, c in enumerate(continuations)]


def _last(row: Tensor, count: int) -> float:
    return float(row[-count:].sum())


def split_ids(tokenizer: Tokenizer, context: str, answer: str) -> tuple[list[int], list[int]]:
    """Return the ids of context and answer; both are tokenised together, and then divided.

    Blanks at the end of the context belong to the answer, whose first token usually begins with
    one.
    """
    kept = context.rstrip(" ")
    answer = context[len(kept) :] + answer
    before = tokenizer.encode(kept)
    return before, tokenizer.encode(kept + answer)[len(before) :]


def score_choices(
    model: DecoderLM,
    tokenizer: Tokenizer,
    context: str,
    answers: Sequence[str],
    neutral: str = "\n",
) -> list[ScoredChoice]:
    """Return each answer scored after the context and after a neutral start."""
    if not answers or not all(answers) or not context:
        raise ValueError(
            f"a question and its answers must not be empty; got {context!r} with {list(answers)!r}."
        )
    asked = [split_ids(tokenizer, context, answer) for answer in answers]
    start = tokenizer.encode(neutral)
    parts = [each for _, each in asked]
    totals = continuation_log_probabilities(model, [before for before, _ in asked], parts)
    alone = continuation_log_probabilities(model, [start] * len(parts), parts)
    return [
        ScoredChoice(total, len(ids), len(answer.encode()), prior)
        for total, ids, answer, prior in zip(totals, parts, answers, alone, strict=True)
    ]
