"""Rows of tokens in files, crops of them, and sequences that repeat."""

import numpy as np
import pytest
import torch

from course_lib.device import seeded
from course_lib.training.data import random_crops, read_tokens, repeating_batch, write_tokens


def test_documents_follow_each_other_after_separators(tmp_path):
    path = tmp_path / "row.tokens"
    assert write_tokens(path, [[5, 6], [], [7]], separator=9) == 6
    row = read_tokens(path)
    assert isinstance(row, np.memmap)
    assert row.tolist() == [9, 5, 6, 9, 9, 7]
    assert path.stat().st_size == 12
    assert [each.name for each in tmp_path.iterdir()] == ["row.tokens"]


@pytest.mark.parametrize("bad", [[70_000], [-1]])
def test_ids_that_do_not_fit_are_errors(tmp_path, bad):
    with pytest.raises(ValueError, match=r"0 to 65535.*smaller vocabulary"):
        write_tokens(tmp_path / "row.tokens", [bad], separator=0)
    assert not (tmp_path / "row.tokens").exists()


def test_crops_are_pieces_of_the_row_from_anywhere():
    row = np.arange(50, dtype=np.uint16)
    crops = random_crops(row, 400, 8, seeded(0))
    assert crops.shape == (400, 8)
    assert crops.dtype == torch.long
    assert torch.equal(crops, crops[:, :1] + torch.arange(8))
    assert set(crops[:, 0].tolist()) == set(range(43))  # the last start leaves just eight


def test_a_row_as_long_as_the_crop_has_one():
    crops = random_crops(np.arange(8, dtype=np.uint16), 3, 8, seeded(0))
    assert torch.equal(crops, torch.arange(8).expand(3, 8))
    with pytest.raises(ValueError, match="got 9 of 8"):
        random_crops(np.arange(8, dtype=np.uint16), 3, 9, seeded(0))


def test_random_ids_repeat_with_every_period_and_only_then_count():
    choices = torch.arange(100, 140)
    batch = repeating_batch(60, 30, (4, 9), choices, seeded(2))
    periods = set()
    for ids, counted in zip(*batch, strict=True):
        period = int((~counted).sum()) - 1
        periods.add(period)
        assert torch.equal(ids[period:], ids[:-period])
        assert len(set(ids[:period].tolist())) == period
        assert counted[period + 1 :].all()
        assert all(ids[at - 1] in ids[: at - 1] for at in counted.nonzero().flatten().tolist())
        assert ids[period - 1] not in ids[: period - 1]
    assert periods == set(range(4, 10))
    assert set(batch.ids.unique().tolist()) <= set(choices.tolist())


@pytest.mark.parametrize("periods", [(0, 3), (5, 4), (3, 11)])
def test_impossible_periods_are_errors(periods):
    with pytest.raises(ValueError, match="two lengths from 1 to 10"):
        repeating_batch(1, 20, periods, torch.arange(10), seeded(0))
