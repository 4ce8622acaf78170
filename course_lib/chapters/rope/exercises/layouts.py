"""The exercise on converting a projection from one layout of RoPE to the other."""

import torch

from course_lib import rope
from course_lib.chapters.rope.exercises.generators import a_projection
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _in_loops(weight, num_heads):
    width = len(weight) // num_heads
    out = weight.clone()
    for head in range(num_heads):
        for i in range(width // 2):
            out[head * width + i] = weight[head * width + 2 * i]
            out[head * width + width // 2 + i] = weight[head * width + 2 * i + 1]
    return out


def _back(weight, num_heads):
    halves = weight.reshape(num_heads, 2, -1, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _columns(weight, num_heads):
    return _in_loops(weight.T, num_heads).T.contiguous()


def _odd_first(weight, num_heads):
    width = len(weight) // num_heads
    heads = _in_loops(weight, num_heads).reshape(num_heads, 2, width // 2, *weight.shape[1:])
    return heads.flip(1).reshape(weight.shape)


def _by_index(weight, num_heads):
    width = len(weight) // num_heads
    order = torch.cat((torch.arange(0, width, 2), torch.arange(1, width, 2)))
    starts = torch.arange(num_heads)[:, None] * width
    return weight[(starts + order).flatten()]


def _for_weights_only(weight, num_heads):
    rows, columns = weight.shape
    planes = weight.reshape(num_heads, rows // num_heads // 2, 2, columns)
    return planes.transpose(1, 2).reshape(rows, columns)


def _as_the_hints_say(weight, num_heads):
    width = len(weight) // num_heads
    planes = weight.reshape(num_heads, width // 2, 2, *weight.shape[1:])
    return planes.transpose(1, 2).reshape(weight.shape)


def _head_by_head(weight, num_heads):
    heads = weight.chunk(num_heads)
    return torch.cat([part for head in heads for part in (head[0::2], head[1::2])])


CONVERT = Exercise(
    id="rope.convert",
    title="From one layout to the other",
    minutes=8,
    difficulty=3,
    statement=(
        "`weight` is a query or key projection (heads · D, C) of a model trained with the "
        "layout of neighbours. Return it with its rows reordered, so that rotating halves "
        "gives the same scores. A bias (heads · D) must work as well."
    ),
    solution=rope.neighbours_to_halves,
    reference=_in_loops,
    generator=a_projection,
    probes=(
        Probe(
            "one head, numbered rows",
            lambda: call(torch.arange(6.0), 1),
            "A bias 0, 1, 2, 3, 4, 5 becomes 0, 2, 4, 1, 3, 5: evens, then odds.",
        ),
        Probe(
            "two heads, numbered rows",
            lambda: call(torch.arange(12.0), 2),
            "Each head is reordered separately, and the order of the heads stays the same.",
        ),
        Probe(
            "a projection with three heads",
            lambda: call(uneven(18, 6), 3),
            "Rows are outputs, columns are inputs: whole rows are moved.",
        ),
        Probe(
            "wide heads",
            lambda: call(uneven(20, 4), 2),
            "Ten features per head: five planes.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the inverse",
            _back,
            "This converts halves to neighbours. With a head width of 4 both are the same; "
            "with 6 they are not. Row 2i must become row i.",
        ),
        Misconception(
            "all heads treated as one",
            lambda weight, num_heads: _in_loops(weight, 1),
            "You collected the even rows of all heads before the odd ones, so features move to "
            "other heads. Reorder within each head.",
        ),
        Misconception(
            "columns reordered",
            lambda weight, num_heads: (
                _in_loops(weight, num_heads) if weight.dim() == 1 else _columns(weight, 1)
            ),
            "A weight of nn.Linear is (outputs, inputs). RoPE rotates the outputs, which are "
            "the rows.",
        ),
        Misconception(
            "all columns reordered as one head",
            lambda weight, num_heads: torch.cat((weight[..., 0::2], weight[..., 1::2]), -1),
            "You reorder along the last axis. The outputs, which RoPE rotates, are the first axis "
            "of a weight: move whole rows, in each head separately.",
        ),
        Misconception(
            "a weight only, not a bias",
            _for_weights_only,
            "Your code expects two axes. A bias (heads · D) has one and must be reordered as "
            "well: keep what follows the first axis with weight.shape[1:].",
        ),
        Misconception(
            "heads left as an axis of their own",
            lambda weight, num_heads: torch.stack(_in_loops(weight, num_heads).chunk(num_heads)),
            "The rows are in the right order, but the result still has an axis for heads. Join "
            "the heads again: .reshape(weight.shape).",
        ),
        Misconception(
            "nothing moved",
            lambda weight, num_heads: weight.clone(),
            "Reshaping forth and back changes nothing. In between, swap the axes of length D/2 "
            "and 2: .transpose(1, 2).",
        ),
        Misconception(
            "odd rows first",
            _odd_first,
            "The first feature of each plane is the even one; it goes into the first half. If "
            "the two are swapped, every plane rotates in the opposite direction.",
        ),
    ),
    alternatives=(
        Alternative("by an index", _by_index),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("head by head", _head_by_head),
    ),
    hints=(
        "Row 2i of a head becomes row i, row 2i + 1 becomes row D/2 + i.",
        "weight.reshape(num_heads, D // 2, 2, *weight.shape[1:]) has one axis for planes and "
        "one for their two rows.",
        ".transpose(1, 2), then .reshape(weight.shape).",
    ),
)
