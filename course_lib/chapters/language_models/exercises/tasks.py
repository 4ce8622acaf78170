"""Exercises on what a model may see and what it must predict."""

import torch

from course_lib import ngrams
from course_lib.chapters.language_models.exercises.generators import (
    hidden_positions,
    length_and_prefix,
)
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _flags(length, positions):
    flags = torch.zeros(length, dtype=torch.bool, device=positions.device)
    flags[positions] = True
    return flags


def _masked_by_loops(length, hidden):
    out_of_sight = set(hidden.tolist())
    row = [column not in out_of_sight for column in range(length)]
    visible = torch.tensor([row for _ in range(length)], dtype=torch.bool)
    predicted = torch.tensor([not seen for seen in row], dtype=torch.bool)
    return visible.reshape(length, length), predicted


def _masked_everything_seen(length, hidden):
    return torch.ones(length, length, dtype=torch.bool), _flags(length, hidden)


def _masked_causally(length, hidden):
    predicted = _flags(length, hidden)
    return (~predicted).expand(length, length).tril(), predicted


def _masked_rows(length, hidden):
    predicted = _flags(length, hidden)
    return (~predicted)[:, None].expand(length, length).clone(), predicted


def _masked_only_itself(length, hidden):
    return ~torch.diag(_flags(length, hidden)), _flags(length, hidden)


def _masked_all_predicted(length, hidden):
    visible = (~_flags(length, hidden)).expand(length, length).clone()
    return visible, torch.ones(length, dtype=torch.bool)


def _masked_columns(length, hidden):
    predicted = _flags(length, hidden)
    visible = torch.ones(length, length, dtype=torch.bool, device=hidden.device)
    visible[:, hidden] = False
    return visible, predicted


def _masked_by_comparison(length, hidden):
    predicted = (torch.arange(length, device=hidden.device)[:, None] == hidden).any(-1)
    return torch.logical_not(predicted).repeat(length, 1), predicted


def _masked_as_hinted(length, hidden):
    predicted = torch.zeros(length, device=hidden.device).bool()
    predicted[hidden] = True
    return (~predicted).expand(length, length), predicted


def _as_numbers(task):
    """Return the task with 0 and 1 in place of False and True."""
    return lambda length, given: tuple(table.float() for table in task(length, given))


MASKED = Exercise(
    id="language_models.masked",
    title="The task of a masked language model",
    minutes=6,
    difficulty=1,
    statement=(
        "A text has `length` tokens; those at the positions in the tensor `hidden` (maybe none) "
        "are hidden. Return the pair (visible, predicted) of bool tensors: visible[t, s] says "
        "whether token s may be read to compute position t, predicted[t] whether the token at "
        "position t must be predicted."
    ),
    solution=ngrams.masked_task,
    reference=_masked_by_loops,
    generator=hidden_positions,
    probes=(
        Probe(
            "one token hidden",
            lambda: call(4, torch.tensor([1])),
            "No position reads the hidden token; all read the tokens beside it.",
        ),
        Probe(
            "two tokens hidden",
            lambda: call(5, torch.tensor([3, 1])),
            "A hidden token is invisible to every position, also to the other hidden one.",
        ),
        Probe(
            "the last token hidden",
            lambda: call(3, torch.tensor([2])),
            "Early positions may read late tokens: there is no direction here.",
        ),
        Probe(
            "nothing hidden",
            lambda: call(3, torch.tensor([], dtype=torch.long)),
            "With nothing hidden, everything is visible and nothing is predicted.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the hidden tokens are still seen",
            _masked_everything_seen,
            "In your table all positions read the hidden tokens too. A model that sees the token "
            "that it must predict copies it and learns nothing.",
        ),
        Misconception(
            "only earlier tokens are seen",
            _masked_causally,
            "You do not let a position read later tokens. That is the causal task; a "
            "masked model reads on both sides.",
        ),
        Misconception(
            "rows hidden instead of columns",
            _masked_rows,
            "You cleared the rows of the hidden positions, yet other positions still read them. "
            "Row t reads, column s is read: clear the columns.",
        ),
        Misconception(
            "each hidden from itself only",
            _masked_only_itself,
            "Your hidden tokens still see each other. They are all hidden at once, in the one "
            "text that the model reads.",
        ),
        Misconception(
            "every token predicted",
            _masked_all_predicted,
            "Visible tokens are not predicted. Only the hidden positions are.",
        ),
        Misconception(
            "numbers instead of truth values",
            _as_numbers(_masked_by_loops),
            "Your tables contain 0 and 1. A mask is a tensor of torch.bool: ~ and indexing work "
            "differently with numbers. Make it with dtype=torch.bool, or compare.",
        ),
        Misconception(
            "True where a token is hidden",
            lambda length, hidden: (
                ~_masked_by_loops(length, hidden)[0],
                _flags(length, hidden),
            ),
            "In `visible`, True marks what can be seen. You marked what is hidden.",
        ),
    ),
    alternatives=(
        Alternative("by loops", _masked_by_loops),
        Alternative("columns cleared", _masked_columns),
        Alternative("positions compared", _masked_by_comparison),
        Alternative("as in the hints", _masked_as_hinted),
    ),
    hints=(
        "Begin with `predicted`: a tensor of False, made True at the hidden positions.",
        "The same tokens are seen from everywhere, so all rows of `visible` are equal.",
        "That row is ~predicted; expand(length, length) repeats it.",
    ),
)


def _prefix_by_loops(length, prefix):
    positions = range(length)
    visible = [[s < t or (t < prefix and s < prefix) for s in positions] for t in positions]
    predicted = [t >= prefix for t in positions]
    return torch.tensor(visible, dtype=torch.bool), torch.tensor(predicted, dtype=torch.bool)


def _from(length, prefix):
    return torch.arange(length) >= prefix


def _square(length, prefix, diagonal=-1):
    visible = torch.ones(length, length, dtype=torch.bool).tril(diagonal)
    visible[:prefix, :prefix] = True
    return visible


def _prefix_forgets_the_rest(length, prefix):
    visible = _square(length, prefix)
    visible[prefix:, prefix:] = False
    return visible, _from(length, prefix)


def _prefix_by_broadcasting(length, prefix):
    place = torch.arange(length)
    row, column = place[:, None], place[None, :]
    return (column < row) | ((row < prefix) & (column < prefix)), place >= prefix


def _prefix_as_hinted(length, prefix):
    visible = torch.ones(length, length, dtype=torch.bool).tril(-1)
    visible[:prefix, :prefix] = True
    return visible, torch.arange(length) >= prefix


PREFIX = Exercise(
    id="language_models.prefix",
    title="The task of a prefix language model",
    minutes=7,
    difficulty=2,
    statement=(
        "The first `prefix` of `length` tokens are given; each of them may read the whole prefix, "
        "itself included. Each later token is predicted from all before it. Return (visible, "
        "predicted) as in the masked task. A prefix of 0 is the causal task."
    ),
    solution=ngrams.prefix_task,
    reference=_prefix_by_loops,
    generator=length_and_prefix,
    probes=(
        Probe(
            "no prefix",
            lambda: call(4, 0),
            "The causal task: each token is predicted from those strictly before it.",
        ),
        Probe(
            "a prefix of two",
            lambda: call(5, 2),
            "Within the prefix everything is visible; after it only earlier tokens are.",
        ),
        Probe("a prefix of four", lambda: call(6, 4), "The square of the prefix is all True."),
        Probe("all tokens in the prefix", lambda: call(3, 3), "Nothing is left to be predicted."),
    ),
    misconceptions=(
        Misconception(
            "the prefix reads in one direction",
            lambda length, prefix: (_square(length, 0), _from(length, prefix)),
            "Your prefix is read causally. It is given, not predicted, so its tokens may see "
            "later ones and themselves: open the whole square.",
        ),
        Misconception(
            "a prediction sees itself",
            lambda length, prefix: (_square(length, prefix, 0), _from(length, prefix)),
            "On your diagonal a token is read to predict that same token. Only s < t is allowed: "
            "tril(-1). The table of a Transformer has its diagonal because the output at t "
            "predicts token t + 1.",
        ),
        Misconception(
            "the prefix is predicted too",
            lambda length, prefix: (
                _square(length, prefix),
                torch.ones(length, dtype=torch.bool),
            ),
            "The tokens of the prefix read each other, so predicting them would be copying. Only "
            "positions from `prefix` on are predicted.",
        ),
        Misconception(
            "later tokens see the prefix only",
            _prefix_forgets_the_rest,
            "After the prefix, each token also reads what was predicted before it, as in the "
            "causal task.",
        ),
        Misconception(
            "the future is seen",
            lambda length, prefix: (_square(length, prefix).T, _from(length, prefix)),
            "Your table is transposed: a row reads the tokens after it. Row t reads, so earlier "
            "tokens are to the left, below the diagonal.",
        ),
        Misconception(
            "numbers instead of truth values",
            _as_numbers(_prefix_by_loops),
            "Your tables contain 0 and 1. A mask is a tensor of torch.bool: make it with "
            "dtype=torch.bool, or by a comparison.",
        ),
        Misconception(
            "one future token visible",
            lambda length, prefix: (_square(length, prefix, 1), _from(length, prefix)),
            "tril(1) opens the diagonal and the column to its right, so a prediction may read its "
            "own token and the one after it. Only s < t is allowed: tril(-1).",
        ),
        Misconception(
            "the first prediction left out",
            lambda length, prefix: (_square(length, prefix), torch.arange(length) > prefix),
            "Positions count from 0, so the first one after the prefix is position `prefix`, and "
            "it is predicted: >= prefix.",
        ),
        Misconception(
            "one token too many given",
            lambda length, prefix: _prefix_by_loops(length, prefix + 1),
            "You take one token more for the prefix. Positions count from 0, so the first `prefix` "
            "tokens are those below `prefix`: :prefix and >= prefix.",
        ),
        Misconception(
            "True where a token is hidden",
            lambda length, prefix: (
                ~_prefix_by_loops(length, prefix)[0],
                _from(length, prefix),
            ),
            "In `visible`, True marks what can be seen. You marked what is hidden.",
        ),
    ),
    alternatives=(
        Alternative("by loops", _prefix_by_loops),
        Alternative("by broadcasting", _prefix_by_broadcasting),
        Alternative("as in the hints", _prefix_as_hinted),
        Alternative(
            "columns of the prefix open to all",
            lambda length, prefix: (
                torch.ones(length, length, dtype=torch.bool).tril(-1)
                | (torch.arange(length) < prefix),
                _from(length, prefix),
            ),
        ),
    ),
    hints=(
        "Begin with the causal task: torch.ones(length, length, dtype=torch.bool).tril(-1).",
        "Then open the square of the prefix: visible[:prefix, :prefix] = True.",
        "predicted is torch.arange(length) >= prefix.",
    ),
)
