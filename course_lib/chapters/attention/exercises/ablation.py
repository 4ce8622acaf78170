"""The exercise on ablation: replace one head by a constant, and compute what the layer writes."""

import random

import torch

from course_lib import attention
from course_lib.chapters.attention import answers
from course_lib.chapters.attention.exercises.weighted_mean import numbers
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _contributions(read, w_o):
    """Return what each head writes, (B, H, T, C): their sum is what the layer writes."""
    return torch.einsum("bhtd,chd->bhtc", read, w_o.unflatten(1, (read.shape[1], -1)))


def _without(read, w_o, head, kind="mean", baseline=lambda x: x.mean((0, 1))):
    """Add up what the heads write; `baseline` makes a constant of the ablated head's share."""
    written = _contributions(read, w_o)
    kept = [h for h in range(read.shape[1]) if h != head]
    constant = baseline(written[:, head]) if kind == "mean" else 0.0
    return written[:, kept].sum(1) + constant


def _always(kind_used):
    return lambda read, w_o, head, kind="mean": _without(read, w_o, head, kind_used)


def _one_number(read, w_o, head, kind="mean"):
    changed = read.clone()
    changed[:, head] = read[:, head].mean() if kind == "mean" else 0.0
    return _contributions(changed, w_o).sum(1)


def _mean_of_the_heads(read, w_o, head, kind="mean"):
    changed = read.clone()
    changed[:, head] = read.mean((0, 1, 2)) if kind == "mean" else 0.0
    return _contributions(changed, w_o).sum(1)


def _counted_from_one(read, w_o, head, kind="mean"):
    return _without(read, w_o, (head - 1) % read.shape[1], kind)


def _the_others_ablated(read, w_o, head, kind="mean"):
    written = _contributions(read, w_o)
    constant = written.mean((0, 2), keepdim=True) if kind == "mean" else torch.zeros(1, 1, 1, 1)
    constant = constant.expand_as(written)
    others = [h for h in range(read.shape[1]) if h != head]
    return written[:, head] + constant[:, others].sum(1)


def _only_this_head(read, w_o, head, kind="mean"):
    return _contributions(read, w_o)[:, head]


def _after_the_projection(read, w_o, head, kind="mean"):
    written = _contributions(read, w_o).sum(1)
    own = slice(head * read.shape[3], (head + 1) * read.shape[3])
    written[..., own] = written[..., own].mean((0, 1)) if kind == "mean" else 0.0
    return written


def _not_projected(read, w_o, head, kind="mean"):
    changed = read.clone()
    changed[:, head] = read[:, head].mean((0, 1)) if kind == "mean" else 0.0
    return changed.transpose(1, 2).flatten(2)


def _in_place(read, w_o, head, kind="mean"):
    read[:, head] = read[:, head].mean((0, 1)) if kind == "mean" else 0.0
    return _contributions(read, w_o).sum(1)


def _as_the_hints_say(read, w_o, head, kind="mean"):
    changed = read.clone()
    changed[:, head] = read[:, head].mean((0, 1)) if kind == "mean" else 0.0
    return attention.merge_heads(changed) @ w_o.T


def _by_columns(read, w_o, head, kind="mean"):
    """Set the head's columns of w_o to zero, and add the constant that they would have written."""
    width = read.shape[3]
    own = slice(head * width, (head + 1) * width)
    emptied = w_o.clone()
    emptied[:, own] = 0.0
    written = read.transpose(1, 2).flatten(2) @ emptied.T
    if kind == "zero":
        return written
    return written + read[:, head].flatten(0, 1).mean(0) @ w_o[:, own].T


def _by_where(read, w_o, head, kind="mean"):
    chosen = torch.arange(read.shape[1], device=read.device)[:, None, None] == head
    means = read.mean((0, 2), keepdim=True) if kind == "mean" else torch.zeros_like(read)
    return torch.where(chosen, means, read).transpose(1, 2).flatten(2) @ w_o.T


def _situation(batch, heads, tokens, width, model_width, head, **kind):
    read = numbers(batch, heads, tokens, width) + 1
    return call(read, numbers(model_width, heads * width, shift=1), head, **kind)


def heads_to_ablate(rng: random.Random) -> Call:
    """What some heads have read, an output projection, and the head to ablate."""
    batch, heads, tokens, width = (rng.randint(1, 3) for _ in range(4))
    dtype = rng.choice((torch.float32, torch.float32, torch.float64))
    read = random_tensor(rng, batch, heads, tokens, width, dtype=dtype)
    w_o = random_tensor(rng, rng.randint(1, 5), heads * width, dtype=dtype)
    head = rng.randrange(heads)
    if rng.random() < 0.4:
        return call(read, w_o, head)
    return call(read, w_o, head, kind=rng.choice(("mean", "zero")))


ABLATION = Exercise(
    id="attention.ablated_output",
    title="Ablate a head",
    minutes=12,
    difficulty=2,
    statement=(
        "`read` (B, H, T, D) is what the heads of a layer read: their outputs before the output "
        "projection `w_o` (C, H·D), which is applied as x @ w_o.T. Return what the layer writes, "
        "(B, T, C), when head `head` (counted from 0) is replaced by a constant. For kind='mean' "
        "the constant is that head's output averaged over all texts and all tokens, a vector of D "
        "numbers; for kind='zero' it is zero. The other heads, and `read` itself, stay unchanged. "
        "Keep the dtype."
    ),
    solution=answers.ablated_output,
    reference=_without,
    generator=heads_to_ablate,
    same_dtype=True,
    probes=(
        Probe(
            "one token, zero",
            lambda: _situation(1, 2, 1, 3, 4, head=1, kind="zero"),
            "Only head 0 writes: its three numbers meet the first three columns of w_o.",
        ),
        Probe(
            "one text, the mean",
            lambda: _situation(1, 2, 4, 2, 5, head=0, kind="mean"),
            "At every token, head 0 is replaced by its mean over the four tokens.",
        ),
        Probe(
            "two texts, the mean",
            lambda: _situation(2, 3, 4, 2, 5, head=2),
            "One mean for both texts: a mean of each text would still tell the texts apart.",
        ),
        Probe(
            "three texts, zero",
            lambda: _situation(3, 4, 2, 3, 5, head=1, kind="zero"),
            "The other three heads write as before.",
        ),
    ),
    misconceptions=(
        Misconception(
            "always zero",
            _always("zero"),
            "You replace the head by zeros whatever `kind` is. For 'mean' the constant is the mean "
            "of what this head reads.",
        ),
        Misconception(
            "always the mean",
            _always("mean"),
            "You replace the head by its mean whatever `kind` is. For 'zero' it writes nothing.",
        ),
        Misconception(
            "a mean for each text",
            lambda *given, **kind: _without(
                *given, **kind, baseline=lambda x: x.mean(1, keepdim=True)
            ),
            "You average over the tokens of each text. Such a mean still says which text it is. "
            "Average over texts and tokens, axes 0 and 1 of read[:, head].",
        ),
        Misconception(
            "a mean for each position",
            lambda *given, **kind: _without(
                *given, **kind, baseline=lambda x: x.mean(0, keepdim=True)
            ),
            "You average over the texts, so each position keeps its own mean. That is a different "
            "experiment: here the constant is the same at every position.",
        ),
        Misconception(
            "one number for all features",
            _one_number,
            "You average over the features too. The mean is a vector: one number for each of the D "
            "features of this head.",
        ),
        Misconception(
            "the mean of all heads",
            _mean_of_the_heads,
            "You average over the heads too. The baseline of a head is its own mean.",
        ),
        Misconception(
            "heads counted from 1",
            _counted_from_one,
            "You ablated the head before the one that was asked for. Heads are counted from 0.",
        ),
        Misconception(
            "all other heads ablated",
            _the_others_ablated,
            "You keep head `head` and replace all others. It is the other way round.",
        ),
        Misconception(
            "only what this head writes",
            _only_this_head,
            "This is what the head itself writes. Return what the layer writes without it.",
        ),
        Misconception(
            "changed after the projection",
            _after_the_projection,
            "You changed features of the layer's output. `w_o` has mixed the heads there, so no "
            "feature belongs to one head. Replace the head before the projection.",
        ),
        Misconception(
            "not projected",
            _not_projected,
            "These are the heads' outputs side by side. Multiply them with w_o.T.",
        ),
        Misconception(
            "changed in place",
            _in_place,
            "The result is right, but `read` has changed as well, and the next head would be "
            "ablated from it. Work on read.clone().",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("by columns of w_o", _by_columns),
        Alternative("by torch.where", _by_where),
    ),
    hints=(
        "Three moves: copy `read`, overwrite one head in the copy, merge the heads and project.",
        "The baseline is read[:, head].mean((0, 1)), of shape (D,). It broadcasts in "
        "changed[:, head] = baseline.",
        "attention.merge_heads(changed) @ w_o.T is what the layer writes.",
    ),
)
