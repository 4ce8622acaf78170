"""Masks, against masks written by hand and against transformers' rules for one pair of tokens."""

import pytest
import torch
from transformers.masking_utils import causal_mask_function, sliding_window_causal_mask_function

from course_lib.attention import (
    additive_mask,
    causal_mask,
    combine_masks,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
    token_offsets,
)


def table(*rows: str) -> torch.Tensor:
    """A mask drawn in text: `x` may attend, `.` may not."""
    return torch.tensor([[sign == "x" for sign in row] for row in rows])


def by_pairs(rule, queries: int, keys: int) -> torch.Tensor:
    """A mask from a rule on (query position, key position), one pair at a time."""
    first = keys - queries
    index = torch.tensor
    return torch.tensor(
        [
            [bool(rule(0, 0, index(first + i), index(j))) for j in range(keys)]
            for i in range(queries)
        ]
    )


def test_offsets_by_hand():
    assert token_offsets(2, 4).tolist() == [[-2, -1, 0, 1], [-3, -2, -1, 0]]
    assert token_offsets(3).tolist() == [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]


def test_masks_by_hand():
    assert torch.equal(causal_mask(3), table("x..", "xx.", "xxx"))
    assert torch.equal(causal_mask(2, 5), table("xxxx.", "xxxxx"))
    assert torch.equal(sliding_window_mask(4, window=2), table("x...", "xx..", ".xx.", "..xx"))
    assert torch.equal(prefix_mask(4, prefix=2), table("xx..", "xx..", "xxx.", "xxxx"))
    assert torch.equal(prefix_mask(2, 4, prefix=1), table("xxx.", "xxxx"))
    right = padding_mask(torch.tensor([1, 3]), 4)
    assert right.shape == (2, 1, 1, 4)
    assert torch.equal(right[:, 0, 0], table("x...", "xxx."))
    left = padding_mask(torch.tensor([1, 3]), 4, side="left")
    assert torch.equal(left[:, 0, 0], table("...x", ".xxx"))


@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (3, 8), (1, 5)])
def test_causal_and_window_agree_with_transformers(queries, keys):
    assert torch.equal(causal_mask(queries, keys), by_pairs(causal_mask_function, queries, keys))
    for window in (1, 3, 20):
        rule = sliding_window_causal_mask_function(window)
        ours = sliding_window_mask(queries, keys, window=window)
        assert torch.equal(ours, by_pairs(rule, queries, keys))


def test_one_more_query_row_leaves_the_rows_below_as_they_are():
    whole = causal_mask(9)
    for queries in (1, 4, 8):
        assert torch.equal(causal_mask(queries, 9), whole[-queries:])
    # negative control: a mask that starts in the upper left corner does not have this property
    assert not torch.equal(torch.ones(4, 9).tril().bool(), whole[-4:])


def test_limits_of_window_and_prefix_are_other_masks():
    assert torch.equal(sliding_window_mask(6, window=6), causal_mask(6))
    assert not torch.equal(sliding_window_mask(6, window=5), causal_mask(6))
    assert torch.equal(sliding_window_mask(6, window=1), torch.eye(6, dtype=torch.bool))
    assert torch.equal(prefix_mask(6, prefix=0), causal_mask(6))
    assert prefix_mask(6, prefix=6).all()


def test_combination_allows_what_all_allow():
    padded = padding_mask(torch.tensor([4, 2]), 5, side="left")
    both = combine_masks(causal_mask(3, 5), None, padded)
    assert both is not None
    assert both.shape == (2, 1, 3, 5)
    assert torch.equal(both[0, 0], table(".xx..", ".xxx.", ".xxxx"))
    assert torch.equal(both[1, 0], table(".....", "...x.", "...xx"))
    assert combine_masks(None, None) is None
    only = causal_mask(3)
    assert combine_masks(None, only) is only


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_additive_form(dtype):
    added = additive_mask(causal_mask(2, 3), dtype)
    assert added.dtype == dtype
    inf = float("inf")
    assert added.tolist() == [[0, 0, -inf], [0, 0, 0]]


def test_masks_of_nothing_and_of_much():
    assert causal_mask(0, 4).shape == (0, 4)
    assert padding_mask(torch.tensor([0, 4]), 4).sum() == 4
    assert causal_mask(2000).sum() == 2000 * 2001 // 2


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"\b5 queries.*\b3 keys.*cached"):
        causal_mask(5, 3)
    with pytest.raises(ValueError, match=r"\b1\b.*\b0\b.*causal_mask"):
        sliding_window_mask(3, window=0)
    with pytest.raises(ValueError, match=r"\b0 .*\b4\b.*\b5\b"):
        prefix_mask(3, 4, prefix=5)
    with pytest.raises(ValueError, match=r"\b0 .*\b4\b.*-1\b"):
        prefix_mask(3, 4, prefix=-1)
    with pytest.raises(ValueError, match=r"keys=4\b.*\[2, 5\]"):
        padding_mask(torch.tensor([2, 5]), 4)
    with pytest.raises(ValueError, match=r"\[-1, 2\]"):
        padding_mask(torch.tensor([-1, 2]), 4)
    with pytest.raises(ValueError, match=r"'left'.*'right'.*'top'"):
        padding_mask(torch.tensor([2]), 4, side="top")
