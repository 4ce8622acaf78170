import math

import pytest
import torch
from torch import nn

from course_lib.device import seeded
from course_lib.fine_tuning.lora import (
    ALL_LINEAR,
    ATTENTION,
    LoRAConfig,
    LoRALinear,
    fold_lora,
    inject_lora,
    lora_forward,
    lora_layers,
    lora_parameters,
    lora_scale,
    merge_lora,
    merged_weight,
    trainable_parameters,
    unmerge_lora,
)

CONFIG = LoRAConfig(rank=3, alpha=6.0)


def stir(model, seed=5):
    """Give the second factors values, so that the change does something."""
    for _, layer in lora_layers(model):
        layer.lora_B.data = 0.3 * torch.randn(layer.lora_B.shape, generator=seeded(seed))
    return model


def test_by_hand():
    weight, a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0]])
    x = torch.tensor([[2.0, 1.0]])
    assert lora_forward(x, weight, a, b, 0.5).item() == 4.0 + 0.5 * 3.0
    assert merged_weight(weight, a, b, 0.5).tolist() == [[2.5, 0.5]]


def test_a_fresh_change_leaves_the_model_as_it_was(model, ids):
    with torch.no_grad():
        before = model(ids).logits
        after = inject_lora(model, CONFIG)(ids).logits
    assert torch.equal(before, after)
    assert len(list(lora_layers(model))) == 2 * len(ALL_LINEAR)


def test_merged_unmerged_and_folded_agree(model, ids):
    stir(inject_lora(model, CONFIG))
    weights = {name: layer.base_layer.weight.clone() for name, layer in lora_layers(model)}
    with torch.no_grad():
        plain = model(ids).logits
        merge_lora(model)
        torch.testing.assert_close(model(ids).logits, plain, rtol=0, atol=2e-6)
        unmerge_lora(model)
        for name, layer in lora_layers(model):
            torch.testing.assert_close(layer.base_layer.weight, weights[name], rtol=0, atol=1e-6)
        folded = fold_lora(model)
        assert not list(lora_layers(folded))
        torch.testing.assert_close(folded(ids).logits, plain, rtol=0, atol=2e-6)


def test_only_the_factors_are_trained(model, ids):
    inject_lora(model, LoRAConfig(rank=3, targets=("q_proj", "v_proj")))
    model(ids).logits.square().mean().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {name for name, _ in model.named_parameters() if "lora_" in name}
    layers = dict(lora_layers(model))
    shapes = [tuple(layer.base_layer.weight.shape) for layer in layers.values()]
    assert trainable_parameters(model) == lora_parameters(shapes, 3)
    assert lora_parameters([(40, 24), (20, 24)], 3) == 3 * (64 + 44)
    assert all(layer.lora_A.grad.abs().max() == 0 for layer in layers.values())  # B is zero
    assert all(layer.lora_B.grad.abs().max() > 0 for layer in layers.values())


def test_with_both_factors_at_zero_nothing_is_ever_learned(model, ids):
    inject_lora(model, CONFIG)
    for _, layer in lora_layers(model):
        layer.lora_A.data.zero_()
    model(ids).logits.square().mean().backward()
    parts = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad.abs().max() == 0 for p in parts)


def test_scales():
    assert lora_scale(16.0, 8) == 2
    assert lora_scale(16.0, 64) == 0.25
    assert lora_scale(16.0, 64, rank_stabilised=True) == 2
    assert LoRAConfig(rank=4, alpha=4.0, rank_stabilised=True).scale == 4 / math.sqrt(4)


def test_the_same_seed_gives_the_same_factors_whatever_was_drawn_before():
    one = LoRALinear(nn.Linear(5, 4), CONFIG, seeded(3)).lora_A
    torch.rand(7)
    assert torch.equal(one, LoRALinear(nn.Linear(5, 4), CONFIG, seeded(3)).lora_A)
    assert not torch.equal(one, LoRALinear(nn.Linear(5, 4), CONFIG, seeded(4)).lora_A)


def test_mistakes_are_named(model):
    with pytest.raises(ValueError, match="rank must be at least 1; got 0"):
        LoRAConfig(rank=0)
    with pytest.raises(ValueError, match="no targets"):
        LoRAConfig(targets=())
    with pytest.raises(ValueError, match="'query'"):
        inject_lora(model, LoRAConfig(targets=("query",)))
    inject_lora(model, LoRAConfig(targets=ATTENTION))
    with pytest.raises(ValueError, match="LoRA layers already"):
        inject_lora(model, CONFIG)
    with pytest.raises(ValueError, match="only a change that is merged"):
        unmerge_lora(model)
    merge_lora(model)
    with pytest.raises(ValueError, match="merged already"):
        merge_lora(model)
