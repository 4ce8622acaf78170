"""The small models of bytes learn, are of equal size, and their stored results can be had again."""

import math

import pytest
import torch

from course_lib.study import byte_models
from course_lib.study.byte_models import ROUTERS, SEEDS, STEPS, VARIANTS

TEXT = "the cat sat on the mat and the rat sat on the hat. " * 40
TEXT_DATA = byte_models.examples(TEXT)


def test_examples_are_every_stretch_of_eight_bytes_and_the_next_one():
    data = byte_models.examples("abcdefghijk")
    assert [bytes(row) for row in data.contexts.tolist()] == [b"abcdefgh", b"bcdefghi", b"cdefghij"]
    assert bytes(data.following.tolist()) == b"ijk"


def test_variants_are_of_equal_size():
    sizes = [sum(p.numel() for p in byte_models.untrained(n).parameters()) for n in VARIANTS]
    assert max(sizes) - min(sizes) < 0.005 * min(sizes)


def test_two_experts_work_as_much_as_one_gated_layer():
    together = byte_models.CHOICES * byte_models.EXPERT_HIDDEN
    assert abs(together - byte_models.GATED_HIDDEN) <= 2


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"one of ReLU, .*random; got 'Swish'\. Choose one"):
        byte_models.untrained("Swish")


@pytest.mark.parametrize("name", [*VARIANTS, *ROUTERS])
def test_a_model_learns_what_it_is_shown(name):
    before = byte_models.loss_on(byte_models.untrained(name), TEXT_DATA)
    after = byte_models.loss_on(byte_models.trained(name, TEXT_DATA, 60), TEXT_DATA)
    assert before > 0.8 * math.log(256)
    assert after < 0.75


def test_one_seed_gives_one_model_and_leaves_the_global_draws_alone():
    state = torch.get_rng_state()
    one, same, other = (byte_models.trained("GELU", TEXT_DATA, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    losses = [byte_models.loss_on(model, TEXT_DATA) for model in (one, same, other)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", ["ReLU", "SwiGLU"])
def test_pre_activations_are_what_the_activation_is_given(name):
    model = byte_models.untrained(name)
    found, seen = byte_models.pre_activations(model, TEXT_DATA), []
    for layer in model.layers:
        activation = layer.activation
        layer.activation = lambda z, act=activation: seen.append(z) or act(z)
    model(TEXT_DATA.contexts)
    assert len(found) == len(seen) == 2
    for ours, theirs in zip(found, seen, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_unit_with_negative_weights_only_counts_as_dead():
    model = byte_models.untrained("ReLU")
    with torch.no_grad():
        model.layers[1].up_proj.weight[:64].zero_()
    assert byte_models.dead_fractions(model, TEXT_DATA)[1] >= 64 / 256
    assert byte_models.dead_fractions(model, TEXT_DATA)[0] < 64 / 256


def test_lots_are_even_and_a_stuck_router_is_not():
    data = byte_models.examples(TEXT * 3)
    lots = byte_models.loads(byte_models.untrained("random"), data)
    assert lots.shape == (2, 8)
    assert (lots - 1).abs().max() < 0.15
    stuck = byte_models.untrained("left alone")
    with torch.no_grad():
        stuck.layers[1].gate.weight.zero_()
    assert byte_models.loads(stuck, data)[1].max() == 4  # 2 of 8 get everything
    torch.testing.assert_close(lots.mean(1), torch.ones(2))


def test_balance_is_learned_only_where_it_is_asked_for():
    data, held_out = byte_models.lessons()
    busiest = {
        name: byte_models.loads(byte_models.trained(name, data, 100), held_out)[1].max()
        for name in ("left alone", "balanced")
    }
    assert busiest["balanced"] < 1.7 < busiest["left alone"]


def test_the_stored_results_are_complete_and_say_what_the_notebook_says():
    found = byte_models.stored()
    losses = found["losses"]
    assert [int(steps) for steps in losses] == list(STEPS)
    for by_name in losses.values():
        assert set(by_name) >= set(VARIANTS)
        assert all(len(each) == len(SEEDS) for each in by_name.values())
    last = losses[str(STEPS[-1])]
    for name in ("GELU", "ReGLU", "GEGLU", "SwiGLU"):
        assert all(v < r for v, r in zip(last[name], last["ReLU"], strict=True)), name
    middle = losses[str(STEPS[1])]
    assert min(middle["random"]) > max(middle["balanced"]) + 0.2
    loads = found["loads in the last layer"]
    assert min(max(each) for each in loads["left alone"]) > 1.5
    assert max(max(each) for each in loads["balanced"]) < 1.3
    assert max(max(each) for each in loads["random"]) < 1.1


def test_a_stored_result_can_be_had_again():
    stored = byte_models.stored()["losses"][str(STEPS[0])]["SwiGLU"][1]
    again = byte_models.losses(("SwiGLU",), STEPS[0], (1,))["SwiGLU"][0]
    assert again == pytest.approx(stored, abs=0.1)  # another Python has slightly other text
