"""The exercise on the positions of new tokens."""

import torch

from course_lib.chapters.transformer.exercises import generators
from course_lib.model import functions
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _positions_by_loop(padding, new_tokens):
    rows = []
    for row in padding.tolist():
        seen, places = 0, []
        for real in row:
            places.append(seen)
            seen += real
        rows.append(places[len(row) - new_tokens :])
    return torch.tensor(rows, dtype=torch.long, device=padding.device)


def _row(*real):
    return torch.tensor([real], dtype=torch.bool)


POSITIONS = Exercise(
    id="transformer.positions",
    title="Positions of the new tokens",
    minutes=8,
    difficulty=2,
    statement=(
        "`padding` (B, S) is True at real tokens and covers all tokens so far. The last "
        "`new_tokens` of each row are new, those before them are in the cache. Return the "
        "positions (B, T) of the new ones, counted from 0 at the first real token of the row; "
        "padding gets 0. All padding is on the left. Positions are integers."
    ),
    same_dtype=True,
    solution=functions.token_positions,
    reference=_positions_by_loop,
    generator=generators.paddings,
    probes=(
        Probe(
            "a whole text",
            lambda: call(torch.ones(1, 4, dtype=torch.bool), 4),
            "Without cache and padding: 0, 1, 2, 3.",
        ),
        Probe(
            "one token after a cache",
            lambda: call(torch.ones(2, 6, dtype=torch.bool), 1),
            "Five tokens are cached, so the new one has position 5.",
        ),
        Probe(
            "two texts of different length",
            lambda: call(torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).bool(), 5),
            "The shorter text begins after its padding, at position 0.",
        ),
        Probe(
            "padding and a cache",
            lambda: call(torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]]).bool(), 2),
            "The positions continue after the cached real tokens of each row.",
        ),
        Probe(
            "new tokens that are padding",
            lambda: call(_row(0, 0, 0, 1), 3),
            "Padding gets position 0, never a negative number, although it is masked.",
        ),
        Probe(
            "no new tokens",
            lambda: call(_row(0, 1, 1), 0),
            "No new tokens, no positions: shape (1, 0).",
        ),
    ),
    misconceptions=(
        Misconception(
            "positions not offset by the cache",
            lambda padding, new_tokens: torch.arange(new_tokens).expand(len(padding), -1),
            "You count the new tokens from 0. The cached ones come first: with five of them the "
            "next token has position 5. Generated text repeats itself or breaks down.",
        ),
        Misconception(
            "padding skipped, the cache forgotten",
            lambda padding, new_tokens: (
                padding[:, padding.shape[1] - new_tokens :].cumsum(-1) - 1
            ).clamp(min=0),
            "You count real tokens among the new ones only. Count over the whole row, then keep "
            "the last columns.",
        ),
        Misconception(
            "padding counted",
            lambda padding, new_tokens: torch.arange(padding.shape[1])[
                padding.shape[1] - new_tokens :
            ].expand(len(padding), -1),
            "You count padding as text. In a batch a short text would then begin at a position at "
            "which no text began in training.",
        ),
        Misconception(
            "counted from 1",
            lambda padding, new_tokens: padding.cumsum(-1)[:, padding.shape[1] - new_tokens :],
            "The running count at a token includes the token itself. Subtract 1.",
        ),
        Misconception(
            "negative positions at padding",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1)[
                :, padding.shape[1] - new_tokens :
            ],
            "Padding gets −1. A learned table would return its *last* row, or raise. Use 0.",
        ),
        Misconception(
            "padding at position 1",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).masked_fill(~padding, 1)[
                :, padding.shape[1] - new_tokens :
            ],
            "Real tokens are right. Some programs put 1 at padding, which does no harm since it is "
            "masked; here it must be 0.",
        ),
        Misconception(
            "counted back from the end",
            lambda padding, new_tokens: (
                padding.sum(-1, keepdim=True) - new_tokens + torch.arange(new_tokens)
            ),
            "Right if all new tokens are real. At padding you get negative numbers; a learned "
            "table would return its *last* rows, or raise. Use clamp(min=0).",
        ),
        Misconception(
            "the first instead of the last",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).clamp(min=0)[:, :new_tokens],
            "New tokens are at the end of the row: keep the last columns.",
        ),
        Misconception(
            "[:, -0:] taken to be empty",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).clamp(min=0)[:, -new_tokens:],
            "With no new tokens you return all positions: −0 is 0, and [:, 0:] is everything. "
            "Slice from the front: [:, S - new_tokens:].",
        ),
        Misconception(
            "True read as padding",
            lambda padding, new_tokens: _positions_by_loop(~padding, new_tokens),
            "In `padding`, True marks a real token. You count the padding.",
        ),
    ),
    alternatives=(
        Alternative(
            "from the number of padding tokens",
            lambda padding, new_tokens: (
                torch.arange(padding.shape[1], device=padding.device)
                - (~padding).sum(-1, keepdim=True)
            ).clamp(min=0)[:, padding.shape[1] - new_tokens :],
        ),
        Alternative("token by token", _positions_by_loop),
        Alternative(
            "as the hints have it",
            lambda padding, new_tokens: (padding.cumsum(-1) - 1).clamp(min=0)[
                :, padding.shape[1] - new_tokens :
            ],
        ),
    ),
    hints=(
        "A running count of True along each row: padding.cumsum(-1).",
        "Subtract 1, since the first real token has position 0; clamp(min=0) for the padding.",
        "Keep the last new_tokens columns: [:, padding.shape[1] - new_tokens:].",
    ),
)
