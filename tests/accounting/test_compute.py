"""FLOPs against torch's own counter, forward, backward and with a cache."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib.accounting import (
    MODELS,
    active_parameters,
    attention_flops,
    flops_by_part,
    flops_per_token,
    forward_flops,
    matmul_parameters,
    model_flops_utilisation,
    total_parameters,
    training_flops,
)
from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model

SIZES = (311, 64, 160, 3, 6, 2, 12, 64)
SMALL = {
    "qwen3": ModelConfig(*SIZES),
    "untied": ModelConfig(*SIZES, tie_word_embeddings=False),
    "qwen2": ModelConfig(*SIZES, model_type="qwen2"),
    "mistral": ModelConfig(*SIZES, model_type="mistral", sliding_window=3),
    "gpt2": ModelConfig(311, 72, 160, 3, 6, 6, 12, 64, model_type="gpt2"),
    "qwen3_moe": ModelConfig(
        *SIZES,
        model_type="qwen3_moe",
        num_experts=7,
        num_experts_per_tok=2,
        moe_intermediate_size=39,  # a width that torch's counter sees, expert by expert
        sparse_layers=(False, True, True),
    ),
}
IDS = torch.randint(311, (3, 17), generator=seeded(0))


@pytest.mark.parametrize("name", SMALL)
def test_forward_and_backward(name):
    model = build_model(SMALL[name])
    with FlopCounterMode(display=False) as forward:
        loss = model(IDS).logits.sum()
    assert forward.get_total_flops() == forward_flops(SMALL[name], 17, batch=3)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    assert backward.get_total_flops() == 2 * forward_flops(SMALL[name], 17, batch=3)


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_prefill_and_decode(name):
    model = build_model(SMALL[name])
    cache = model.make_cache(3, 17)
    with FlopCounterMode(display=False) as prefill:
        model(IDS[:, :16], cache=cache, last_only=True)
    assert prefill.get_total_flops() == forward_flops(SMALL[name], 16, batch=3, last_only=True)
    with FlopCounterMode(display=False) as decode:
        model(IDS[:, 16:], cache=cache)
    assert decode.get_total_flops() == forward_flops(SMALL[name], 1, past=16, batch=3)


def test_the_rules_of_thumb_are_the_exact_count_in_short():
    config = MODELS["Qwen3-8B"]
    exact = forward_flops(config, 1, past=4095)
    assert flops_per_token(matmul_parameters(config), 36, 32 * 128, 4096) == exact
    rough = 2 * total_parameters(config)
    assert 0.8 < rough / exact < 1.0
    moe = MODELS["Qwen3-30B-A3B"]
    assert 2 * active_parameters(moe) > forward_flops(moe, 1) > active_parameters(moe)


def test_by_hand():
    assert flops_per_token(10, 2, 3, 5) == 20 + 4 * 2 * 5 * 3
    assert training_flops(8_000_000_000, 15_000_000_000_000) == 72 * 10**22
    assert attention_flops(SMALL["qwen3"], 2, past=3, batch=5) == 4 * 3 * 5 * 2 * 5 * 72
    assert model_flops_utilisation(1000.0, 6e9, 1.2e13) == pytest.approx(0.5)


def test_peak_must_be_positive():
    with pytest.raises(ValueError, match=r"peak_flops.*\b0\b"):
        model_flops_utilisation(1.0, 1.0, 0)


def counted_by_part(model, ids):
    """Return the FLOPs that torch counts in the modules of a model."""
    with FlopCounterMode(display=False, depth=6) as counter:
        model(ids)
    found = {name: sum(each.values()) for name, each in counter.get_flop_counts().items()}

    def inside(*ends):
        return sum(flops for name, flops in found.items() if name.endswith(ends))

    projections = inside("q_proj", "k_proj", "v_proj", "o_proj")
    return {
        "projections": projections,
        "scores": inside(".self_attn") - projections,
        "MLP": inside(".mlp"),
        "output head": inside("lm_head"),
    }


@pytest.mark.parametrize("name", ["qwen3", "untied", "qwen3_moe"])
def test_the_parts_of_a_token_are_those_that_torch_counts(name):
    model = build_model(SMALL[name])
    tokens = 17
    counted = counted_by_part(model, IDS[:1])
    assert {part: flops // tokens for part, flops in counted.items()} == flops_by_part(
        SMALL[name], tokens
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_add_up(name):
    for context in (1, 4096):
        whole = forward_flops(MODELS[name], 1, past=context - 1)
        assert sum(flops_by_part(MODELS[name], context).values()) == whole


def test_the_parts_by_hand():
    toy = ModelConfig(10, 4, 5, 1, 2, 1, 4, 8, tie_word_embeddings=True)
    expected = {"projections": 192, "scores": 4 * 3 * 8, "MLP": 120, "output head": 80}
    assert flops_by_part(toy, 3) == expected
