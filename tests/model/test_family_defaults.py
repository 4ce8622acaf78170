"""A config given only sizes means what transformers' config class of the family means."""

from dataclasses import fields

import pytest
import torch
import transformers

from course_lib.checkpoint import config_from_json
from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model
from course_lib.model.family_defaults import FAMILIES, FAMILY_DEFAULTS, default_head_dim

SIZES = {  # no two alike
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 96,
}
MIXTURE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20}
GPT2 = {"num_key_value_heads": 6}
THEIRS = {
    "qwen3": transformers.Qwen3Config,
    "qwen3_moe": transformers.Qwen3MoeConfig,
    "qwen2": transformers.Qwen2Config,
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "gpt2": transformers.GPT2Config,
}
IDS = torch.randint(101, (2, 17), generator=seeded(0))


def sizes_of(family):
    return SIZES | {"qwen3_moe": MIXTURE, "gpt2": GPT2}.get(family, {})


def their_config(family, **changes):
    inner = {"n_inner": 72} if family == "gpt2" else {}
    return THEIRS[family](**sizes_of(family), **inner, **changes)


def test_every_family_is_compared():
    assert set(FAMILIES) == set(THEIRS) == set(FAMILY_DEFAULTS)


@pytest.mark.parametrize("family", FAMILIES)
def test_fields_are_those_of_their_class(family):
    ours, theirs = ModelConfig(**sizes_of(family), model_type=family), their_config(family)
    gpt2 = family == "gpt2"
    eps = theirs.layer_norm_epsilon if gpt2 else theirs.rms_norm_eps
    act = theirs.activation_function if gpt2 else theirs.hidden_act
    assert (ours.norm_eps, ours.hidden_act) == (eps, act)
    assert ours.tie_word_embeddings == theirs.tie_word_embeddings
    assert dict(ours.rope_parameters) == (getattr(theirs, "rope_parameters", None) or {})
    assert ours.sliding_window == getattr(theirs, "sliding_window", None)
    assert ours.norm_topk_prob == getattr(theirs, "norm_topk_prob", False)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_what_their_config_json_says(family):
    """Their file, without the ids of special tokens, read by us is the config of sizes alone."""
    found = config_from_json(their_config(family).to_dict())
    expected = ModelConfig(**sizes_of(family), model_type=family)
    layers = range(3)
    assert [found.window_of(i) for i in layers] == [expected.window_of(i) for i in layers]
    assert [found.is_sparse(i) for i in layers] == [expected.is_sparse(i) for i in layers]
    compared = {each.name for each in fields(ModelConfig)} - {"sliding_layers", "sparse_layers"}
    for name in compared:
        assert getattr(found, name) == getattr(expected, name), name


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_their_model_of_these_sizes_has_our_weights_and_our_logits(family):
    """QK-norm and biases stand in no config: the names of the weights tell."""
    config = their_config(family, bos_token_id=None, eos_token_id=None, pad_token_id=None)
    theirs = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for number, weight in enumerate(theirs.parameters()):
        weight += 0.1 * torch.randn(weight.shape, generator=seeded(number))
    ours = build_model(ModelConfig(**sizes_of(family), model_type=family)).eval()
    tied = ours.config.tie_word_embeddings
    weights = dict(theirs.state_dict())
    assert len(list(ours.parameters())) == len(list(theirs.parameters()))
    ours.load_state_dict(weights, strict=True)
    assert tied == (theirs.get_output_embeddings().weight is theirs.get_input_embeddings().weight)
    expected = theirs.eval()(IDS).logits
    torch.testing.assert_close(ours(IDS).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_given_wins(family):
    given = {
        "norm_eps": 3e-3,
        "rope_parameters": {"rope_type": "default", "rope_theta": 7e5},
        "tie_word_embeddings": not FAMILY_DEFAULTS[family].tie_word_embeddings,
        "hidden_act": "relu",
        "qk_norm": not FAMILY_DEFAULTS[family].qk_norm,
        "qkv_bias": not FAMILY_DEFAULTS[family].qkv_bias,
        "output_bias": True,
        "sliding_window": 7,
        "norm_topk_prob": True,
    }
    assert set(given) == {each.name for each in fields(FAMILY_DEFAULTS[family])}
    config = ModelConfig(**sizes_of(family), model_type=family, **given)
    assert {name: getattr(config, name) for name in given} == given
    defaults = ModelConfig(**sizes_of(family), model_type=family)
    assert all(getattr(defaults, name) != value for name, value in given.items())


def test_none_can_be_given():
    assert ModelConfig(**SIZES, model_type="mistral", sliding_window=None).sliding_window is None


def test_configs_share_no_dictionary():
    one, other = ModelConfig(**SIZES), ModelConfig(**SIZES)
    one.rope_parameters["rope_theta"] = 5.0
    assert other.rope_parameters["rope_theta"] == 1e4
    assert ModelConfig(**SIZES).rope_parameters["rope_theta"] == 1e4


def test_widths_of_heads():
    for family in ("qwen3", "qwen2", "llama", "mistral", "gpt2"):
        sizes = {name: size for name, size in sizes_of(family).items() if name != "head_dim"}
        theirs = THEIRS[family](**sizes)
        expected = getattr(theirs, "head_dim", None) or 48 // 6
        assert default_head_dim(family, 48, 6) == expected, family


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "'qwen3'.*'gpt2'.*got 'mamba'"),
        ({"model_type": "qwen3_moe"}, "num_experts must be at least 1.*got 0.*or take qwen3"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**SIZES, **changes)
