import numpy as np
import pytest
import torch

from course_lib.study.check.comparison import difference
from course_lib.study.check.spec import Rules


def sentence(expected, got, **rules):
    found = difference(expected, got, Rules(**rules))
    return found.sentence if found else None


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-5])),
        (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)),
        (torch.tensor([1.0], dtype=torch.float16), torch.tensor([1.003])),
        (torch.tensor(2.5), 2.5),
        (2.5, torch.tensor(2.5)),
        (torch.tensor([torch.nan, -torch.inf]), torch.tensor([torch.nan, -torch.inf])),
        (torch.tensor([1, 2]), np.array([1, 2])),
        (torch.tensor([1.0, 2.0]), np.array([2.0, 1.0])[::-1]),
        ([72, 0.5, True], [np.int64(72), np.float32(0.5), np.bool_(True)]),
        (2.5, np.array([2.5])),
        (torch.tensor([1 + 2j]), torch.tensor([1 - 2j]).conj()),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2.00001j])),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2j])),
        (torch.tensor([True]), torch.tensor([True])),
        (True, torch.tensor(True)),
        ([1, 2], (1, 2)),
        ({"a": [1.0]}, {"a": [1.0 + 1e-9]}),
        (b"ab", b"ab"),
        (None, None),
        (float("nan"), float("nan")),
        (315 * 10**21, 6.0 * 175e9 * 300e9),  # no float is nearer to this integer
    ],
)
def test_equal_up_to_rounding(expected, got):
    assert sentence(expected, got) is None


@pytest.mark.parametrize(
    ("expected", "got", "named"),
    [
        (3, 10**500, "expected 3, got an integer of hundreds of digits."),
        (3.0, 10**500, "expected 3, got an integer of hundreds of digits."),
        (8190735360, 8190735361, "expected 8190735360, got 8190735361."),
        (8190735360, 8190735360.5, "expected 8190735360, got"),
        (315 * 10**21, 3.1500001e23, "got 3.15"),
        (315 * 10**21, 315 * 10**21 + 1, "expected 315000000000000000000000, got 315"),
        (
            torch.tensor([8190735360]),
            torch.tensor([8190735361]),
            "expected 8190735360, got 8190735361 (difference 1).",
        ),
        (torch.tensor([100, 7]), torch.tensor([101, 7]).bfloat16(), "expected 100, got 101"),
        (torch.zeros(2), torch.zeros(2) * 1j, "expected real numbers, got complex ones."),
        (torch.zeros(2) * 1j, torch.zeros(2), "expected complex numbers, got real ones."),
        (torch.zeros(2), np.array(["a", None]), "got a NumPy array of shape (2,)."),
        ([1], np.array([1]), "expected a list, got a NumPy array of shape (1,)."),
        (1.0, torch.zeros(2).sum, "got a function. Are the parentheses of a call missing?"),
        ([1], (i for i in [1]), "got a generator. `yield` makes a generator"),
        ((1, 2), torch.zeros(2), "Return the parts side by side: `return a, b`."),
        (
            "x" * 70 + "a" + "y" * 70,
            "x" * 70 + "b" + "y" * 70,
            "the first difference is at position 70: expected …'xxxxxxxxxxayyyyyyyyyyyyyyyyyyy'…",
        ),
        ("x" * 70, "x" * 10**7, "at position 70: expected …'xxxxxxxxxx'…, got …'xxxxxxxxxxxxxxx"),
        (torch.zeros(2, 3), torch.zeros(3, 2), "expected shape (2, 3), got (3, 2)."),
        (
            torch.zeros(2),
            None,
            "expected a tensor of shape (2,), got nothing (None). Is a `return`",
        ),
        (torch.zeros(2), [0.0, 0.0], "expected a tensor of shape (2,), got a list."),
        (
            torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
            torch.tensor([[1.0, 2.0], [3.5, 4.1]]),
            "2 of 4 numbers differ, most of all at position (1, 0): expected 3, got 3.5 "
            "(difference 0.5).",
        ),
        (torch.zeros(2), torch.tensor([torch.nan, 0.0]), "1 of 2 numbers are nan (not a number)."),
        (torch.zeros(2), torch.tensor([torch.inf, 0.0]), "1 of 2 numbers are infinite."),
        (torch.tensor([torch.inf]), torch.tensor([1.0]), "expected inf, got 1"),
        (3, 4, "expected 3, got 4."),
        (3, 3.2, "expected 3, got 3.2."),
        (3, True, "expected an int, got a bool."),
        (3, "3", "expected an int, got a str."),
        ("ab", "ac", "expected 'ab', got 'ac'."),
        ([1, 2, 3], [1, 2], "expected 3 items, got 2."),
        ([1, [2, 3]], [1, [2, 4]], "expected 3 in item 1 in item 1, got 4."),
        ((torch.zeros(1), 2.0), (torch.zeros(1), 2.5), "expected 2 in item 1, got 2.5."),
        ({"a": 1}, {}, "the entry 'a' is missing."),
        ({"a": 1}, {"a": 1, "b": 2}, "the entry 'b' should not be there."),
        (True, False, "expected True, got False."),
    ],
)
def test_each_difference_has_its_sentence(expected, got, named):
    assert named in sentence(expected, got)


def test_dtype_counts_only_where_it_matters():
    pair = torch.ones(1, dtype=torch.float16), torch.ones(1)
    assert sentence(*pair) is None
    assert sentence(*pair, same_dtype=True) == "expected dtype torch.float16, got torch.float32."


def test_whole_numbers_of_any_width_are_equal_but_no_floats_where_the_dtype_matters():
    ids = torch.tensor([3])
    assert sentence(ids, ids.int(), same_dtype=True) is None
    assert sentence(ids, ids.float()) is None
    complaint = sentence(ids, ids.float(), same_dtype=True)
    assert complaint == "expected dtype torch.int64, got torch.float32."
    mask = torch.tensor([True])
    assert "torch.uint8" in sentence(mask, mask.to(torch.uint8), same_dtype=True)


def test_tolerance_can_be_widened():
    pair = torch.tensor([1.0]), torch.tensor([1.001])
    assert sentence(*pair) is not None
    assert sentence(*pair, tolerance=20.0) is None


def test_small_probabilities_are_compared_relatively_down_to_a_floor():
    assert sentence(torch.tensor([1e-3]), torch.tensor([1.01e-3])) is not None
    assert sentence(torch.tensor([1e-12]), torch.tensor([0.0])) is None


def test_half_precision_is_no_rounding_where_more_was_given():
    exact = torch.linspace(0.1, 1.0, 7)
    for rough in (exact.half(), exact.bfloat16()):
        assert "fewer digits" in difference(exact, rough).sentence
        assert difference(exact.double(), rough)
        assert not difference(rough, exact)
    assert not difference(exact.double() + 1e-9, exact), "float32 may be used for float64"


def test_an_amount_of_zero_is_as_good_as_no_entry():
    assert difference({"a": 0.5}, {"a": 0.5, "b": 0.0}) is None
    assert difference({"a": 0.5}, {"a": 0.5, "b": 0}) is None
    assert difference({"a": 0.5, "b": 0.0}, {"a": 0.5}) is None
    assert difference({"a": 0.5}, {"a": 0.5, "b": 0.1}) is not None
    assert difference({"a": 0.5, "b": 0.1}, {"a": 0.5}) is not None


def test_an_integer_of_zero_may_be_an_id_and_counts():
    assert difference({"a": 1}, {"a": 1, "b": 0}) is not None
    assert difference({"a": 1, "b": 0}, {"a": 1}) is not None
    assert difference({}, {"a": 0.0}) is not None
