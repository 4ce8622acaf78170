"""Head scores, on maps whose heads are known because they were drawn by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.attention import (
    MultiHeadAttention,
    causal_mask,
    first_token_score,
    head_scores,
    induction_score,
    induction_targets,
    mean_head_outputs,
    previous_token_score,
    repeated_ids,
    silence_head,
)
from course_lib.device import seeded

T = 6
IDS = torch.tensor([4, 7, 9, 4, 7, 9])


def drawn_heads() -> torch.Tensor:
    """(2 layers, 2 heads, T, T): previous token, first token, induction on IDS, even."""
    previous, first, induction = (torch.zeros(T, T) for _ in range(3))
    previous[0, 0] = first[0, 0] = 1
    for t in range(1, T):
        previous[t, t - 1] = 1
        first[t, 0] = 1
    for t in range(T):
        induction[t, t - 2 if t >= 3 else t] = 1  # the period is 3: one behind three back
    even = causal_mask(T).float()
    return torch.stack((previous, first, induction, even / even.sum(-1, keepdim=True))).view(
        2, 2, T, T
    )


def test_each_score_finds_its_head():
    maps = drawn_heads()
    previous, first = previous_token_score(maps), first_token_score(maps)
    induction = induction_score(maps, IDS)
    assert previous.shape == first.shape == induction.shape == (2, 2)
    assert previous.flatten()[0] == 1
    assert first.flatten()[1] == 1
    assert induction.flatten()[2] == 1
    for score, own in ((previous, 0), (first, 1), (induction, 2)):
        others = score.flatten()[[i for i in range(4) if i != own]]
        assert (others < 0.5).all()


def test_by_hand():
    row = torch.tensor([[1.0, 0.0, 0.0], [0.3, 0.7, 0.0], [0.2, 0.6, 0.2]])
    assert previous_token_score(row).item() == pytest.approx((0.3 + 0.6) / 2)
    assert first_token_score(row).item() == pytest.approx((0.3 + 0.2) / 2)
    # "A B A": only the last token has been seen; behind its earlier place stands B
    assert induction_score(row, torch.tensor([5, 8, 5])).item() == pytest.approx(0.6)
    # "A A A": the second may read itself (behind the first A), the third both others
    score = induction_score(row, torch.tensor([5, 5, 5])).item()
    assert score == pytest.approx((0.7 + 0.8) / 2)


def test_targets_by_hand():
    targets = induction_targets(torch.tensor([1, 2, 3, 1, 2, 1]))
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[3, 1] = expected[4, 2] = expected[5, 1] = expected[5, 4] = True
    assert torch.equal(targets, expected)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_targets_against_plain_python(ids):
    expected = [
        [0 < j <= t and ids[j - 1] == ids[t] for j in range(len(ids))] for t in range(len(ids))
    ]
    assert induction_targets(torch.tensor(ids)).tolist() == expected


def test_targets_are_never_in_the_future():
    ids = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(0))
    assert not (induction_targets(ids) & ~causal_mask(40)).any()
    assert induction_targets(ids).any()


def test_scores_depend_on_the_text():
    maps = drawn_heads()[1, 0]
    other = torch.tensor([4, 7, 4, 7, 4, 7])
    assert induction_score(maps, IDS) == 1
    assert induction_score(maps, other) < 0.5


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_number_types(dtype):
    maps = drawn_heads().to(dtype)
    assert previous_token_score(maps).dtype == dtype
    assert induction_score(maps, IDS)[1, 0] == 1


def test_errors_say_what_is_wrong():
    for score in (previous_token_score, first_token_score):
        with pytest.raises(ValueError, match=r"two.*\(3, 1, 1\)"):
            score(torch.ones(3, 1, 1))
    with pytest.raises(ValueError, match=r"\b6\b.*twice"):
        induction_score(drawn_heads(), torch.arange(T))


def test_repeats_by_hand():
    ids = repeated_ids(50, 4, 10, seeded(3), batch=2)
    assert ids.shape == (2, 10)
    for row in ids.tolist():
        assert len(set(row[:4])) == 4
        assert row[4:8] == row[:4]
        assert row[8:] == row[:2]
    assert ids[0].tolist() != ids[1].tolist()


def test_a_period_holds_different_ids():
    with pytest.raises(ValueError, match=r"\b1 and 67\b.*\b68\b"):
        repeated_ids(67, 68, 100, seeded(0))


def test_scores_of_several_sequences_are_means_each_with_its_own_ids():
    other = torch.tensor([1, 1, 2, 3, 4, 5])  # repeats elsewhere than IDS
    weights = torch.rand(2, 3, 4, T, T, generator=seeded(0)) * causal_mask(T)
    found = head_scores(weights, torch.stack([IDS, other]))
    assert set(found) == {"previous token", "induction", "first token"}
    for name, score in (
        ("previous token", lambda maps, _: previous_token_score(maps)),
        ("induction", induction_score),
        ("first token", lambda maps, _: first_token_score(maps)),
    ):
        expected = (score(weights[0], IDS) + score(weights[1], other)) / 2
        assert found[name].shape == (3, 4)
        torch.testing.assert_close(found[name], expected)
    swapped = head_scores(weights, torch.stack([other, IDS]))
    assert not torch.allclose(swapped["induction"], found["induction"])


def test_an_ablated_head_is_one_whose_columns_are_zero():
    layer = MultiHeadAttention(12, 3, 1, head_dim=5)
    x, before = torch.randn(2, 4, 12, generator=seeded(1)), layer.o_proj.weight.clone()
    whole = layer(x)[0]
    silence_head(layer.o_proj, 1, 3)
    silenced = layer(x)[0]
    assert torch.equal(layer.o_proj.weight, before), "the weights stay"
    with torch.no_grad():
        layer.o_proj._forward_pre_hooks.clear()
        layer.o_proj.weight[:, 5:10] = 0
    torch.testing.assert_close(silenced, layer(x)[0])
    assert not torch.allclose(silenced, whole)
    for head in (-1, 3):
        with pytest.raises(ValueError, match=rf"0 \.\. 2.*got {head}"):
            silence_head(layer.o_proj, head, 3)


def test_a_baseline_takes_the_place_of_what_the_head_reads():
    layer = MultiHeadAttention(12, 3, 1, head_dim=5)
    x, baseline = torch.randn(2, 4, 12, generator=seeded(1)), torch.arange(5.0)
    with torch.no_grad():
        whole = layer(x)[0]
        silence_head(layer.o_proj, 1, 3, baseline)
        replaced = layer(x)[0]
        layer.o_proj._forward_pre_hooks.clear()
        silence_head(layer.o_proj, 1, 3)
        without = layer(x)[0]
        written = layer.o_proj.weight[:, 5:10] @ baseline
    torch.testing.assert_close(replaced, without + written)
    assert not torch.allclose(replaced, whole)


def test_mean_head_outputs_are_averages_over_texts_and_tokens_of_each_layer():
    layers = [MultiHeadAttention(12, 3, 1, head_dim=5) for _ in range(2)]
    x = torch.randn(2, 4, 12, generator=seeded(1))
    outputs = [layer.o_proj for layer in layers]
    with torch.no_grad():
        means = mean_head_outputs(outputs, 3, lambda: layers[1](x + layers[0](x)[0]))
        first = layers[0](x)[0]
        expected = [first.mean((0, 1)), layers[1](x + first)[0].mean((0, 1))]
    assert means.shape == (2, 3, 5)
    for layer, mean, written in zip(layers, means, expected, strict=True):
        torch.testing.assert_close(layer.o_proj.weight @ mean.flatten(), written)
    assert not any(output._forward_pre_hooks for output in outputs), "no hook is left"
