"""config.json in old and new words, next to transformers, and what is refused."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import transformers

from course_lib.checkpoint import config_from_json, config_to_json, load_config, save_model
from course_lib.model import build_model

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


OLD_LLAMA = {
    "model_type": "llama",
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, {"rope_type": "default", "rope_theta": 1e4}),
        ({"rope_theta": 5e5, "rope_scaling": None}, {"rope_type": "default", "rope_theta": 5e5}),
        (
            {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
            {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5},
        ),
        ({"rope_theta": 1e4, "rope_scaling": LLAMA3}, LLAMA3),
        ({"rope_parameters": LLAMA3}, LLAMA3),
    ],
)
def test_rope_in_old_and_new_words(words, expected):
    config = config_from_json(OLD_LLAMA | words)
    assert dict(config.rope_parameters) == expected
    assert (config.num_key_value_heads, config.head_dim) == (6, 8)
    theirs = transformers.LlamaConfig(**deepcopy(OLD_LLAMA | words))
    assert {k: v for k, v in theirs.rope_parameters.items() if k != "type"} == expected


def test_windows_and_experts_in_their_many_words():
    qwen2 = OLD_LLAMA | {"model_type": "qwen2", "sliding_window": 5, "max_window_layers": 1}
    assert config_from_json(qwen2).sliding_window is None
    config = config_from_json(qwen2 | {"use_sliding_window": True})
    assert [config.window_of(layer) for layer in range(3)] == [None, 5, 5]
    kinds = ["sliding_attention", "full_attention", "full_attention"]
    config = config_from_json(qwen2 | {"use_sliding_window": True, "layer_types": kinds})
    assert [config.window_of(layer) for layer in range(3)] == [5, None, None]
    assert config_from_json(OLD_LLAMA | {"sliding_window": 5}).sliding_window is None
    experts = {"num_experts_per_tok": 2, "moe_intermediate_size": 20, "model_type": "qwen3_moe"}
    for word in ("num_experts", "num_local_experts"):
        config = config_from_json(OLD_LLAMA | experts | {word: 6, "decoder_sparse_step": 2})
        assert config.num_experts == 6
        assert [config.is_sparse(layer) for layer in range(3)] == [False, True, False]
    config = config_from_json(OLD_LLAMA | experts | {"num_experts": 6, "mlp_only_layers": [1]})
    assert [config.is_sparse(layer) for layer in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"model_type": "bert"}, "model_type must be one of .*got 'bert'"),
        ({"hidden_size": None}, "hidden_size must be a whole number; got None"),
        ({"mlp_bias": True}, "mlp_bias must be False, or absent; got True"),
        ({"quantization_config": {"bits": 4}}, "quantization_config must be None"),
        ({"head_dim": 9}, "head_dim must be even"),
        ({"rms_norm_eps": -1e-5}, "norm_eps must not be negative"),
        ({"hidden_size": 4}, "head_dim must be at least 1; got 0"),
        ({"num_attention_heads": "6"}, "num_attention_heads must be a whole number; got '6'"),
        ({"rope_scaling": {"type": "longrope", "factor": 2}}, "need 'short_factor'"),
        ({"num_key_value_heads": 4}, "must be a multiple of num_key_value_heads; got 6 and 4"),
        ({"hidden_act": "swoosh"}, "hidden_act must be one of"),
        ({"rope_scaling": {"type": "spiral"}}, "rope_type must be one of .*got 'spiral'"),
        ({"rope_scaling": {"type": "linear"}}, "rope_parameters need 'factor'"),
        ({"model_type": "qwen3_moe"}, "num_experts must be a whole number; got None"),
    ],
)
def test_inconsistent_configs_name_the_file(words, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(OLD_LLAMA | words))
    with pytest.raises(ValueError, match=f"config.json does not describe .*{message}"):
        load_config(tmp_path)


def test_what_a_family_cannot_say_is_not_written(tmp_path):
    config = replace(config_from_json(OLD_LLAMA), qk_norm=True)
    with pytest.raises(ValueError, match=r"got qk_norm=True, for which the family 'llama' has no"):
        save_model(build_model(config), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="sliding_window=5"):
        config_to_json(replace(config, qk_norm=False, sliding_window=5))
