"""The small models that differ in how they know positions: their task, weights and ends."""

import math

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from course_lib.chapters.rope import position_toys
from course_lib.chapters.rope.position_toys import (
    METHODS,
    TRAINED_LENGTH,
    VOCABULARY,
    PositionModel,
    loss_at_distance,
    repeated_texts,
    train,
    trained,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_texts_repeat_with_their_period_and_hold_no_token_twice_within_it():
    ids = repeated_texts([5, 9], 30, generator())
    for row, period in zip(ids, (5, 9), strict=True):
        assert len(set(row[:period].tolist())) == period
        assert torch.equal(row[period:], row[:-period])
    assert repeated_texts([3], 20, generator(), pool=4).max() < 4
    with pytest.raises(ValueError, match=r"1 and 4.*got 5"):
        repeated_texts([5], 20, generator(), pool=4)
    with pytest.raises(ValueError, match=r"at least one number"):
        repeated_texts([], 20, generator())


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_that_of_torch_where_the_next_token_can_be_known(method):
    model = trained(method)
    ids = repeated_texts([16] * 8, 33, generator(5))
    logits = model(ids[:, :-1])
    losses = cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    assert loss_at_distance(model, 16) == pytest.approx(losses[:, 16:].mean().item(), abs=1e-5)
    assert abs(losses[:, 15:].mean() - losses[:, 16:].mean()) > 1e-3, "one place too early shows"


@pytest.mark.parametrize("method", METHODS)
def test_no_model_reads_ahead(method):
    ids = repeated_texts([20], 30, generator())
    changed = ids.clone()
    changed[0, 20:] = (changed[0, 20:] + 1) % VOCABULARY
    model = trained(method)
    first, second = model(ids), model(changed)
    assert torch.allclose(first[0, :20], second[0, :20], atol=1e-5)
    assert not torch.allclose(first[0, 20:], second[0, 20:], atol=1e-2)


def test_only_the_learned_table_has_an_end():
    ids = repeated_texts([20], TRAINED_LENGTH + 1, generator())
    for method in METHODS:
        if method == "learned":
            with pytest.raises(ValueError, match=rf"\b0 to {TRAINED_LENGTH - 1}\b"):
                trained(method)(ids)
        else:
            assert trained(method)(ids).isfinite().all()


def test_without_positions_the_order_of_what_came_before_means_nothing():
    ids = repeated_texts([20], 20, generator())
    mixed = ids.clone()
    mixed[0, :19] = ids[0, torch.randperm(19, generator=generator(1))]

    def first_layer(model, ids):
        places = torch.arange(20)
        x = model.embed(ids) + model._vectors(places)
        bias, rotate = model._bias(places), model._rotation(places, position_toys.PLAIN, "halves")
        mask = torch.ones(20, 20, dtype=torch.bool).tril()
        return model.attentions[0](model.norms[0](x), mask, bias=bias, rotate=rotate)[0][0, -1]

    for method in METHODS:
        same = torch.allclose(
            first_layer(trained(method), ids), first_layer(trained(method), mixed), atol=1e-4
        )
        assert same == (method == "none"), method


def test_a_guess_costs_log_v():
    model = PositionModel("none")
    torch.nn.init.zeros_(model.unembed.weight)
    assert loss_at_distance(model, 10) == pytest.approx(math.log(VOCABULARY))


def test_what_can_be_known_is_and_what_cannot_is_not():
    model = trained("rope")
    ids = repeated_texts([16] * 8, 33, generator(5))
    first_round = cross_entropy(model(ids)[:, :15].transpose(1, 2), ids[:, 1:16])
    assert loss_at_distance(model, 16) < 1 < first_round


def test_the_wrong_layout_is_right_at_the_first_token_only():
    ids = repeated_texts([12], 40, generator())
    right, mixed = (trained("rope")(ids, layout=layout) for layout in ("halves", "neighbours"))
    assert torch.allclose(right[0, 0], mixed[0, 0], atol=1e-4)
    assert not torch.allclose(right[0, 1], mixed[0, 1], atol=1e-2)


def test_training_repeats_itself_and_begins_at_a_guess():
    first, losses = train("rope", steps=3)
    again, _ = train("rope", steps=3)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert losses[0] == pytest.approx(math.log(VOCABULARY), abs=0.5)
    other, _ = train("rope", steps=3, seed=1)
    assert not torch.equal(first.embed.weight, other.embed.weight)


def test_the_stored_weights_are_those_that_training_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(position_toys, "train", lambda method: (PositionModel(method), []))
    path = tmp_path / "new" / "weights.safetensors"
    position_toys.store_weights(path)
    monkeypatch.setattr(position_toys, "WEIGHTS", path)
    stored = load_file(path)
    assert {name.split(".")[0] for name in stored} == set(METHODS)
    assert all(weight.dtype == torch.float16 for weight in stored.values())


def test_an_unknown_method_is_an_error():
    with pytest.raises(ValueError, match=r"method.*none, .*'magic'"):
        PositionModel("magic")


@pytest.mark.parametrize("method", [each for each in METHODS if each != "learned"])
def test_a_model_computes_where_its_texts_are(method):  # a learned table reads its positions
    ids = torch.zeros(2, TRAINED_LENGTH, dtype=torch.long, device="meta")
    assert PositionModel(method).to("meta")(ids).device.type == "meta"
