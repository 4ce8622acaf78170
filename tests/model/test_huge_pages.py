"""Copies in huge pages: the same numbers, each in a place of its own."""

import mmap

import pytest
import torch

from course_lib.device import seeded
from course_lib.model.huge_pages import HUGE, HugePages, room_for

TENSORS = [
    torch.randn(3, 5, generator=seeded(0)),
    torch.randn(7, generator=seeded(1)).bfloat16(),
    torch.arange(11, dtype=torch.int8),
    torch.randn(300, 2000, generator=seeded(2)),
    torch.zeros(0, 4),
]


def refuse(*_):
    raise OSError("no huge pages in this kernel")


@pytest.fixture(params=["as it is", "no such advice", "refused"])
def pages(request, monkeypatch):
    if request.param == "no such advice":
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    if request.param == "refused":
        monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 10_000, raising=False)  # no advice of any kernel
    return HugePages(room_for(*TENSORS))


def test_copies_are_equal_and_apart(pages):
    copies = [pages.copy(each) for each in TENSORS]
    for copy, tensor in zip(copies, TENSORS, strict=True):
        assert copy.dtype == tensor.dtype
        assert torch.equal(copy, tensor)
        assert copy.is_contiguous()
        assert copy.data_ptr() % 64 == 0 or not copy.numel()
    copies[1].zero_()
    assert torch.equal(copies[0], TENSORS[0])
    assert torch.equal(copies[2], TENSORS[2])
    assert TENSORS[1].abs().sum() > 0


def test_the_memory_lives_as_long_as_a_copy(pages):
    copy = pages.copy(TENSORS[3])
    del pages
    other = HugePages(room_for(TENSORS[3])).copy(torch.full_like(TENSORS[3], torch.nan))
    assert torch.equal(copy, TENSORS[3])
    assert other.isnan().all()


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="huge pages are asked for on Linux")
def test_it_begins_with_a_whole_huge_page():
    assert HugePages(1).copy(torch.ones(4)).data_ptr() % HUGE == 0


def test_what_is_stored_differently_stays_what_it_is(pages):
    transposed, elsewhere = TENSORS[0].T, torch.empty(3, device="meta")
    assert pages.copy(transposed) is transposed
    assert pages.copy(elsewhere) is elsewhere


def test_too_many():
    pages = HugePages(HUGE)
    pages.copy(torch.zeros(HUGE // 4 - 16))
    with pytest.raises(ValueError, match=r"left; got a tensor of 4194304\. .*room_for"):
        pages.copy(torch.zeros(HUGE // 2))
