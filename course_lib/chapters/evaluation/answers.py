"""Answers of exercises that no user of the library would call: its parts, put to one use."""

from collections.abc import Sequence

import torch

from course_lib.evaluation import Interval, bleu_from, bleu_terms, percentile_interval


def bootstrap_interval(
    values: Sequence[float | int], draws: Sequence[Sequence[int]], level: float
) -> Interval:
    """Return the mean of the values and its interval from resamples that are given as lists."""
    return percentile_interval(values, torch.tensor([list(row) for row in draws]), level)


def bleu_of_words(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    """Return the BLEU of a corpus of words with one reference each, without smoothing."""
    return bleu_from(bleu_terms(hypotheses, [[each] for each in references]))
