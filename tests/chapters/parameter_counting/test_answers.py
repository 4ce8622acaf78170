"""The short formulas beside the tensors that autograd saves, and beside the library's counts."""

from dataclasses import replace

import pytest
import torch

from course_lib import accounting
from course_lib.accounting import MODELS
from course_lib.chapters.parameter_counting.answers import (
    block_activations,
    decode_step_bytes,
    training_utilisation,
)
from course_lib.model import build_model

SIZES = {"vocab_size": 31, "hidden_size": 24, "intermediate_size": 40, "head_dim": 6}
HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2}
LLAMA = replace(MODELS["Llama-3-8B"], **SIZES, **HEADS, num_hidden_layers=2)


def of(config, batch, tokens):
    heads = (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    return block_activations(batch, tokens, config.hidden_size, config.intermediate_size, *heads)


def saved_by_autograd(config, batch, tokens):
    """Return the bytes of all different tensors that a forward pass keeps, parameters aside."""
    model = build_model(config)
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(torch.zeros(batch, tokens, dtype=torch.long)).logits
    assert output.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_one_more_block_keeps_what_the_formula_says():
    batch, tokens = 3, 23
    one = saved_by_autograd(replace(LLAMA, num_hidden_layers=1), batch, tokens)
    two = saved_by_autograd(LLAMA, batch, tokens)
    formula = 4 * of(LLAMA, batch, tokens)
    assert two - one == pytest.approx(formula, rel=0.02)
    assert two - one != pytest.approx(formula - 4 * batch * tokens * 2 * 24, rel=0.02)


def test_activations_are_those_of_the_library():
    for tokens in (64, 512):
        more = replace(LLAMA, num_hidden_layers=3)
        two, three = (accounting.activation_bytes(each, tokens, 2) for each in (LLAMA, more))
        assert three - two == pytest.approx(4 * of(LLAMA, 2, tokens), rel=0.02)


@pytest.mark.parametrize("name", ["Qwen3-0.6B", "Qwen3-8B", "Llama-3-8B"])
def test_a_step_reads_what_the_library_says(name):
    for batch in (1, 16):
        step = accounting.model_step(MODELS[name], 1, past=2047, batch=batch)
        assert decode_step_bytes(MODELS[name], 2048, batch) == step.bytes_moved


def test_bytes_by_hand():
    tiny = replace(LLAMA, num_hidden_layers=1, vocab_size=10, tie_word_embeddings=False)
    rest = accounting.total_parameters(tiny) - 10 * 24
    assert decode_step_bytes(tiny, 5, 3) == 2 * (rest + 3 * 24) + 2 * (2 * 2 * 6) * 5 * 3


def test_utilisation_by_hand():
    assert training_utilisation(1000, 2, 8, 5, 10.0, 120_000.0) == pytest.approx(0.58)
