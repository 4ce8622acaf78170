"""Stops: ids, strings across tokens, and what a stream may show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.generation import NEVER, Stop

WORDS = ["a", "b", "ab", " ", "\n", "\n\n", "é"]


def decode(ids):
    return "".join(WORDS[i] for i in ids)


def test_ids_and_strings_by_hand():
    stop = Stop(ids=(4,), strings=("ba",), decode=decode)
    assert stop.ended([0, 4])
    assert not stop.ended([4, 0])  # it would have ended before
    assert stop.ended([1, 0])  # "b" + "a"
    assert stop.ended([2, 2])  # "ab" + "ab": from the middle of one token into the next
    assert not stop.ended([0, 1])
    assert not stop.ended([])
    assert not NEVER.ended([0, 1, 2, 3, 4])


def test_what_can_be_shown_by_hand():
    stop = Stop(strings=("\n\nQ:",), decode=decode)
    assert stop.shown("yes\n\nQ") == "yes"
    assert stop.shown("yes\n\nX") == "yes\n\nX"
    assert stop.shown("yes\n\nQ: more") == "yes"
    assert NEVER.shown("caf\ufffd") == "caf"
    assert Stop(strings=("xx", "abc"), decode=decode).place_in("zabcxx") == 1


@given(st.text("abc\n", max_size=12), st.sampled_from(["ab", "aab", "b\nb", "c"]))
def test_nothing_shown_is_retracted(text, string):
    stop = Stop(strings=(string,), decode=decode)
    final = text.split(string)[0]
    for end in range(len(text) + 1):
        shown = stop.shown(text[:end])
        assert final.startswith(shown)
        assert string not in shown
        # Only what could still become the stop string is held back.
        assert end > len(final) or len(final[:end]) - len(shown) < len(string)


def test_errors():
    with pytest.raises(ValueError, match=r"\('x',\).*tokenizer\.decode"):
        Stop(strings=("x",))
    with pytest.raises(ValueError, match=r"character.*\('',\)"):
        Stop(strings=("",), decode=decode)
