"""Every family next to transformers, on tiny random models with all dimensions different."""

import pytest
import torch
import transformers

from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model

SIZES = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 64,
}
PLAIN = {"rope_type": "default", "rope_theta": 1e4}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
MOE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20}


def theirs(name, **changes):
    """Return a model of transformers with the common sizes."""
    config = getattr(transformers, f"{name}Config")(
        **{**SIZES, "rope_parameters": PLAIN, "tie_word_embeddings": False, **changes},
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        attn_implementation="eager",
    )
    return getattr(transformers, f"{name}ForCausalLM")(config)


def ours(**changes):
    settings = {**SIZES, "rope_parameters": PLAIN, "tie_word_embeddings": False, **changes}
    return build_model(ModelConfig(**settings))


CASES = {
    "qwen3": (lambda: theirs("Qwen3"), lambda: ours()),
    "qwen3 tied": (
        lambda: theirs("Qwen3", tie_word_embeddings=True),
        lambda: ours(tie_word_embeddings=True),
    ),
    "qwen3 yarn": (
        lambda: theirs("Qwen3", rope_parameters=YARN),
        lambda: ours(rope_parameters=YARN),
    ),
    "qwen3_moe": (
        lambda: theirs(
            "Qwen3Moe", norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[], **MOE
        ),
        lambda: ours(model_type="qwen3_moe", sparse_layers=(False, True, False), **MOE),
    ),
    "qwen2": (
        lambda: theirs("Qwen2", head_dim=8),
        lambda: ours(model_type="qwen2", head_dim=8, qk_norm=False, qkv_bias=True),
    ),
    "qwen2 sliding": (
        lambda: theirs(
            "Qwen2",
            head_dim=8,
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
            layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        ),
        lambda: ours(
            model_type="qwen2",
            head_dim=8,
            qk_norm=False,
            qkv_bias=True,
            sliding_window=5,
            sliding_layers=(False, True, True),
        ),
    ),
    "llama": (
        lambda: theirs("Llama", attention_bias=True),
        lambda: ours(model_type="llama", qk_norm=False, qkv_bias=True, output_bias=True),
    ),
    "llama3": (
        lambda: theirs("Llama", rope_parameters=LLAMA3),
        lambda: ours(model_type="llama", qk_norm=False, rope_parameters=LLAMA3),
    ),
    "mistral": (
        lambda: theirs("Mistral", sliding_window=5),
        lambda: ours(model_type="mistral", qk_norm=False, sliding_window=5),
    ),
    "gpt2": (
        lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=101,
                n_positions=64,
                n_embd=48,
                n_layer=3,
                n_head=6,
                n_inner=72,
                bos_token_id=None,
                eos_token_id=None,
                attn_implementation="eager",
            )
        ),
        lambda: ours(
            model_type="gpt2",
            num_key_value_heads=6,
            head_dim=8,
            norm_eps=1e-5,
            hidden_act="gelu_new",
            qk_norm=False,
            tie_word_embeddings=True,
        ),
    ),
}
IDS = torch.randint(101, (2, 17), generator=seeded(0))


def file_state(model):
    """Return the weights under the names of files: experts one by one, tied heads once."""
    from transformers.core_model_loading import revert_weight_conversion

    return revert_weight_conversion(model, model.state_dict())


@pytest.fixture(params=list(CASES))
def pair(request):
    torch.manual_seed(0)
    make_reference, make = CASES[request.param]
    reference, model = make_reference().eval(), make().eval()
    for name, parameter in reference.named_parameters():
        if "norm" in name or "bias" in name or "ln_" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)  # ones and zeros would hide much
    state = {name: part for name, part in file_state(reference).items() if "inv_freq" not in name}
    if model.config.tie_word_embeddings:
        table = (
            "transformer.wte.weight"
            if model.config.model_type == "gpt2"
            else ("model.embed_tokens.weight")
        )
        state.setdefault("lm_head.weight", state[table])
    model.load_state_dict(state, strict=True)
    return reference, model


def test_logits_and_gradients(pair):
    reference, model = pair
    expected, found = reference(IDS).logits, model(IDS).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    expected.square().mean().backward()
    found.square().mean().backward()
    table = "wte" if model.config.model_type == "gpt2" else "embed_tokens"
    gradients = [
        next(p.grad for n, p in each.named_parameters() if table in n)
        for each in (reference, model)
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-4)
    assert gradients[0].abs().max() > 1e-4


@torch.no_grad()
def test_cache_gives_what_the_whole_text_gives(pair):
    _, model = pair
    cache = model.make_cache(2, 17)
    parts = [model(IDS[:, :9], cache=cache).logits]
    parts += [model(IDS[:, i : i + 1], cache=cache).logits for i in range(9, 17)]
    torch.testing.assert_close(torch.cat(parts, 1), model(IDS).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_hidden_states_attentions_and_the_last_token(pair):
    reference, model = pair
    expected = reference(IDS, output_hidden_states=True, output_attentions=True)
    found = model(IDS, return_hidden=True, return_weights=True)
    for mine, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    for mine, other in zip(found.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    last = model(IDS, last_only=True)
    torch.testing.assert_close(last.logits, found.logits[:, -1:])
    assert last.hidden_states == () == last.attentions


@torch.no_grad()
def test_padding_on_the_right_changes_nothing_before_it(pair):
    reference, model = pair
    padding = torch.ones(2, 17, dtype=torch.bool)
    padding[0, 12:] = False
    found = model(IDS, padding).logits
    expected = reference(IDS, attention_mask=padding.long()).logits
    torch.testing.assert_close(found[padding], expected[padding], rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_on_the_left_with_positions_that_skip_it(pair):
    _, model = pair
    padding = torch.ones(2, 17, dtype=torch.bool)
    padding[0, :4] = False
    positions = (padding.cumsum(-1) - 1).clamp(min=0)
    found = model(IDS, padding, positions=positions).logits
    alone = model(IDS[:1, 4:]).logits
    torch.testing.assert_close(found[:1, 4:], alone, rtol=0, atol=1e-5)


def test_a_wrong_base_is_seen():
    torch.manual_seed(0)
    model, other = ours(), ours(rope_parameters={"rope_type": "default", "rope_theta": 1e5})
    other.load_state_dict(model.state_dict())
    assert (model(IDS).logits - other(IDS).logits).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "model_type must be one of .*; got 'bert'"),
        ({"num_key_value_heads": 4}, "must be a multiple of num_key_value_heads; got 6 and 4"),
        ({"head_dim": 9}, "head_dim must be even, since RoPE turns features in pairs; got 9"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be at least 1; got 0"),
        ({"num_experts": 4, "num_experts_per_tok": 5}, "between 1 and num_experts; got 5 of 4"),
        ({"num_experts": 4, "num_experts_per_tok": 2}, "moe_intermediate_size; got 0"),
        ({"sliding_layers": (True,)}, "sliding_layers must name each of the 3 layers, or none"),
    ],
)
def test_inconsistent_configurations(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{**SIZES, **changes})
