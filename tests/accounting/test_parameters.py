"""Parameter counts against published totals, our modules and transformers on the meta device."""

from dataclasses import replace

import pytest
import torch
import transformers

from course_lib.accounting import (
    MODELS,
    active_parameters,
    attention_parameters,
    inner_parts,
    matmul_parameters,
    mlp_parameters,
    norm_parameters,
    parameter_parts,
    parameters_without_embeddings,
    total_parameters,
)
from course_lib.attention import MultiHeadAttention
from course_lib.checkpoint import config_to_json
from course_lib.mlp import FeedForward, GatedFFN
from course_lib.model import build_model

TOTALS = {
    "Qwen3-0.6B": (596_049_920, 440_467_456),
    "Qwen3-1.7B": (1_720_574_976, 1_409_410_048),
    "Qwen3-4B": (4_022_468_096, 3_633_511_936),
    "Qwen3-8B": (8_190_735_360, 6_946_075_648),
    "Qwen3-14B": (14_768_307_200, 13_212_482_560),
    "Qwen3-32B": (32_762_123_264, 31_206_298_624),
    "Llama-2-7B": (6_738_415_616, None),
    "Llama-3-8B": (8_030_261_248, None),
    "Llama-3-70B": (70_553_706_496, None),
    "Llama-3.2-1B": (1_235_814_400, None),
    "Mistral-7B": (7_241_732_096, None),
    "GPT-2": (124_439_808, None),
    "GPT-2 XL": (1_557_611_200, None),
    "Qwen3-30B-A3B": (30_532_122_624, None),
    "Qwen3-235B-A22B": (235_093_634_560, None),
}


def numbers(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_table_has_a_row_for_each_published_total():
    assert list(MODELS) == list(TOTALS)


@pytest.mark.parametrize("name", TOTALS)
def test_totals(name):
    total, without = TOTALS[name]
    assert total_parameters(MODELS[name]) == total
    if without is not None:
        assert parameters_without_embeddings(MODELS[name]) == without


@pytest.mark.parametrize("name", TOTALS)
def test_transformers_builds_the_same_number(name):
    config = transformers.AutoConfig.for_model(**config_to_json(MODELS[name]))
    with torch.device("meta"):
        theirs = transformers.AutoModelForCausalLM.from_config(config)
    assert numbers(theirs) == TOTALS[name][0]


@pytest.mark.parametrize("name", ["Qwen3-0.6B", "Llama-3-70B", "GPT-2", "Qwen3-30B-A3B"])
def test_each_part_is_what_our_model_holds(name):
    with torch.device("meta"):
        model = build_model(MODELS[name])
    places = {
        "wte": "embedding", "embed_tokens": "embedding", "wpe": "positions",
        "self_attn": "attention", "attn": "attention", "mlp": "MLP",
        "experts": "experts", "gate": "experts", "lm_head": "output head",
    }  # fmt: skip
    held = {}
    for path, parameter in model.named_parameters():
        words = [word for word in path.split(".") if word in places]
        part = places[words[-1]] if words else "norms"
        held[part] = held.get(part, 0) + parameter.numel()
    assert held == {part.name: part.parameters for part in parameter_parts(MODELS[name])}


def test_active_parameters():
    assert active_parameters(MODELS["Qwen3-30B-A3B"]) == 3_353_032_704
    assert active_parameters(MODELS["Qwen3-235B-A22B"]) == 22_190_763_520
    dense = MODELS["Qwen3-8B"]
    assert active_parameters(dense) == total_parameters(dense)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_layers(bias, qk_norm):
    settings = {"qkv_bias": bias, "output_bias": bias, "qk_norm": qk_norm}
    layer = MultiHeadAttention(48, 6, 2, 10, **settings)
    assert attention_parameters(48, 6, 2, 10, **settings) == numbers(layer)
    assert mlp_parameters(48, 72) == numbers(GatedFFN(48, 72))
    assert mlp_parameters(48, 72, gated=False, bias=True) == numbers(FeedForward(48, 72))


def test_by_hand():
    assert attention_parameters(4, 2, 1, 3) == 4 * 6 + 2 * 4 * 3 + 6 * 4
    assert mlp_parameters(4, 5) == 60
    assert mlp_parameters(4, 5, gated=False) == 40
    assert mlp_parameters(4, 5, bias=True) == 60 + 5 + 5 + 4
    assert norm_parameters(4, 3) == 28
    assert norm_parameters(4, 3, bias=True) == 56


def test_what_a_token_is_multiplied_with():
    config = MODELS["Llama-3-8B"]
    outside = {"embedding", "norms"}
    matrices = sum(p.parameters for p in parameter_parts(config) if p.name not in outside)
    assert matmul_parameters(config) == matrices
    tied = MODELS["Qwen3-0.6B"]
    assert matmul_parameters(tied) == matmul_parameters(replace(tied, tie_word_embeddings=False))


def test_wrong_claims_about_qwen3_8b():
    config = MODELS["Qwen3-8B"]
    assert round(total_parameters(replace(config, intermediate_size=14336)) / 1e9, 2) == 9.10
    tied = total_parameters(replace(config, tie_word_embeddings=True))
    assert total_parameters(config) - tied == 622_329_856


def test_formulas_name_what_is_counted():
    formulas = {part.name: part.formula for part in parameter_parts(MODELS["Qwen3-0.6B"])}
    assert formulas["attention"] == (
        "C·H·D + 2·C·G·D + H·D·C + 2·D = 6,291,712 in each of 28 layers"
    )
    assert formulas["MLP"] == "3·C·F = 9,437,184 in each of 28 layers"
    assert "output head" not in formulas


@pytest.mark.parametrize("name", TOTALS)
def test_inner_parts_sum_to_their_part(name):
    inner = inner_parts(MODELS[name])
    outer = {part.name: part.parameters for part in parameter_parts(MODELS[name])}
    assert {"attention"} < set(inner) <= {"attention", "MLP", "experts"}
    for part, inside in inner.items():
        assert sum(each.parameters for each in inside) == outer[part]
        assert all(each.parameters > 0 for each in inside)


@pytest.mark.parametrize("name", ["Qwen3-0.6B", "Llama-2-7B", "Qwen3-30B-A3B"])
def test_inner_parts_are_what_our_model_holds(name):
    with torch.device("meta"):
        model = build_model(replace(MODELS[name], num_hidden_layers=3))
    words = {
        "q_proj": "queries", "k_proj": "keys", "v_proj": "values", "o_proj": "output",
        "q_norm": "QK-norm", "k_norm": "QK-norm", "up_proj": "up", "down_proj": "down",
        "gate_proj": "gate", "gate": "router",
    }  # fmt: skip
    held = {}
    for path, parameter in model.blocks.named_parameters():
        found = [words[word] for word in path.split(".") if word in words]
        part = found[-1] if found else path.split(".")[-1]
        held[part] = held.get(part, 0) + parameter.numel()
    inner = inner_parts(replace(MODELS[name], num_hidden_layers=3))
    counts = {each.name: each.parameters for inside in inner.values() for each in inside}
    for part in set(counts) & set(words.values()):
        assert counts[part] == held[part], part
    assert "biases" not in counts


def test_inner_parts_of_gpt2_have_biases_and_no_gate():
    inner = inner_parts(MODELS["GPT-2"])
    assert [each.name for each in inner["MLP"]] == ["up", "down", "biases"]
    assert inner["MLP"][-1].parameters == 12 * (3072 + 768)
    assert inner["attention"][-1].parameters == 12 * 4 * 768
    assert inner["attention"][0].formula == "C·H·D = 589,824 in each of 12 layers"
