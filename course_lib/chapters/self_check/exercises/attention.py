"""Attention again, from memory: the exercise of the chapter `attention` with fewer hints."""

from dataclasses import replace

import torch

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.spec import Misconception, Probe, call

_FIRST_TIME = find_exercise("attention.scaled_dot_product")


def _shifted_before_masking(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    e = e if mask is None else e * mask
    return e @ v / e.sum(-1, keepdim=True).clamp(min=1e-30)


def _one_high_score_hidden():
    k, v = torch.tensor([[500.0], [0.0], [1.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    return call(torch.ones(1, 1), k, v, torch.tensor([[False, True, True]]))


ATTENTION = replace(
    _FIRST_TIME,
    id="self_check.attention",
    title="Attention with a mask, from memory",
    minutes=8,
    probes=(
        *_FIRST_TIME.probes,
        Probe(
            "a masked score far above the others",
            _one_high_score_hidden,
            "The masked score is 500 above the others. It must have no effect, not even as the "
            "maximum that softmax subtracts.",
        ),
    ),
    misconceptions=(
        *_FIRST_TIME.misconceptions,
        Misconception(
            "the maximum taken before masking",
            _shifted_before_masking,
            "You subtract the maximum of all scores, including masked ones. If that is far above "
            "the others, their exponentials underflow, and the row becomes zeros. Mask the scores "
            "first, then take the maximum.",
        ),
    ),
    hints=(
        "Notebook `attention`, section 1, has the five steps: scores, scale, mask, softmax, "
        "weighted mean.",
        "Scores are (…, T, S). Mask before softmax, and consider a row that may read nothing.",
    ),
)
