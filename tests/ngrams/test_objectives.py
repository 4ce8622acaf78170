import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.ngrams import causal_task, masked_task, prefix_task


def table(text):
    return torch.tensor([[cell == "#" for cell in row] for row in text.split()])


def test_three_tables_written_out_by_hand():
    causal, masked, prefix = causal_task(4), masked_task(4, torch.tensor([1])), prefix_task(4, 2)
    assert torch.equal(causal.visible, table(".... #... ##.. ###."))
    assert causal.predicted.tolist() == [True, True, True, True]
    assert torch.equal(masked.visible, table("#.## #.## #.## #.##"))
    assert masked.predicted.tolist() == [False, True, False, False]
    assert torch.equal(prefix.visible, table("##.. ##.. ##.. ###."))
    assert prefix.predicted.tolist() == [False, False, True, True]


@settings(deadline=None)
@given(st.integers(0, 7), st.data())
def test_no_predicted_token_sees_itself_and_every_given_token_is_seen(length, data):
    positions = st.integers(0, length - 1) if length else st.nothing()
    hidden = data.draw(st.lists(positions, max_size=length))
    prefix = data.draw(st.integers(0, length))
    for visible, predicted in (
        causal_task(length),
        masked_task(length, torch.tensor(hidden, dtype=torch.long)),
        prefix_task(length, prefix),
    ):
        assert not visible.diagonal()[predicted].any()
        assert visible.diagonal()[~predicted].all()


@settings(deadline=None)
@given(st.integers(1, 7), st.data())
def test_only_the_causal_order_scores_every_token_from_the_past_alone(length, data):
    prefix = data.draw(st.integers(0, length))
    later = torch.ones(length, length).triu().bool()
    assert not (causal_task(length).visible & later).any()
    visible, predicted = prefix_task(length, prefix)
    assert not (visible & later)[predicted].any()
    assert bool((visible & later).any()) == (prefix > 0)


def test_prefix_modelling_without_a_prefix_is_causal():
    for part, whole in zip(prefix_task(5, 0), causal_task(5), strict=True):
        assert torch.equal(part, whole)


@pytest.mark.parametrize("prefix", [-1, 6])
def test_a_prefix_is_part_of_the_text(prefix):
    with pytest.raises(ValueError, match=rf"\b0 to 5 tokens.* {prefix}\b"):
        prefix_task(5, prefix)


@pytest.mark.parametrize("hidden", [[-1], [0, 5]])
def test_hidden_positions_are_in_the_text(hidden):
    with pytest.raises(ValueError, match=r"\b0 and 4\b.*\[.*\]"):
        masked_task(5, torch.tensor(hidden))
