"""The exercise on positions: time, row and column of every token."""

import torch

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import mrope_positions


def _token_by_token(segments):
    triples, start = [], 0
    for segment in segments:
        if isinstance(segment, int):
            own = [(i, i, i) for i in range(segment)]
        else:
            own = [(0, row, column) for row in range(segment[0]) for column in range(segment[1])]
        triples += [tuple(start + number for number in triple) for triple in own]
        start = max(max(triple) for triple in triples) + 1
    return torch.tensor(triples).reshape(-1, 3).T if triples else torch.zeros(3, 0).long()


def _mrope(segments, *, next_start=None, time=False, swap=False, origin=True, text=3, column=0):
    """Return positions by the rule, or by a rule that differs in one respect."""
    parts, start, tokens = [torch.zeros(3, 0, dtype=torch.long)], 0, 0
    for segment in segments:
        if isinstance(segment, int):
            line = torch.arange(start, start + segment)
            own = torch.stack([line if i < text else torch.zeros_like(line) for i in range(3)])
            end, count = start + segment, segment
        else:
            rows, columns = segment
            row, col = (
                each.flatten()
                for each in torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            )
            row, col = (col, row) if swap else (row, col)
            first = torch.arange(rows * columns) if time else torch.zeros_like(row)
            shift = start if origin else 0
            own = torch.stack((first + start, row + shift, col + shift))
            count = rows * columns
            end = start + (max(rows, columns) if next_start is None else next_start(segment))
        parts.append(own)
        start, tokens = end, tokens + count
    return torch.cat(parts, dim=1)


def _by_indices(segments):
    parts, start = [], 0
    for segment in segments:
        shape = (1, *segment) if not isinstance(segment, int) else None
        if shape is None:
            own = torch.arange(segment)[None].repeat(3, 1)
        else:
            own = torch.cartesian_prod(*(torch.arange(size) for size in shape)).T
        parts.append(own + start)
        start = start + int(own.max()) + 1
    return torch.cat(parts, dim=1) if parts else torch.zeros(3, 0, dtype=torch.long)


def _by_lists(segments):
    rows, start = ([], [], []), 0
    for segment in segments:
        height, width = (1, segment) if isinstance(segment, int) else segment
        for y in range(height):
            for x in range(width):
                triple = (x, x, x) if isinstance(segment, int) else (0, y, x)
                for row, number in zip(rows, triple, strict=True):
                    row.append(start + number)
        start += max(height, width)
    return torch.tensor(rows, dtype=torch.long)


MROPE = Exercise(
    id="multimodal.mrope",
    title="Positions in three directions",
    minutes=12,
    difficulty=3,
    statement=(
        "A sequence is given as a list of segments, perhaps empty: a whole number n for a text of "
        "n tokens, or a pair (rows, columns) for a picture with that many visual tokens, in "
        "reading order; all at least 1. Each segment begins at a number s, which is 0 for the "
        "first one. Token i of a text has the position s + i three times. The token of a picture "
        "in row r and column c has the positions s, s + r and s + c. The next segment begins at "
        "the largest position so far plus one. Return a tensor of whole numbers (3, T): time, row, "
        "column."
    ),
    solution=mrope_positions,
    reference=_token_by_token,
    generator=generators.mrope,
    probes=(
        Probe("a text", lambda: call([4]), "Three times 0, 1, 2, 3: ordinary RoPE."),
        Probe("a picture", lambda: call([(2, 3)]), "Time stands still, rows and columns do not."),
        Probe("a picture in a text", lambda: call([2, (2, 2), 2]), "The text goes on at 4."),
        Probe("a wide picture", lambda: call([(1, 5), 1]), "The text goes on after column 4."),
        Probe("a tall picture", lambda: call([1, (4, 1), 1]), "The text goes on after row 3."),
        Probe("two pictures", lambda: call([(2, 2), (3, 2), 2]), "Each begins after the other."),
        Probe("nothing", lambda: call([]), "No tokens: (3, 0)."),
    ),
    misconceptions=(
        Misconception(
            "the text goes on after all tokens",
            lambda segments: _mrope(segments, next_start=lambda s: s[0] * s[1]),
            "A picture of rows x columns moves the text on by the larger of both, not by their "
            "product: that is what keeps positions small.",
        ),
        Misconception(
            "the text goes on after the rows",
            lambda segments: _mrope(segments, next_start=lambda s: s[0]),
            "The next segment begins after the largest position, be it a row or a column.",
        ),
        Misconception(
            "the text goes on after one",
            lambda segments: _mrope(segments, next_start=lambda s: 1),
            "Time stands still within a picture, but the text begins after its rows and columns.",
        ),
        Misconception(
            "time runs within a picture",
            lambda segments: _mrope(segments, time=True),
            "All tokens of a picture have the same time: they are seen at once.",
        ),
        Misconception(
            "rows and columns swapped",
            lambda segments: _mrope(segments, swap=True),
            "The second number is the row, the third the column.",
        ),
        Misconception(
            "rows and columns from zero",
            lambda segments: _mrope(segments, origin=False),
            "Rows and columns count from the position where the picture begins.",
        ),
        Misconception(
            "text has time only",
            lambda segments: _mrope(segments, text=1),
            "A text token has its position three times; then M-RoPE is ordinary RoPE on text.",
        ),
    ),
    alternatives=(
        Alternative("meshgrid", _mrope),
        Alternative("cartesian products", _by_indices),
        Alternative("three lists", _by_lists),
    ),
    hints=(
        "Keep one number, the start of the next segment, and handle each segment alone.",
        "Text: torch.arange(n) three times. Picture: zeros, rows repeated, columns repeated.",
        "After each segment, start += the largest of its own numbers + 1.",
    ),
)
