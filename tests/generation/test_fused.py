"""The fused path: the same logits and the same text from the same weights."""

import subprocess
import sys

import pytest
import torch

from course_lib.device import can_compile
from course_lib.generation import (
    CompiledDecoder,
    FusedDecoder,
    Reader,
    beam_search,
    generate,
    left_pad,
)
from course_lib.model import GPT2, DecoderLM, ModelConfig

SIZES = {
    "vocab_size": 61,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 64,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
CASES = {
    "qwen3": {},
    "qwen3 tied": {"tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2", "qk_norm": False, "qkv_bias": True},
    "llama3": {"model_type": "llama", "qk_norm": False, "rope_parameters": LLAMA3},
    "biases": {"model_type": "llama", "qk_norm": False, "qkv_bias": True, "output_bias": True},
    "one group each": {"num_key_value_heads": 6},
    "large eps": {"norm_eps": 0.1},
}


@pytest.fixture(scope="module", params=list(CASES))
def both(request):
    torch.manual_seed(0)
    settings = {"tie_word_embeddings": False, **SIZES, **CASES[request.param]}
    model = DecoderLM(ModelConfig(**settings)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.15 * torch.randn_like(parameter)
    return model, FusedDecoder(model)


def test_logits(both, ids):
    model, fused = both
    torch.testing.assert_close(fused(ids).logits, model(ids).logits, rtol=0, atol=2e-5)
    last = fused(ids, last_only=True).logits
    torch.testing.assert_close(last, model(ids).logits[:, -1:], rtol=0, atol=2e-5)


def test_text(both, ids):
    model, fused = both
    assert torch.equal(generate(fused, ids, 20), generate(model, ids, 20))
    padded, padding = left_pad([[5, 9, 2, 7, 7, 1], [3], [8, 0, 4]])
    expected = generate(model, padded, 12, padding=padding)
    assert torch.equal(generate(fused, padded, 12, padding=padding), expected)
    assert torch.equal(beam_search(fused, ids, 8, 3).ids, beam_search(model, ids, 8, 3).ids)


def as_it_is(step, **_):
    """Return the step as Python runs it: what a compiler gets."""
    return step


def test_the_compiled_step_before_it_is_compiled(both, ids):
    model, _ = both
    stepping = CompiledDecoder(model, compiler=as_it_is)
    assert torch.equal(generate(stepping, ids, 20), generate(model, ids, 20))
    padded, padding = left_pad([[5, 9, 2, 7, 7, 1], [3], [8, 0, 4]])
    expected = generate(model, padded, 12, padding=padding)
    assert torch.equal(generate(stepping, padded, 12, padding=padding), expected)
    reader, whole = Reader(stepping, 3, 12), Reader(model, 3, 12)
    for part in (ids[:, :5], ids[:, 5:6], ids[:, 6:8], ids[:, 8:]):
        torch.testing.assert_close(reader.read(part), whole.read(part), rtol=0, atol=2e-5)
    torch.testing.assert_close(stepping(ids).logits, model(ids).logits, rtol=0, atol=2e-5)


def test_a_full_cache_is_an_error_before_anything_is_written(ids):
    stepping = CompiledDecoder(DecoderLM(ModelConfig(**SIZES)), compiler=as_it_is)
    reader = Reader(stepping, 3, 9)
    reader.read(ids)
    with pytest.raises(ValueError, match=r"\b9 tokens.*full"):
        reader.read(ids[:, :1])


COMPILED = """
import torch
from course_lib.generation import CompiledDecoder, generate
from course_lib.model import DecoderLM, ModelConfig

torch.manual_seed(0)
model = DecoderLM(ModelConfig(61, 48, 72, 1, 6, 2, 10, 64)).eval().requires_grad_(False)
for parameter in model.parameters():
    parameter += 0.15 * torch.randn_like(parameter)
compiled = CompiledDecoder(model)
ids = torch.randint(61, (2, 7))
for new in (9, 12):  # a different capacity is a different shape
    assert torch.equal(generate(compiled, ids, new), generate(model, ids, new))
print("the same text")
"""


@pytest.mark.skipif(
    not can_compile(), reason="torch.compile needs a C++ compiler and a path without spaces"
)
def test_compiled_for_real_where_nothing_is_checked_at_run_time():
    out = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert "the same text" in out.stdout, out.stderr


def test_parts_of_a_text(both, ids):
    _, fused = both
    reader = Reader(fused, 3, 9)
    parts = [reader.read_all(ids[:, :4]), reader.read_all(ids[:, 4:6]), reader.read_all(ids[:, 6:])]
    torch.testing.assert_close(torch.cat(parts, 1), fused(ids).logits, rtol=0, atol=2e-5)


def test_the_weights_of_the_model_stay_as_they_are(both, ids):
    model, _ = both
    before = {name: part.clone() for name, part in model.state_dict().items()}
    generate(FusedDecoder(model), ids, 3)
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


@pytest.mark.parametrize(
    "changes",
    [
        {"sliding_window": 4},
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
    ],
)
def test_what_it_is_not_made_for(changes):
    with pytest.raises(ValueError, match=r"dense.*SwiGLU"):
        FusedDecoder(DecoderLM(ModelConfig(**SIZES, **changes)))


def test_other_families_and_types():
    gpt = ModelConfig(**{**SIZES, "num_key_value_heads": 6, "head_dim": 8}, model_type="gpt2")
    with pytest.raises(ValueError, match="got gpt2"):
        FusedDecoder(GPT2(gpt))
    with pytest.raises(ValueError, match=r"torch\.bfloat16.*model\.float\(\)"):
        FusedDecoder(DecoderLM(ModelConfig(**SIZES)).bfloat16())
    model = DecoderLM(ModelConfig(**SIZES))
    model.model.layers[1].mlp.down_proj.bfloat16()
    with pytest.raises(ValueError, match=r"torch\.bfloat16.*model\.float\(\)"):
        FusedDecoder(model)
