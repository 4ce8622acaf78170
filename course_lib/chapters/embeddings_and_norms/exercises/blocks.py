"""Exercises on statistics with a mask, and on where a block puts its norm."""

import torch
import torch.nn.functional as F

from course_lib import norms
from course_lib.chapters.embeddings_and_norms.exercises.generators import (
    stream_and_layers,
    tokens_and_mask,
)
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _statistics_by_loop(x, mask):
    rows = [
        vector.double()
        for vector, real in zip(x.flatten(0, -2), mask.flatten(), strict=True)
        if real
    ]
    mean = sum(rows) / len(rows)
    variance = sum((row - mean) ** 2 for row in rows) / len(rows)
    return mean.to(x.dtype), variance.to(x.dtype)


def _weighted_sums(x, mask):
    real = mask[..., None]
    count = mask.sum()
    mean = torch.where(real, x, 0.0).sum((0, 1)) / count
    return mean, (torch.where(real, x - mean, 0.0) ** 2).sum((0, 1)) / count


def _tokens_joined(x, mask):
    tokens = torch.cat([text[real] for text, real in zip(x, mask, strict=True)])
    return tokens.mean(0), tokens.var(0, correction=0)


def _as_hinted(x, mask):
    return x[mask].mean(0), ((x[mask] - x[mask].mean(0)) ** 2).mean(0)


def _unbiased(tokens):
    mean = tokens.mean(0)
    return (tokens - mean).square().sum(0) / (len(tokens) - 1)


def _text_by_text(x, mask):
    texts = [text[real] for text, real in zip(x, mask, strict=True) if real.any()]
    means = torch.stack([tokens.mean(0) for tokens in texts])
    variances = torch.stack([tokens.var(0, correction=0) for tokens in texts])
    return means.mean(0), variances.mean(0)


def _padded():
    x = uneven(2, 4, 3)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    x[~mask] = 0.0
    return call(x, mask)


def _padded_with_nan():
    x, mask = _padded().args
    x[~mask] = torch.tensor([torch.nan, torch.inf, 1.0])
    return call(x, mask)


def _far_from_zero():
    x = 1000 + (256 * uneven(2, 2, 3)).round() / 256  # mean and deviations are exact in float32
    return call(x, torch.ones(2, 2, dtype=torch.bool))


def _zeros_counted(x, mask):
    shown = (x * mask[..., None]).flatten(0, -2)
    return shown.mean(0), shown.var(0, correction=0)


def _times_mask(x, mask):
    real = mask[..., None].to(x.dtype)
    mean = (x * real).sum((0, 1)) / mask.sum()
    return mean, ((x - mean).square() * real).sum((0, 1)) / mask.sum()


def _padding_deviates(x, mask):
    shown = x * mask[..., None]
    mean = shown.sum((0, 1)) / mask.sum()
    return mean, (shown - mean).square().sum((0, 1)) / mask.sum()


def _difference_of_squares(x, mask):
    mean = x[mask].mean(0)
    return mean, x[mask].square().mean(0) - mean.square()


def _all_text_by_text(x, mask):
    means = torch.stack([text[real].mean(0) for text, real in zip(x, mask, strict=True)])
    variances = [text[real].var(0, correction=0) for text, real in zip(x, mask, strict=True)]
    return means.mean(0), torch.stack(variances).mean(0)


BATCH_STATISTICS = Exercise(
    id="embeddings_and_norms.batch_statistics",
    title="Batch statistics without padding",
    minutes=6,
    difficulty=2,
    statement=(
        "Return the pair (mean, variance) of each feature of x (B, T, C) over all tokens where "
        "`mask` (B, T) is True. The variance divides by the number of those tokens. "
        "Padding may hold anything, including nan and inf. The gradient is checked too."
    ),
    solution=norms.batch_statistics,
    reference=_statistics_by_loop,
    generator=tokens_and_mask,
    probes=(
        Probe(
            "no padding",
            lambda: call(uneven(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)),
            "With every token real these are the plain statistics over texts and tokens.",
        ),
        Probe("padding of zeros", _padded, "Padding is not text: it must not change the mean."),
        Probe(
            "padding of other numbers",
            lambda: call(uneven(2, 4, 3), _padded().args[1]),
            "Padding may hold anything; only the mask says what is text.",
            gradient=True,
        ),
        Probe(
            "a single token",
            lambda: call(uneven(1, 2, 3), torch.tensor([[True, False]])),
            "With one token the variance is 0.",
        ),
        Probe(
            "padding of nan",
            _padded_with_nan,
            "nan times 0 is nan: padding must be left out, not multiplied by 0.",
        ),
        Probe(
            "features around 1000",
            _far_from_zero,
            "The variance is far below the squared mean: subtract the mean before you square.",
        ),
    ),
    misconceptions=(
        Misconception(
            "padding counted",
            lambda x, mask: (x.flatten(0, -2).mean(0), x.flatten(0, -2).var(0, correction=0)),
            "You average over padding as well, so a sentence's result depends on how long its "
            "neighbours are. Select the real tokens first: x[mask].",
        ),
        Misconception(
            "padding counted as zeros",
            _zeros_counted,
            "If you set padding to 0, it is still counted: zeros pull the mean towards 0 and "
            "change the variance. Leave those tokens out.",
        ),
        Misconception(
            "statistics of each token",
            lambda x, mask: (x[mask].mean(-1), x[mask].var(-1, correction=0)),
            "You average over features, which is what LayerNorm does. Batch statistics run over "
            "tokens, one result for each feature.",
        ),
        Misconception(
            "the unbiased variance, nan for one token",
            lambda x, mask: (x[mask].mean(0), _unbiased(x[mask])),
            "torch.var divides by n − 1 unless told otherwise, and for one token that is 0/0. "
            "Divide by n: x[mask].var(0, correction=0).",
        ),
        Misconception(
            "one number for all features",
            lambda x, mask: (x[mask].mean(), x[mask].var(correction=0)),
            "You average over the features as well. Each feature has its own mean and variance: "
            "use dim 0 for both.",
        ),
        Misconception(
            "the mask inverted",
            lambda x, mask: (x[~mask].mean(0), x[~mask].var(0, correction=0)),
            'You take the padding. True means "a real token": x[mask].',
        ),
        Misconception(
            "variance first",
            lambda x, mask: tuple(torch.var_mean(x[mask], 0, correction=0)),
            "You return the variance before the mean, as torch.var_mean does. The pair is (mean, "
            "variance).",
        ),
        Misconception(
            "the standard deviation",
            lambda x, mask: (x[mask].mean(0), x[mask].std(0, correction=0)),
            "You return the root of the variance. Return the variance itself.",
        ),
        Misconception(
            "text by text",
            _text_by_text,
            "You take the statistics of each text and average them, so that a token of a short "
            "text counts more. Pool the real tokens of all texts first: x[mask].",
        ),
        Misconception(
            "the unbiased variance",
            lambda x, mask: (x[mask].mean(0), x[mask].var(0, correction=1).nan_to_num()),
            "You divide by n − 1. Normalisation divides by n.",
        ),
        Misconception(
            "padding multiplied by 0",
            _times_mask,
            "nan · 0 and inf · 0 are nan, and padding may hold them. Select with x[mask], or "
            "replace with torch.where(mask[..., None], x, 0.0).",
        ),
        Misconception(
            "padding adds to the variance",
            _padding_deviates,
            "A padded position set to 0 still differs from the mean, and you add the square of "
            "that difference. Apply the mask to the deviations too.",
        ),
        Misconception(
            "mean of squares minus squared mean",
            _difference_of_squares,
            "On paper it is the variance. In float32, the difference of two large, nearly equal "
            "numbers has few correct digits. Take the mean of (x − mean)².",
        ),
        Misconception(
            "text by text, nan for an empty text",
            _all_text_by_text,
            "You take the statistics of each text and average them: a token of a short text "
            "counts more, and a text without tokens gives nan. Pool all real tokens first: "
            "x[mask].",
        ),
    ),
    alternatives=(
        Alternative("weighted sums", _weighted_sums),
        Alternative("tokens joined text by text", _tokens_joined),
        Alternative(
            "by torch.var_mean", lambda x, mask: torch.var_mean(x[mask], 0, correction=0)[::-1]
        ),
        Alternative("as the hints say", _as_hinted),
    ),
    hints=(
        "x[mask] has one row for each real token.",
        "Its mean over dim 0 has one number for each feature; so has its variance.",
    ),
)


def _double(x):
    return 2.0 * x + 1.0


def _scaled(x):
    return F.rms_norm(x, x.shape[-1:])


def _halves(x):
    return x.flip(-1) * 0.5


def _step_by_step(x, sublayer, norm):
    stream = x.clone()
    copy = norm(x)
    update = sublayer(copy)
    return torch.stack([stream, update]).sum(0)


PRE_NORM = Exercise(
    id="embeddings_and_norms.pre_norm",
    title="From post-norm to pre-norm",
    minutes=4,
    difficulty=2,
    statement=(
        "The Transformer of 2017 computes norm(x + sublayer(x)). Return the pre-norm form: the "
        "sublayer reads a normalised copy, and its result is added to the stream itself. "
        "Gradients must flow along both paths."
    ),
    solution=norms.pre_norm_residual,
    reference=lambda x, sublayer, norm: torch.add(sublayer(norm(x.clone())), x),
    generator=stream_and_layers,
    probes=(
        Probe(
            "a sublayer that returns nothing",
            lambda: call(uneven(2, 5), torch.zeros_like, _scaled),
            "If the sublayer adds 0, the stream must be unchanged.",
        ),
        Probe(
            "a sublayer that doubles",
            lambda: call(uneven(2, 5), _double, _scaled),
            "The sublayer reads the normalised stream, not the stream.",
            gradient=True,
        ),
        Probe(
            "a large stream",
            lambda: call(uneven(2, 3, 5) * 100, _halves, _scaled),
            "However large the stream is, the sublayer reads vectors of one size.",
        ),
    ),
    misconceptions=(
        Misconception(
            "post-norm",
            lambda x, sublayer, norm: norm(x + sublayer(x)),
            "This is the arrangement of 2017: every layer rescales the stream, so every path from "
            "the loss to the first layer passes through all norms.",
        ),
        Misconception(
            "the residual from the normalised copy",
            lambda x, sublayer, norm: norm(x) + sublayer(norm(x)),
            "You add to the normalised copy. Add to the stream itself, x.",
        ),
        Misconception(
            "the result normalised",
            lambda x, sublayer, norm: x + norm(sublayer(x)),
            "You normalise after the sublayer. In pre-norm the norm comes before it: the sublayer "
            "reads norm(x).",
        ),
        Misconception(
            "the gradient stopped along the stream",
            lambda x, sublayer, norm: x.detach() + sublayer(norm(x)),
            "The values are right, but the stream is detached, so the gradient can flow only "
            "through the sublayer. Add x itself, without detach().",
        ),
        Misconception(
            "the gradient stopped at the sublayer",
            lambda x, sublayer, norm: x + sublayer(norm(x.detach())),
            "The values are right, but no gradient from the sublayer reaches earlier layers. "
            "Normalise x itself, without detach() or no_grad().",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, sublayer, norm: (x + sublayer(norm(x))).detach(),
            "The values are right, but no gradient flows back from them. Compute without detach(), "
            "no_grad() and .data.",
        ),
        Misconception(
            "the stream normalised, the copy not",
            lambda x, sublayer, norm: norm(x) + sublayer(x),
            "You normalise the wrong one. The sublayer reads norm(x), and its result is added to "
            "x.",
        ),
        Misconception(
            "the norm left out",
            lambda x, sublayer, norm: x + sublayer(x),
            "Without a norm the sublayer reads a stream that grows from layer to layer. Give it "
            "norm(x).",
        ),
        Misconception(
            "normalised twice",
            lambda x, sublayer, norm: norm(x + sublayer(norm(x))),
            "You normalise the sublayer's input and the sum as well. Normalise only the input.",
        ),
        Misconception(
            "the residual left out",
            lambda x, sublayer, norm: sublayer(norm(x)),
            "Without `x +` every layer replaces the stream instead of adding to it.",
        ),
    ),
    alternatives=(
        Alternative("step by step", _step_by_step),
        Alternative(
            "added to the sublayer's result", lambda x, sublayer, norm: sublayer(norm(x)) + x
        ),
        Alternative("as the hints say", lambda x, sublayer, norm: x + sublayer(norm(x))),
    ),
    hints=(
        "Which of the two x in norm(x + sublayer(x)) should be normalised, and which not?",
        "Only the sublayer's input is normalised.",
    ),
)
