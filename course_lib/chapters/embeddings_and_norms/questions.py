"""The quiz of 03 embeddings_and_norms."""

import random
from typing import Any

import torch

from course_lib.embeddings import embedding_share
from course_lib.norms import layer_norm, rms_norm
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    SeveralAnswers,
    Slip,
)


def _models(rng: random.Random) -> dict[str, Any]:
    width = rng.choice([768, 1024, 2048, 4096])
    vocabulary = rng.choice([32_000, 50_257, 128_256, 151_936])
    return {"width": width, "vocabulary": vocabulary, "total": rng.choice([2, 3, 5, 8])}


def _tied_share(width: int, vocabulary: int, total: int) -> float:
    return 100 * embedding_share(vocabulary, width, total * 10**9, tied=True)


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


_TABLES = (
    OneAnswer(
        "embeddings_and_norms.cost_of_a_lookup",
        "A vocabulary of V tokens, a width of C. What does looking up one id cost, compared with "
        "multiplying its one-hot vector by the table?",
        (
            Option(
                "Copying C numbers, instead of V·C multiply-adds.",
                True,
                "all rows but one are multiplied by zero, so the product is a copy of one row.",
            ),
            Option(
                "Copying V numbers, instead of V·C multiply-adds.",
                False,
                "a row of the table has C numbers; V is the number of rows.",
            ),
            Option(
                "The same: both read the whole table.",
                False,
                "a lookup reads one row only.",
            ),
            Option(
                "C multiply-adds, instead of V multiply-adds.",
                False,
                "a lookup multiplies nothing, and the product has V·C multiply-adds.",
            ),
        ),
    ),
    SeveralAnswers(
        "embeddings_and_norms.gradient_of_a_table",
        "A batch holds 40 different token ids out of a vocabulary of 50 000, and nothing is tied. "
        "Which statements about the gradient of the embedding table are true?",
        (
            Option(
                "At most 40 of its rows differ from zero.",
                True,
                "only rows that were looked up affect the result.",
            ),
            Option(
                "The row of an id that occurs twice receives the sum of both gradients.",
                True,
                "the same row was used twice, and the gradients of both uses add up.",
            ),
            Option(
                "It has the shape of the table, however few ids there are.",
                True,
                "a dense gradient has one number for each parameter, most of them zero here.",
            ),
            Option(
                "Rows of ids that are numerically close receive similar gradients.",
                False,
                "an id is a name. Row 17 has nothing to do with row 18.",
            ),
        ),
    ),
    Numeric(
        "embeddings_and_norms.share_of_the_table",
        "A model with {total} billion parameters has a vocabulary of {vocabulary} tokens, a width "
        "of {width}, and one table tied to its head. What percentage of its parameters is that "
        "table?",
        _models,
        _tied_share,
        lambda width, vocabulary, total: (
            f"{vocabulary} x {width} = {vocabulary * width:,} parameters of {total * 10**9:,}: "
            f"{_tied_share(width, vocabulary, total):.4g} percent."
        ),
        unit="percent",
        slips=(
            Slip(
                "counted twice",
                lambda width, vocabulary, total: 2 * _tied_share(width, vocabulary, total),
                "a tied head is the same table: it is counted once.",
            ),
        ),
    ),
    OneAnswer(
        "embeddings_and_norms.what_tying_means",
        "Embedding and output head are tied. What does that mean?",
        (
            Option(
                "A token's score is the dot product of its embedding with the last hidden state.",
                True,
                "the head's row for a token is its row of the table.",
            ),
            Option(
                "The head is computed from the embedding by one more learned matrix.",
                False,
                "there is no matrix in between: one tensor is used twice.",
            ),
            Option(
                "Both start from the same numbers and are then trained separately.",
                False,
                "they stay one tensor; its gradient is the sum of both uses.",
            ),
            Option(
                "The model can only predict tokens that occurred in its input.",
                False,
                "the table has a row for every token of the vocabulary.",
            ),
        ),
    ),
)

_NORMS = (
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
                "divide by the root of the mean square, not of the sum of squares.",
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
)

_STREAM = (
    OneAnswer(
        "embeddings_and_norms.why_pre_norm",
        "Why do deep models put the norm before the sublayer, x + f(norm(x))?",
        (
            Option(
                "One path from the loss to every layer consists of additions only.",
                True,
                "no norm rescales the path along `x +`. The paths through the sublayers add to it, "
                "so the whole gradient grows slowly with depth.",
            ),
            Option(
                "It halves the number of norms.",
                False,
                "there is one per sublayer in both arrangements, and pre-norm adds one at the end.",
            ),
            Option(
                "The stream keeps a constant size from the first layer to the last.",
                False,
                "that is post-norm. With pre-norm the stream grows, since each layer adds to it.",
            ),
            Option(
                "The sublayer no longer needs its own weights.",
                False,
                "a norm has one number for each feature; the sublayer still needs its matrices.",
            ),
        ),
    ),
    OrderSteps(
        "embeddings_and_norms.rms_in_half",
        "Put the steps of RMSNorm on a bfloat16 vector in the order of Llama and Qwen3.",
        (
            "Cast the vector to float32.",
            "Take the mean of the squares.",
            "Add eps and take one over the root.",
            "Multiply the vector by it.",
            "Cast back to bfloat16.",
            "Multiply by the weight.",
        ),
        "Squares are summed in float32, and the cast comes before the weight. Gemma multiplies by "
        "the weight first: the last bit of the result differs.",
    ),
    FindTheBug(
        "embeddings_and_norms.variance_bug",
        "This function should return LayerNorm without weights. Its result is slightly wrong for "
        "every input, and very wrong for short vectors.",
        code=(
            "import torch\n"
            "\n"
            "def norm(x, eps=1e-5):\n"
            "    mean = x.mean(-1, keepdim=True)\n"
            "    variance = x.var(-1, keepdim=True)\n"
            "    return (x - mean) / (variance + eps).sqrt()\n"
        ),
        line=5,
        fixed="    variance = x.var(-1, keepdim=True, correction=0)",
        why="torch.var divides by n - 1 unless told otherwise; LayerNorm divides by n.",
        why_not={
            4: "the mean over the features, kept as an axis of length 1, is right.",
            6: "eps inside the root is right, and so is the root.",
        },
        shows_bug=lambda names: (
            not torch.allclose(
                names["norm"](torch.tensor([[1.0, 2.0, 6.0]])),
                torch.nn.functional.layer_norm(torch.tensor([[1.0, 2.0, 6.0]]), (3,)),
                atol=1e-4,
            )
        ),
    ),
    FindTheBug(
        "embeddings_and_norms.residual_bug",
        "This block should be pre-norm. With zero weights in its sublayer it should return x "
        "unchanged, but it does not. Changing one line repairs it.",
        code=(
            "import torch\n"
            "\n"
            "def block(x, sublayer, norm):\n"
            "    y = norm(x)\n"
            "    z = sublayer(y)\n"
            "    return y + z\n"
        ),
        line=6,
        fixed="    return x + z",
        why="the residual must be the stream itself, x, not its normalised copy.",
        why_not={
            4: "pre-norm normalises what the sublayer reads: right.",
            5: "the sublayer reads the normalised copy: right.",
        },
        shows_bug=lambda names: (
            not torch.equal(
                names["block"](torch.tensor([3.0]), torch.zeros_like, torch.sign),
                torch.tensor([3.0]),
            )
        ),
    ),
)

QUESTIONS = (*_TABLES, *_NORMS, *_STREAM)
