"""Exercises on looking inside: what each head adds, and who reads whom in each family."""

import torch

from course_lib import families
from course_lib.chapters.transformer.exercises import generators
from course_lib.model import inspection
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _contributions_by_loop(heads, output):
    width = heads.shape[3]
    parts = []
    for h in range(heads.shape[1]):
        alone = torch.zeros_like(heads.transpose(1, 2))  # (B, T, H, D)
        alone[:, :, h] = heads[:, h]
        parts.append(alone.flatten(2) @ output.T)
    return torch.stack(parts) if width else None


def _with_columns(heads, columns):
    """Return the contributions, given the columns of the projection (C, H, D)."""
    return torch.einsum("bhtd,chd->hbtc", heads, columns)


def _second_columns_from_the_second_on(heads, output):
    columns = output.unflatten(1, (heads.shape[1], heads.shape[3]))
    numbers = torch.arange(heads.shape[1]).clamp(max=1)
    return _with_columns(heads, columns[:, numbers])


CONTRIBUTIONS = Exercise(
    id="transformer.contributions",
    title="What each head adds",
    minutes=10,
    difficulty=3,
    statement=(
        "`heads` (B, H, T, D) are the outputs of a layer's heads, before they are merged and "
        "multiplied by the output weight (C, H·D). Return what each head alone adds to the stream, "
        "(H, B, T, C). "
        "Gradients must flow through it."
    ),
    solution=inspection.head_contributions,
    reference=_contributions_by_loop,
    generator=generators.head_outputs,
    probes=(
        Probe(
            "two heads of width 1",
            lambda: call(
                torch.tensor([[[[2.0]], [[3.0]]]]), torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
            ),
            "The first head is multiplied by the first column, the second by the second.",
        ),
        Probe(
            "one head",
            lambda: call(uneven(1, 1, 3, 2), uneven(5, 2)),
            "A single head adds everything that attention adds.",
        ),
        Probe(
            "all sizes different",
            lambda: call(uneven(2, 3, 4, 5), uneven(7, 15)),
            "Head h uses columns h·D to (h+1)·D of the output weight.",
            gradient=True,
        ),
        Probe(
            "a silent head",
            lambda: call(
                uneven(1, 2, 3, 2) * torch.tensor([0.0, 1.0])[:, None, None], uneven(3, 4)
            ),
            "A head whose output is 0 adds nothing.",
        ),
    ),
    misconceptions=(
        Misconception(
            "every H-th column",
            lambda heads, output: _with_columns(
                heads, output.unflatten(1, (heads.shape[3], heads.shape[1])).transpose(1, 2)
            ),
            "When heads are merged, each one's D numbers stay together. Head h owns D columns in a "
            "row, not every H-th.",
        ),
        Misconception(
            "the sum divided among the heads",
            lambda heads, output: (
                heads.transpose(1, 2).flatten(2) @ output.T / heads.shape[1]
            ).expand(heads.shape[1], -1, -1, -1),
            "This is the sum divided by the number of heads. Each head adds something different, "
            "through its own columns.",
        ),
        Misconception(
            "the first head's columns for all",
            lambda heads, output: _with_columns(
                heads,
                output[:, None, : heads.shape[3]].expand(-1, heads.shape[1], -1),
            ),
            "Every head has its own columns of the output weight: h·D to (h+1)·D.",
        ),
        Misconception(
            "the batch first",
            lambda heads, output: _contributions_by_loop(heads, output).transpose(0, 1),
            "The heads come first, (H, B, T, C), so that a sum over the first axis is what "
            "attention adds.",
        ),
        Misconception(
            "all heads but one",
            lambda heads, output: (
                heads.transpose(1, 2).flatten(2) @ output.T - _contributions_by_loop(heads, output)
            ),
            "You removed each head in turn and returned what is left. Return what that head adds: "
            "remove all the others.",
        ),
        Misconception(
            "heads and tokens not exchanged",
            lambda heads, output: _contributions_by_loop(
                heads.reshape(heads.shape[0], heads.shape[2], heads.shape[1], -1).transpose(1, 2),
                output,
            ),
            "You reshaped (B, H, T, D) to (B, T, H·D), which mixes up tokens and heads. Exchange "
            "the axes first, transpose(1, 2), or take one head at a time.",
        ),
        Misconception(
            "the sum over the heads",
            lambda heads, output: heads.transpose(1, 2).flatten(2) @ output.T,
            "This is what the layer computes. Stop before the heads are summed.",
        ),
        Misconception(
            "the weight read in the wrong order",
            lambda heads, output: torch.einsum(
                "bhtd,hdc->hbtc",
                heads,
                output.reshape(heads.shape[1], heads.shape[3], output.shape[0]),
            ),
            "You reshaped (C, H·D) to (H, D, C), which mixes up its rows. Split the last axis "
            "first: output.unflatten(1, (H, D)).",
        ),
        Misconception(
            "each divided by the number of heads",
            lambda heads, output: _contributions_by_loop(heads, output) / heads.shape[1],
            "Attention sums the outputs of its heads; it does not average them. Do not divide.",
        ),
        Misconception(
            "the second head's columns for all later heads",
            _second_columns_from_the_second_on,
            "From the second head on, your columns start at the same index. Head h starts at h·D.",
        ),
    ),
    alternatives=(
        Alternative(
            "head by head",
            lambda heads, output: torch.stack(
                [
                    head @ columns.T
                    for head, columns in zip(
                        heads.unbind(1), output.split(heads.shape[3], dim=1), strict=True
                    )
                ]
            ),
        ),
        Alternative("all other heads set to zero", _contributions_by_loop),
        Alternative(
            "all at once",
            lambda heads, output: _with_columns(
                heads, output.unflatten(1, (heads.shape[1], heads.shape[3]))
            ),
        ),
    ),
    hints=(
        "output.split(D, dim=1) has the columns of each head, (C, D).",
        "heads[:, h] is (B, T, D); times its transposed columns it is (B, T, C).",
        "torch.stack puts the heads first.",
    ),
)


def _reads(family, source, row, column):
    if family == "encoder-only":
        return True
    if family == "encoder-decoder" and column < source:
        return True
    return column <= row


def _mask_by_loop(family, source, target):
    size = range(source + target)
    return torch.tensor([[_reads(family, source, i, j) for j in size] for i in size])


def _mask_with(changed):
    """Return `_mask_by_loop` with the mask of some families replaced."""

    def mask(family, source, target):
        if family in changed:
            return changed[family](source, target)
        return _mask_by_loop(family, source, target)

    return mask


def _causal(source, target):
    return torch.ones(source + target, source + target).tril().bool()


def _open(source, target):
    return torch.ones(source + target, source + target).bool()


def _open_target(source, target):
    mask = _open(source, target)
    mask[:source, source:] = False
    return mask


def _by_columns(family, source, target):
    """Set the columns that every token may read."""
    mask = _causal(source, target)
    readable_by_all = {
        "encoder-only": source + target,
        "encoder-decoder": source,
        "decoder-only": 0,
    }
    mask[:, : readable_by_all[family]] = True
    return mask


def _without_cross_attention(source, target):
    mask = _causal(source, target)
    mask[:source, :source] = True
    mask[source:, :source] = False
    return mask


def _source_sees_target(source, target):
    mask = _causal(source, target)
    mask[:source] = True
    mask[:, :source] = True
    return mask


def _two_islands(source, target):
    mask = torch.zeros(source + target, source + target).bool()
    mask[:source, :source] = True
    mask[source:, source:] = True
    return mask


FAMILY_MASK = Exercise(
    id="transformer.family_mask",
    title="Who reads whom",
    minutes=8,
    difficulty=2,
    statement=(
        'For `family` "encoder-only", "encoder-decoder" or "decoder-only", return the mask among '
        "the tokens of a source followed by a target, (source + target, source + target): row i "
        "is True at the tokens that token i may read. "
        "The mask has dtype torch.bool."
    ),
    solution=families.family_mask,
    reference=_mask_by_loop,
    generator=generators.families,
    probes=(
        Probe(
            "encoder-only",
            lambda: call("encoder-only", 2, 3),
            "An encoder reads in both directions, source and target alike.",
        ),
        Probe(
            "decoder-only",
            lambda: call("decoder-only", 2, 3),
            "Every token reads itself and what came before.",
        ),
        Probe(
            "encoder-decoder",
            lambda: call("encoder-decoder", 3, 2),
            "The source reads itself in both directions. The target reads the whole source, and "
            "itself causally. The source never reads the target.",
        ),
        Probe(
            "a long target",
            lambda: call("encoder-decoder", 1, 4),
            "Within the target no token reads a later one, since that is what it must predict.",
        ),
    ),
    misconceptions=(
        Misconception(
            "an encoder-decoder that is causal everywhere",
            _mask_with({"encoder-decoder": _causal}),
            "The source is complete before it is encoded, so nothing in it must be hidden: its "
            "tokens read one another in both directions.",
        ),
        Misconception(
            "the target reads ahead",
            _mask_with({"encoder-decoder": _open_target}),
            "A target token that sees the next one has nothing to predict. The target is causal.",
        ),
        Misconception(
            "the source reads the target",
            _mask_with({"encoder-decoder": _source_sees_target}),
            "The source is encoded before the first target token is generated; and through the "
            "source every target token would leak into earlier ones.",
        ),
        Misconception(
            "the target does not read the source",
            _mask_with({"encoder-decoder": _without_cross_attention}),
            "Cross-attention is what connects the two: every target token reads all of the source.",
        ),
        Misconception(
            "a causal encoder",
            _mask_with({"encoder-only": _causal}),
            "An encoder hides tokens by replacing them, not by its mask: every token reads every "
            "token.",
        ),
        Misconception(
            "a decoder that reads everything",
            _mask_with({"decoder-only": _open}),
            "Then the next token could be copied instead of predicted.",
        ),
        Misconception(
            "no token reads itself",
            _mask_with({"decoder-only": lambda s, t: _causal(s, t).tril(-1)}),
            "A token reads itself too. Otherwise the first one would have nothing to read.",
        ),
        Misconception(
            "an encoder of the source alone",
            _mask_with({"encoder-only": lambda s, t: _open(s, s)}),
            "An encoder gets one text: source and target in one sequence.",
        ),
        Misconception(
            "the column reads the row",
            lambda family, source, target: _mask_by_loop(family, source, target).T,
            "Row i says what token i reads. Your mask is transposed, so every token reads what "
            "comes after it: torch.tril, not torch.triu.",
        ),
        Misconception(
            "minus infinity where reading is not allowed",
            lambda family, source, target: torch.zeros(
                source + target, source + target
            ).masked_fill(~_mask_by_loop(family, source, target), -torch.inf),
            "This is the additive mask, which is added to the scores. Return the boolean mask: "
            "True where a token may read.",
        ),
        Misconception(
            "1 and 0 instead of True and False",
            lambda family, source, target: _mask_by_loop(family, source, target).float(),
            "The pattern is right, but these are numbers, and `scores.masked_fill(~mask, …)` needs "
            "booleans. Add .bool(), or compare.",
        ),
        Misconception(
            "True where reading is not allowed",
            lambda family, source, target: ~_mask_by_loop(family, source, target),
            "In this course True means *may read*. torch.nn's layers use the opposite.",
        ),
        Misconception(
            "an encoder split into two parts",
            _mask_with({"encoder-only": _two_islands}),
            "An encoder gets source and target as one text: every token reads all of it.",
        ),
    ),
    alternatives=(
        Alternative("token by token", _mask_by_loop),
        Alternative("as the hints have it", _by_columns),
        Alternative(
            "by positions",
            lambda family, source, target: (
                torch.arange(source + target)
                < torch.arange(1, source + target + 1)[:, None].clamp(
                    min={"encoder-decoder": source, "decoder-only": 0}.get(family, source + target)
                )
            ),
        ),
    ),
    hints=(
        "torch.ones(n, n).tril().bool() is causal.",
        "An encoder-decoder starts from the causal mask: set the columns of the source to True.",
        "mask[:, :source] = True lets every token read the source, also in both directions.",
    ),
)
