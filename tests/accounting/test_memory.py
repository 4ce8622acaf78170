"""Predicted bytes against tensors: weights, caches, what autograd keeps, the peak of a step."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from course_lib.accounting import (
    MODELS,
    activation_bytes,
    bytes_per_number,
    inference_memory,
    kv_cache_bytes,
    training_memory,
)
from course_lib.model import ModelConfig, build_model
from course_lib.study.display.memory_meter import MemoryMeter

SIZES = (311, 64, 160, 4, 6, 2, 12, 64)
SMALL = {
    "qwen3": ModelConfig(*SIZES),
    "exact gelu": ModelConfig(*SIZES, hidden_act="gelu"),
    "relu": ModelConfig(*SIZES, hidden_act="relu", tie_word_embeddings=False),
    "qwen2": ModelConfig(*SIZES, model_type="qwen2"),
    "mistral": ModelConfig(*SIZES, model_type="mistral", sliding_window=3),
    "gpt2": ModelConfig(311, 72, 160, 4, 6, 6, 12, 64, model_type="gpt2"),
    "qwen3_moe": ModelConfig(
        *SIZES,
        model_type="qwen3_moe",
        num_experts=7,
        num_experts_per_tok=2,
        moe_intermediate_size=39,  # a width that is computed expert by expert
        sparse_layers=(False, True, True, False),
    ),
    "qwen3_moe, gates that sum to 1": ModelConfig(
        *SIZES,
        model_type="qwen3_moe",
        num_experts=7,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        moe_intermediate_size=39,  # a width that is computed expert by expert
        sparse_layers=(False, True, True, False),
    ),
}
BATCH, TOKENS = 3, 50


def learn(model, ids):
    logits = model(ids).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()


@pytest.fixture
def model_and_ids(request):
    torch.manual_seed(0)
    model = build_model(SMALL[request.param])
    return model, torch.randint(311, (BATCH, TOKENS))


@pytest.mark.parametrize("model_and_ids", SMALL, indirect=True)
def test_what_autograd_keeps(model_and_ids):
    model, ids = model_and_ids
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(ids)
    measured = sum(each.untyped_storage().nbytes() for each in kept.values())
    assert measured == activation_bytes(model.config, TOKENS, BATCH)


@pytest.mark.parametrize("model_and_ids", SMALL, indirect=True)
def test_peak_of_a_training_step(model_and_ids):
    model, ids = model_and_ids
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    learn(model, ids)
    optimizer.step()
    held = [t for p in model.parameters() for t in (p, p.grad)]
    held += [t for p in model.parameters() for t in optimizer.state[p].values() if t.ndim]
    with MemoryMeter(held) as meter:
        learn(model, ids)
    predicted = training_memory(model.config, TOKENS, BATCH)
    assert predicted.weights == predicted.gradients == sum(p.nbytes for p in model.parameters())
    assert meter.peak == pytest.approx(predicted.total, rel=0.02)
    assert predicted.activations > predicted.moments  # what is measured is not weights alone


@pytest.mark.parametrize("model_and_ids", ["qwen3", "gpt2"], indirect=True)
def test_checkpointing_keeps_one_block_and_the_inputs_of_all(model_and_ids):
    model, ids = model_and_ids
    for block in model.blocks:
        inside = block.forward
        block.forward = lambda *inputs, run=inside: checkpoint(run, *inputs, use_reentrant=False)
    learn(model, ids)
    held = [t for p in model.parameters() for t in (p, p.grad)]
    with MemoryMeter(held) as meter:
        learn(model, ids)
    weights = sum(each.nbytes for each in held)
    most = activation_bytes(model.config, TOKENS, BATCH, checkpointing=True)
    logits = training_memory(model.config, TOKENS, BATCH).logits
    assert most < meter.peak - weights < most + logits
    assert most < 0.5 * activation_bytes(model.config, TOKENS, BATCH)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_inference_is_weights_and_cache(dtype):
    model = build_model(SMALL["qwen3"]).to(getattr(torch, dtype))
    found = inference_memory(model.config, 40, 3, dtype)
    assert found.weights == sum(each.nbytes for each in model.parameters())
    assert found.cache == sum(each.nbytes for each in model.make_cache(3, 40))
    assert found.total == found.weights + found.cache


def test_by_hand():
    assert kv_cache_bytes(36, 8, 128, tokens=1) == 147_456  # Qwen3-8B: 144 KiB for each token
    assert kv_cache_bytes(36, 8, 128, 4096, batch=16) == 16 * 4096 * 147_456
    assert kv_cache_bytes(2, 3, 5, 7, batch=11, bytes_per_number=4) == 2 * 2 * 3 * 5 * 7 * 11 * 4
    assert inference_memory(MODELS["Qwen3-8B"], 0, dtype="int4").weights == 8_190_735_360 / 2
    assert inference_memory(MODELS["Qwen3-8B"], 1, dtype="int4").cache == 147_456
    mixed = training_memory(
        MODELS["Qwen3-8B"], 1, weight_bytes=6, gradient_bytes=2, activation_number_bytes=2
    )
    assert mixed.weights + mixed.gradients + mixed.moments == 16 * 8_190_735_360


def test_attention_scores_grow_with_the_square():
    config = SMALL["qwen3"]
    sizes = [activation_bytes(config, tokens) for tokens in (1000, 2000, 4000)]
    second = (sizes[2] - 2 * sizes[1]) / (sizes[1] - 2 * sizes[0])
    assert second == pytest.approx(4, rel=0.01)  # the linear part is gone
    assert activation_bytes(config, 10, 6) < 6 * activation_bytes(config, 10, 1)  # one mask


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16", "int8"])
def test_bytes_of_a_number(dtype):
    assert bytes_per_number(dtype) == getattr(torch, dtype).itemsize


def test_unknown_types():
    with pytest.raises(ValueError, match=r"dtype.*'torch\.half'"):
        bytes_per_number("torch.half")
