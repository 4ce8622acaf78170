"""The exercise on pooling token vectors into one."""

import torch

from course_lib import retrieval
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _text_by_text(hidden, mask):
    rows = []
    for vectors, real in zip(hidden.tolist(), mask.tolist(), strict=True):
        kept = [v for v, is_real in zip(vectors, real, strict=True) if is_real]
        width = hidden.shape[2]
        rows.append([sum(v[c] for v in kept) / len(kept) if kept else 0.0 for c in range(width)])
    return torch.tensor(rows, dtype=hidden.dtype)


def _by_where(hidden, mask):
    kept = torch.where(mask[:, :, None], hidden, torch.zeros_like(hidden))
    return kept.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def _by_product(hidden, mask):
    clean = hidden.masked_fill(~mask[..., None], 0)
    weights = mask.to(hidden.dtype) / mask.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("bt,btc->bc", weights, clean)


def _by_nanmean(hidden, mask):
    means = hidden.masked_fill(~mask[..., None], torch.nan).nanmean(1)
    return torch.where(mask.any(1, keepdim=True), means, torch.zeros_like(means))


def _all(hidden, mask):
    return hidden.mean(1)


def _by_length(hidden, mask):
    return hidden.masked_fill(~mask[..., None], 0).mean(1)


def _nan(hidden, mask):
    return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def _probe(mask, nan=False, scale=1.0):
    def inputs():
        rng = torch.Generator().manual_seed(3)
        real = torch.tensor(mask, dtype=torch.bool)
        hidden = scale * torch.randn(*real.shape, 4, generator=rng)
        return call(hidden.masked_fill(~real[..., None], torch.nan) if nan else hidden, real)

    return inputs


POOL = Exercise(
    id="retrieval.pool",
    title="The mean of the real tokens",
    minutes=7,
    difficulty=1,
    statement=(
        "Return for each text the mean of the vectors of its real tokens: from `hidden` (B, T, C) "
        "and `mask` (B, T), True at real tokens, to (B, C). The vectors at "
        "padding may hold anything, even nan. A text without real tokens gives zeros."
    ),
    solution=retrieval.mean_pool,
    reference=_text_by_text,
    generator=generators.pool,
    probes=(
        Probe("no padding", _probe([[1, 1, 1]]), "An ordinary mean over the tokens."),
        Probe("padding", _probe([[1, 1, 0], [1, 1, 1]]), "The first text has two tokens."),
        Probe("padding in front", _probe([[0, 1, 1]]), "The mask says where, not only how many."),
        Probe("nan at padding", _probe([[1, 0], [1, 1]], nan=True), "0 · nan is nan."),
        Probe("no token", _probe([[0, 0], [0, 1]]), "Zeros, not 0 / 0."),
        Probe(
            "the gradient",
            _probe([[1, 0, 1], [0, 1, 1]]),
            "Training runs through the mean.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "padding counts",
            _all,
            "You average over all T places. Padding then pulls every short text the same way.",
        ),
        Misconception(
            "divided by T",
            _by_length,
            "The sum is right, but you divide by the length of the row. Divide by the number of "
            "real tokens, mask.sum(1).",
        ),
        Misconception(
            "multiplied by the mask",
            _nan,
            "0 · nan is nan: what is at padding gets through. Use masked_fill or where.",
        ),
        Misconception(
            "0 / 0",
            lambda hidden, mask: (
                hidden.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True)
            ),
            "A text without tokens gives 0 / 0. Divide by at least 1: clamp(min=1).",
        ),
        Misconception(
            "a sum",
            lambda hidden, mask: hidden.masked_fill(~mask[..., None], 0).sum(1),
            "You return the sum. Divide by the number of real tokens.",
        ),
        Misconception(
            "the first token",
            lambda hidden, mask: hidden[:, 0],
            "That is the vector of the first token ([CLS]). Take the mean of all real tokens.",
        ),
        Misconception(
            "the largest",
            lambda hidden, mask: hidden.masked_fill(~mask[..., None], -torch.inf).amax(1),
            "That is max pooling. A mean was asked for.",
        ),
    ),
    alternatives=(
        Alternative("where", _by_where),
        Alternative("weights", _by_product),
        Alternative("nanmean", _by_nanmean),
    ),
    hints=(
        "hidden.masked_fill(~mask[..., None], 0) has zeros at padding, whatever was there.",
        "Sum over dim 1 and divide by mask.sum(1, keepdim=True).clamp(min=1).",
    ),
)
