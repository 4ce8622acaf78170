"""Linear layers for generation on a CPU: one rounding away from float32, and slow nowhere."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.device import seeded
from course_lib.model import CPULinear, cpu_linear

ROWS = [1, 2, 5, cpu_linear.FEW_ROWS, cpu_linear.FEW_ROWS + 1, 40]


def layer(inputs=64, outputs=70, bias=True):
    made = nn.Linear(inputs, outputs, bias=bias).bfloat16()
    made.weight.data = torch.randn(outputs, inputs, generator=seeded(0)).bfloat16()
    made.__class__ = CPULinear
    return made.requires_grad_(False)


def exact(of, x):
    bias = None if of.bias is None else of.bias.float()
    return F.linear(x.float(), of.weight.float(), bias)


@pytest.mark.parametrize("program", ["compiled", "torch alone"])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("inputs", "bias"), [(64, True), (40, False)])
def test_it_rounds_the_product_in_float32_once(rows, inputs, bias, program, monkeypatch):
    monkeypatch.setattr(cpu_linear, "PART", 32)
    if program == "torch alone":
        monkeypatch.setattr(cpu_linear, "compiled_products", lambda: None)
    made, x = layer(inputs, bias=bias), torch.randn(rows, inputs, generator=seeded(1)).bfloat16()
    found, wanted = made(x), exact(made, x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=2**-7, atol=1e-2)
    assert (found.float() - wanted).abs().mean() < 2**-9 * wanted.abs().mean()


def test_any_leading_axes():
    made, x = layer(), torch.randn(2, 3, 64, generator=seeded(2)).bfloat16()
    assert made(x).shape == (2, 3, 70)
    assert torch.equal(made(x[0, 0]), made(x)[0, 0])
    assert made(x[:, :0]).shape == (2, 0, 70)


def test_in_float32_and_for_training_it_computes_what_a_plain_layer_does():
    made = layer()
    wide, x = copy.deepcopy(made).float(), torch.randn(3, 64, generator=seeded(3))
    torch.testing.assert_close(wide(x), F.linear(x, wide.weight, wide.bias), rtol=0, atol=1e-5)
    many = torch.randn(40, 64, generator=seeded(3))
    assert torch.equal(wide(many), F.linear(many, wide.weight, wide.bias))
    made.requires_grad_(True)
    made(x.bfloat16()).sum().backward()
    assert made.weight.grad.shape == made.weight.shape
    with pytest.raises(RuntimeError, match="dtype"):
        made(x)


def test_a_bias_is_trained_beside_a_frozen_weight():
    made, plain = layer(), nn.Linear(64, 70).bfloat16().requires_grad_(False)
    plain.load_state_dict(made.state_dict())
    x = torch.randn(3, 64, generator=seeded(5)).bfloat16()
    for each in (made, plain):
        each.bias.requires_grad_(True)
        each(x).pow(2).sum().backward()
    torch.testing.assert_close(made.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("program", ["compiled", "torch alone"])
@pytest.mark.parametrize("fast", [True, False])
def test_a_model_gets_such_layers_where_they_are_faster(fast, program, tiny, monkeypatch):
    monkeypatch.setattr(cpu_linear, "multiplies_fast", lambda _: fast)
    if program == "torch alone":
        monkeypatch.setattr(cpu_linear, "compiled_products", lambda: None)
    plain, ready = (tiny("qwen3 tied").bfloat16().requires_grad_(False) for _ in range(2))
    ready.load_state_dict(plain.state_dict())
    seen = []
    ready.lm_head.register_forward_hook(lambda *_: seen.append(1))
    ready.prepare_to_write()
    for part in ready.modules():
        if isinstance(part, nn.Linear):
            faster = not fast or cpu_linear.can_be_compiled(part.weight)
            assert type(part) is (CPULinear if faster else nn.Linear)
    assert ready.lm_head.weight is ready.model.embed_tokens.weight
    ids = torch.randint(101, (2, 7), generator=seeded(4))
    found, wanted = ready(ids).logits.float(), plain(ids).logits.float()
    assert (found - wanted).abs().max() < 0.03 * wanted.abs().max()
    assert seen == [1]
    wide = copy.deepcopy(ready).float().prepare_to_write()
    for name, weight in plain.float().prepare_to_write().named_parameters():
        assert wide.get_parameter(name).stride() == weight.stride(), name
    torch.testing.assert_close(wide(ids).logits, plain(ids).logits, rtol=0, atol=1e-5)
