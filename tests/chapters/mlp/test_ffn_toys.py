"""The small models of bytes learn, are of equal size, and their stored results can be had again."""

import math

import pytest
import torch

from course_lib.chapters.mlp import ffn_toys
from course_lib.chapters.mlp.ffn_toys import ROUTERS, SEEDS, STEPS, VARIANTS

TEXT = "the cat sat on the mat and the rat sat on the hat. " * 40
TEXT_DATA = ffn_toys.examples(TEXT)


def test_examples_are_every_stretch_of_eight_bytes_and_the_next_one():
    data = ffn_toys.examples("abcdefghijk")
    assert [bytes(row) for row in data.contexts.tolist()] == [b"abcdefgh", b"bcdefghi", b"cdefghij"]
    assert bytes(data.following.tolist()) == b"ijk"


def test_variants_are_of_equal_size():
    sizes = [sum(p.numel() for p in ffn_toys.untrained(n).parameters()) for n in VARIANTS]
    assert max(sizes) - min(sizes) < 0.005 * min(sizes)


def test_two_experts_work_as_much_as_one_gated_layer():
    together = ffn_toys.CHOICES * ffn_toys.EXPERT_HIDDEN
    assert abs(together - ffn_toys.GATED_HIDDEN) <= 2


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"ReLU, .*random.*'Swish'"):
        ffn_toys.untrained("Swish")


@pytest.mark.parametrize("name", [*VARIANTS, *ROUTERS])
def test_a_model_learns_what_it_is_shown(name):
    before = ffn_toys.loss_on(ffn_toys.untrained(name), TEXT_DATA)
    after = ffn_toys.loss_on(ffn_toys.train(name, TEXT_DATA, 60), TEXT_DATA)
    assert before > 0.8 * math.log(256)
    assert after < 0.75


@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_computes_where_its_examples_are(name):
    model, data = ffn_toys.untrained(name).to("meta"), TEXT_DATA.to("meta")
    made = (*data, model(data.contexts), *ffn_toys.pre_activations(model, data))
    assert all(each.device.type == "meta" for each in made)


def test_one_seed_gives_one_model_and_leaves_the_global_draws_alone():
    state = torch.get_rng_state()
    one, same, other = (ffn_toys.train("GELU", TEXT_DATA, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    losses = [ffn_toys.loss_on(model, TEXT_DATA) for model in (one, same, other)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", ["ReLU", "SwiGLU"])
def test_pre_activations_are_what_the_activation_is_given(name):
    model = ffn_toys.untrained(name)
    found, seen = ffn_toys.pre_activations(model, TEXT_DATA), []
    for layer in model.layers:
        activation = layer.activation
        layer.activation = lambda z, act=activation: seen.append(z) or act(z)
    model(TEXT_DATA.contexts)
    assert len(found) == len(seen) == 2
    for ours, theirs in zip(found, seen, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_unit_with_negative_weights_only_counts_as_dead():
    model = ffn_toys.untrained("ReLU")
    with torch.no_grad():
        model.layers[1].up_proj.weight[:64].zero_()
    assert ffn_toys.dead_fractions(model, TEXT_DATA)[1] >= 64 / 256
    assert ffn_toys.dead_fractions(model, TEXT_DATA)[0] < 64 / 256


def test_lots_are_even_and_a_stuck_router_is_not():
    data = ffn_toys.examples(TEXT * 3)
    lots = ffn_toys.loads(ffn_toys.untrained("random"), data)
    assert lots.shape == (2, 8)
    assert (lots - 1).abs().max() < 0.15
    stuck = ffn_toys.untrained("left alone")
    with torch.no_grad():
        stuck.layers[1].gate.weight.zero_()
    assert ffn_toys.loads(stuck, data)[1].max() == 4  # 2 of 8 get everything
    torch.testing.assert_close(lots.mean(1), torch.ones(2))


def test_balance_is_learned_only_where_it_is_asked_for():
    data, held_out = ffn_toys.lessons()
    busiest = {
        name: ffn_toys.loads(ffn_toys.train(name, data, 100), held_out)[1].max()
        for name in ("left alone", "balanced")
    }
    assert busiest["balanced"] < 1.7 < busiest["left alone"]


def test_the_stored_results_are_complete_and_say_what_the_notebook_says():
    found = ffn_toys.longer_runs()
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
    runs = ffn_toys.longer_runs()["losses"][str(STEPS[0])]
    stored = {name: found[1] for name, found in runs.items()}
    again = ffn_toys.losses(("SwiGLU",), STEPS[0], (1,))["SwiGLU"][0]
    close = 0.04  # another Python has slightly other text
    assert again == pytest.approx(stored["SwiGLU"], abs=close)
    for other in ("ReLU", "GELU", "ReGLU", "left alone", "balanced", "random"):
        assert abs(again - stored[other]) > close, other
