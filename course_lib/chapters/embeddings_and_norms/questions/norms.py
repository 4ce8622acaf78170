"""Questions on LayerNorm, RMSNorm and BatchNorm."""

import random
from typing import Any

import torch

from course_lib.norms import layer_norm, rms_norm
from course_lib.study.ask.question import (
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)


def _vectors(rng: random.Random) -> dict[str, Any]:
    values = rng.sample(range(1, 10), 4)
    return {"values": [float(value) for value in values]}


def _first_layer_normed(values: list[float]) -> float:
    return layer_norm(torch.tensor(values, dtype=torch.float64), eps=0.0)[0].item()


def _first_rms_normed(values: list[float]) -> float:
    return rms_norm(torch.tensor(values), eps=0.0)[0].item()


def _first_unbiased(values: list[float]) -> float:
    x = torch.tensor(values)
    return ((x - x.mean()) / x.std())[0].item()


def _worked_rms(values: list[float]) -> str:
    square = sum(value * value for value in values) / len(values)
    return (
        f"The mean square is {square:.4g}, its root {square**0.5:.4g}, "
        f"and {values[0]:g} / {square**0.5:.4g} = {_first_rms_normed(values):.4g}."
    )


def _worked_layer(values: list[float]) -> str:
    x = torch.tensor(values)
    mean, variance = x.mean().item(), x.var(correction=0).item()
    return (
        f"The mean is {mean:.4g}, the biased variance {variance:.4g}, its root "
        f"{variance**0.5:.4g}; ({values[0]:g} - {mean:.4g}) / {variance**0.5:.4g} = "
        f"{_first_layer_normed(values):.4g}."
    )


NORMS = (
    Numeric(
        "embeddings_and_norms.rms_by_hand",
        "RMSNorm without weight and with eps = 0 is applied to {values}. What is the first number "
        "of the result?",
        _vectors,
        _first_rms_normed,
        _worked_rms,
        slips=(
            Slip("LayerNorm", _first_layer_normed, "RMSNorm does not subtract the mean."),
            Slip(
                "unit length",
                lambda values: values[0] / sum(v * v for v in values) ** 0.5,
                "Divide by the root of the mean square, not of the sum of squares.",
            ),
        ),
    ),
    Numeric(
        "embeddings_and_norms.layer_norm_by_hand",
        "LayerNorm without weight and bias and with eps = 0 is applied to {values}. What is "
        "the first number of the result?",
        _vectors,
        _first_layer_normed,
        _worked_layer,
        slips=(
            Slip("RMSNorm", _first_rms_normed, "LayerNorm subtracts the mean first."),
            Slip(
                "the unbiased variance",
                _first_unbiased,
                "LayerNorm's variance divides by n, not by n - 1.",
            ),
        ),
    ),
    OneAnswer(
        "embeddings_and_norms.where_eps_stands",
        "Why does a norm add eps *inside* the root, to the variance?",
        (
            Option(
                "So that result and gradient stay finite when all features are equal.",
                True,
                "the derivative of a root is infinite at 0; eps keeps its argument above 0.",
            ),
            Option(
                "So that the result has a variance of exactly 1, whatever the features.",
                False,
                "with eps the variance of the result is slightly below 1.",
            ),
            Option(
                "Because the root of a variance may be negative.",
                False,
                "a root is never negative, and neither is a variance.",
            ),
            Option(
                "To make up for the division by n instead of n - 1.",
                False,
                "eps and that division are unrelated.",
            ),
        ),
    ),
    SeveralAnswers(
        "embeddings_and_norms.rms_and_layer",
        "Which of these are true of RMSNorm and LayerNorm, if eps is negligible?",
        (
            Option(
                "Without weights, both give the same result for a vector whose mean is 0.",
                True,
                "then nothing is subtracted, and the variance is the mean square.",
            ),
            Option(
                "Both undo a positive factor: norm(3x) = norm(x).",
                True,
                "numerator and denominator are multiplied by the same factor.",
            ),
            Option(
                "Both undo a constant added to all features: norm(x + 1) = norm(x).",
                False,
                "LayerNorm does, since it subtracts the mean; RMSNorm does not.",
            ),
            Option(
                "RMSNorm has no bias in Llama and Qwen3.",
                True,
                "it has one weight for each feature and nothing else.",
            ),
            Option(
                "With weight = σ and bias = μ of the data, LayerNorm becomes the identity.",
                False,
                "μ and σ differ from vector to vector, while weight and bias are fixed: it is the "
                "identity for one input only.",
            ),
        ),
    ),
    OneAnswer(
        "embeddings_and_norms.batch_norm_and_padding",
        "A sentence is put into a batch with a much longer one, and padded. BatchNorm without a "
        "mask gives a different result for it than in a batch of short ones. Why?",
        (
            Option(
                "The padding enters mean and variance.",
                True,
                "more padding changes the statistics of each feature, and so the result of every "
                "token.",
            ),
            Option(
                "The longer sentence has a larger loss.",
                False,
                "the forward pass does not depend on the loss.",
            ),
            Option(
                "Padding changes the sentence's own embedding.",
                False,
                "its tokens and their rows are the same as before.",
            ),
            Option(
                "BatchNorm sorts sentences by length.",
                False,
                "it sorts nothing; it averages over all tokens that it gets.",
            ),
        ),
    ),
    SeveralAnswers(
        "embeddings_and_norms.batch_norm_in_language_models",
        "Which of these problems does BatchNorm have in a language model, but LayerNorm does not?",
        (
            Option(
                "Tokens that come later change the result of an earlier one.",
                True,
                "the statistics run over all tokens, also over those that must not be seen yet.",
            ),
            Option(
                "In generation, a batch of one new token has a variance of 0.",
                True,
                "statistics over one token are useless; stored ones from training are needed.",
            ),
            Option(
                "The result for a text depends on the other texts of its batch.",
                True,
                "all tokens of the batch enter the mean and the variance of a feature.",
            ),
            Option(
                "It cannot be differentiated.",
                False,
                "its gradient exists; mean and variance are differentiable functions of x.",
            ),
            Option(
                "It needs a learned matrix instead of one number for each feature.",
                False,
                "both have one weight and one bias for each feature.",
            ),
        ),
    ),
)
