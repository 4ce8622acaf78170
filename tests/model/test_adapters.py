"""Low-rank adapters of peft on our models, as on any model that calls its layers."""

import copy

import pytest
import torch
from torch import nn

from course_lib.device import seeded
from course_lib.generation import FusedDecoder
from course_lib.pretrained import course_model

peft = pytest.importorskip(
    "peft", reason="adapters are tested with peft, which is not installed: pip install peft"
)

IDS = torch.randint(101, (2, 13), generator=seeded(0))


def linear_names(model, but=()):
    names = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    return [name for name in names if name not in but]


def adapted(model, **settings):
    """Return the model with adapters whose second matrix is zero still, as LoRA starts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, **settings)).eval()


def fill(model, only=""):
    """Give the second matrices numbers, those under `only` or all, and return how many."""
    chosen = [w for n, w in model.named_parameters() if "lora_B" in n and only in n]
    for number, weight in enumerate(chosen):
        nn.init.normal_(weight, std=0.1, generator=seeded(number))
    return len(chosen)


@pytest.fixture
def trained():
    """Return a copy of the course model, whose head is tied and stays without an adapter."""
    return copy.deepcopy(course_model())


@torch.no_grad()
def test_adapters_that_start_at_zero_change_nothing_and_filled_ones_do(trained):
    expected = trained(IDS).logits.clone()
    names = linear_names(trained, but=("lm_head",))
    model = adapted(trained, target_modules=names)
    torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=1e-5)
    assert fill(model) == len(names) == 7 * len(trained.blocks)
    assert (model(IDS).logits - expected).abs().max() > 0.1


@torch.no_grad()
def test_every_adapter_alone_changes_the_output(trained):
    expected = trained(IDS).logits.clone()
    names = linear_names(trained, but=("lm_head",))
    model = adapted(trained, target_modules=names)
    for name in names:
        assert fill(model, only=f".{name}.") == 1, name
        assert (model(IDS).logits - expected).abs().max() > 1e-4, name
        model.get_parameter(f"base_model.model.{name}.lora_B.default.weight").zero_()


def test_only_adapters_learn(trained):
    model = adapted(trained, target_modules=linear_names(trained, but=("lm_head",)))
    fill(model)
    before = {name: w.clone() for name, w in model.named_parameters() if "lora" not in name}
    optimizer = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], lr=0.1)
    nn.functional.cross_entropy(model(IDS).logits.flatten(0, 1), IDS.flatten()).backward()
    for name, weight in model.named_parameters():
        learns = weight.grad is not None and bool(weight.grad.any())
        assert learns == ("lora" in name), name
    optimizer.step()
    assert all(torch.equal(model.get_parameter(name), w) for name, w in before.items())


@torch.no_grad()
def test_a_merged_model_is_the_adapted_one(trained):
    plain = trained(IDS).logits.clone()
    model = adapted(trained, target_modules=linear_names(trained, but=("lm_head",)))
    fill(model)
    expected = model(IDS).logits.clone()
    with pytest.raises(ValueError, match="merge adapters"):
        FusedDecoder(trained)
    merged = model.merge_and_unload()
    torch.testing.assert_close(merged(IDS).logits, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(FusedDecoder(merged)(IDS).logits, expected, rtol=0, atol=1e-3)
    assert (expected - plain).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("name", ["qwen3", "qwen2", "llama", "mistral"])
def test_an_untied_head_takes_an_adapter_too(name, tiny):
    base = tiny(name)
    expected = base(IDS).logits.clone()
    model = adapted(base, target_modules=["lm_head"])
    assert fill(model) == 1
    adapted_logits = model(IDS).logits
    assert (adapted_logits - expected).abs().max() > 1e-2
    merged = model.merge_and_unload()
    torch.testing.assert_close(merged(IDS).logits, adapted_logits, rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("parameter", ["gate_up_proj", "down_proj"])
def test_stacked_experts_take_adapters_by_parameter(parameter, tiny):
    base = tiny("qwen3_moe all sparse")
    expected = base(IDS).logits.clone()
    model = adapted(base, target_modules=[], target_parameters=[f"mlp.experts.{parameter}"])
    torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=1e-5)
    assert fill(model) == len(base.blocks)
    changed = model(IDS).logits
    assert (changed - expected).abs().max() > 1e-3
    merged = model.merge_and_unload()
    torch.testing.assert_close(merged(IDS).logits, changed, rtol=0, atol=1e-4)
