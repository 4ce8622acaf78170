"""What turns read, beside a conversation counted turn by turn."""

import pytest

from course_lib.agents import tokens_read


def test_beside_counting():
    for base, per_turn, turns in ((10, 3, 0), (10, 3, 1), (7, 0, 5), (100, 20, 9)):
        read = [base + i * per_turn for i in range(turns)]
        assert tokens_read(base, per_turn, turns) == sum(read)
        assert tokens_read(base, per_turn, turns, cached=True) == (read[-1] if read else 0)


def test_nothing_is_counted_below_zero():
    with pytest.raises(ValueError, match="-1"):
        tokens_read(10, -1, 3)
