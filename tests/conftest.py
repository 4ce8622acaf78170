"""What several folders of tests share: tiny models of every family, and the option --network."""

from typing import NamedTuple

import pytest

from tests import checked_calls

checked_calls.install()  # before anything of the course is imported


class Tiny(NamedTuple):
    """A small model twice: in the words of `ModelConfig` and in those of transformers."""

    ours: dict
    theirs: dict
    family: str = "Qwen3"


SIZES = {  # no two alike, so that a swapped axis cannot pass
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 96,
}
COMMON = {
    **SIZES,
    "rope_parameters": {"rope_type": "default", "rope_theta": 3e4},
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 6.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 6.0,
    "original_max_position_embeddings": 16,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4],
    "long_factor": [1.0, 1.5, 2.0, 4.0, 8.0],
    "original_max_position_embeddings": 8,
    "factor": 12.0,
}
MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20}
EXPERTS = {"model_type": "qwen3_moe", **MOE}
THEIR_EXPERTS = {"mlp_only_layers": [], **MOE}
QWEN2 = {"model_type": "qwen2", "head_dim": 8}
LLAMA = {"model_type": "llama"}
MISTRAL = {"model_type": "mistral"}
GPT2 = {
    "model_type": "gpt2",
    "num_key_value_heads": 6,
    "head_dim": 8,
    "tie_word_embeddings": True,
}
SLIDING = {
    "use_sliding_window": True,
    "sliding_window": 5,
    "layer_types": ["full_attention", "sliding_attention", "full_attention"],
}
TINY = {
    "qwen3": Tiny({}, {}),
    "qwen3 tied": Tiny(
        {"tie_word_embeddings": True, "norm_eps": 1e-4, "hidden_act": "gelu"},
        {"tie_word_embeddings": True, "rms_norm_eps": 1e-4, "hidden_act": "gelu"},
    ),
    "qwen3 yarn and biases": Tiny(
        {"rope_parameters": YARN, "qkv_bias": True, "output_bias": True},
        {"rope_parameters": YARN, "attention_bias": True},
    ),
    "qwen3 longrope": Tiny({"rope_parameters": LONGROPE}, {"rope_parameters": LONGROPE}),
    "qwen3_moe": Tiny(
        {"sparse_layers": (False, True, False), "norm_topk_prob": True, **EXPERTS},
        {"norm_topk_prob": True, "decoder_sparse_step": 2, **THEIR_EXPERTS},
        "Qwen3Moe",
    ),
    "qwen3_moe all sparse": Tiny(EXPERTS, {"norm_topk_prob": False, **THEIR_EXPERTS}, "Qwen3Moe"),
    "qwen2": Tiny(QWEN2, {"head_dim": 8}, "Qwen2"),
    "qwen2 sliding": Tiny(
        {"sliding_window": 5, "sliding_layers": (False, True, False), **QWEN2},
        {"head_dim": 8, **SLIDING},
        "Qwen2",
    ),
    "llama": Tiny(
        {"qkv_bias": True, "output_bias": True, **LLAMA}, {"attention_bias": True}, "Llama"
    ),
    "llama3": Tiny({"rope_parameters": LLAMA3, **LLAMA}, {"rope_parameters": LLAMA3}, "Llama"),
    "mistral": Tiny({"sliding_window": 5, **MISTRAL}, {"sliding_window": 5}, "Mistral"),
    "mistral without window": Tiny(
        {"sliding_window": None, **MISTRAL}, {"sliding_window": None}, "Mistral"
    ),
    "gpt2": Tiny(GPT2, {"n_inner": 72, "tie_word_embeddings": True}, "GPT2"),
}


@pytest.fixture(params=TINY)
def family(request):
    """Return the name of a tiny model: every test that asks for it runs once for each."""
    return request.param


@pytest.fixture
def tiny():
    """Return a function that makes the tiny model of a name as ours."""
    from course_lib.model import ModelConfig, build_model

    def make(name, **changes):
        return stirred(build_model(ModelConfig(**{**COMMON, **TINY[name].ours, **changes})))

    return make


@pytest.fixture
def tiny_reference():
    """Return a function that makes the tiny model of a name with transformers."""
    import transformers

    def make(name, **changes):
        config = getattr(transformers, f"{TINY[name].family}Config")(
            **{**COMMON, **TINY[name].theirs, **changes},
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
        return stirred(
            transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        )

    return make


def stirred(model):
    """Move every weight of a model, since ones and zeros would hide much."""
    import torch

    torch.manual_seed(0)
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model.eval()


def pytest_addoption(parser):
    parser.addoption(
        "--network", action="store_true", help="fetch real checkpoints from the hub and test them"
    )


def pytest_configure(config):
    from hypothesis import settings

    settings.register_profile("course", deadline=None)  # a busy machine is slow and does not fail
    settings.load_profile("course")
    config.addinivalue_line("markers", "network: fetches real checkpoints; runs with --network")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--network"):
        return
    skip = pytest.mark.skip(reason="fetches real checkpoints from the hub: run with --network")
    for item in items:
        if "network" in item.keywords:
            item.add_marker(skip)
