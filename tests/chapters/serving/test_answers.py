"""The answers that stand with the exercises, beside values worked out by hand."""

import pytest
import torch

from course_lib.chapters.serving import answers


def test_reading_through_a_table():
    keys = torch.zeros(3, 2, 1, 1)
    values = torch.arange(6.0).view(3, 2, 1, 1)
    read = answers.read_blocks(torch.ones(1, 1), keys, values, [2, 0], 3)
    assert read.item() == pytest.approx((4 + 5 + 0) / 3)


def test_reusable_tokens():
    assert answers.reusable_tokens([1, 2, 3, 4, 5], [[1, 2, 3, 4]], 2) == 4
    assert answers.reusable_tokens([1, 2, 3, 4], [[1, 2, 3, 4]], 2) == 2
    assert answers.reusable_tokens([3, 4, 5], [[1, 2, 3, 4]], 2) == 0


def test_token_shares():
    assert answers.token_shares([7, 1, 4, 1], 8) == [6, 1, 0, 1]
    assert answers.token_shares([], 8) == []


def test_allowed_tokens():
    moves = {(0, "a"): 1, (1, "b"): 0}
    assert answers.allowed_tokens(["a", "ab", "aa", "b", ""], 0, moves) == [1, 1, 0, 0, 1]


def test_draft():
    assert answers.draft([1, 2, 3, 1, 2], 2, 2) == [3, 1]
    assert answers.draft([1, 2, 3, 4, 2], 2, 2) == []


def test_decode_rate():
    assert answers.decode_rate(2, 90, 10, 1, 10, 1000) == pytest.approx(2 / 11)
    assert answers.decode_rate(2, 90, 10, 100, 1000, 10) == pytest.approx(2 / 20)


def test_writing_one_token():
    assert answers.write_one_token([[0, 1], [0, 1]], 1, 6, 8, 4) == [[0, 1], [0, 2]]
    assert answers.write_one_token([[3], []], 0, 4, 4, 4) == [[3, 0], []]
    assert answers.write_one_token([[0], [0]], 1, 1, 1, 2) == [[0], [0]]


def test_who_is_preempted():
    assert answers.preempted([3, 2, 1], [1, 1, 0], 0) == ["runs", "pauses", "preempted"]
    assert answers.preempted([1, 1, 2], [1, 1, 1], 0) == ["runs", "runs", "preempted"]
    assert answers.preempted([], [], 2) == []
