"""Every layer that has weights is called in a forward pass, so that hooks and replacements work.

A forward hook that never fires and a replaced layer that is never asked raise no error: adapters,
quantisers and probes would have no effect, silently.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib.device import seeded
from course_lib.embeddings import Embedding
from course_lib.experts import SparseMoE
from course_lib.families import EncoderDecoder, EncoderOnly, FamilyConfig
from course_lib.generation import CompiledDecoder, FusedDecoder
from course_lib.mlp import GatedFFN, InOutLinear, gated_ffn, silu

IDS = torch.randint(101, (2, 17), generator=seeded(0))
OTHER_IDS = torch.randint(101, (2, 11), generator=seeded(1))
POST = FamilyConfig(101, 48, 72, 3, 6, max_position_embeddings=33)
PRE = replace(POST, arrangement="pre")
OTHERS = {
    "encoder-only": (lambda: EncoderOnly(POST), (IDS,)),
    "encoder-only, pre-norm": (lambda: EncoderOnly(PRE), (IDS,)),
    "encoder-decoder": (lambda: EncoderDecoder(POST), (OTHER_IDS, IDS)),
    "encoder-decoder, pre-norm": (lambda: EncoderDecoder(PRE), (OTHER_IDS, IDS)),
}


def with_weights(model):
    """Return the names of all modules that hold a parameter of their own."""
    return [name for name, part in model.named_modules() if part._parameters]


def fired(model, *given):
    """Return the names of the modules whose forward hook fires in one pass."""
    found = set()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: found.add(name))
        for name, module in model.named_modules()
    ]
    with torch.no_grad():
        model(*given)
    for hook in hooks:
        hook.remove()
    return found


def silent(model, *given):
    return sorted(set(with_weights(model)) - fired(model, *given))


@pytest.mark.parametrize("prepare", ["as built", "use_kernels", "prepare_to_write"])
def test_every_layer_of_every_decoder_fires(family, prepare, tiny):
    model = tiny(family)
    if prepare != "as built":
        getattr(model, prepare)()
    kinds = {type(model.get_submodule(name)) for name in with_weights(model)}
    assert Embedding in kinds
    assert any(issubclass(kind, nn.Linear) for kind in kinds)  # the head is one, tied or not
    assert silent(model, IDS) == []


@pytest.mark.parametrize("name", OTHERS)
def test_every_layer_of_the_other_families_fires(name):
    build, given = OTHERS[name]
    assert silent(build().eval(), *given) == []


def test_a_shared_expert_and_its_gate_fire():
    mixture = SparseMoE(24, 16, 4, 2, shared_hidden=8)
    assert silent(mixture, torch.randn(7, 24, generator=seeded(2))) == []


def test_a_layer_that_reads_weights_is_caught():
    class Bypassing(GatedFFN):
        def forward(self, x):
            return gated_ffn(x, *(part.weight for part in self.children()))

    assert silent(Bypassing(8, 16), torch.ones(1, 8)) == ["down_proj", "gate_proj", "up_proj"]


class Rounded(nn.Module):
    """A layer in place of another, with its weight in steps of a quarter: a coarse quantiser."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.calls = layer, 0
        layer.weight.data = (layer.weight.data * 4).round() / 4

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


@torch.no_grad()
@pytest.mark.parametrize("prepare", ["as built", "prepare_to_write"])
def test_layers_put_in_place_of_linear_ones_are_asked(family, prepare, tiny):
    """The replacement has no `weight`, as packed quantised layers have none to read."""
    model = tiny(family, tie_word_embeddings=False)
    rounded, before = copy.deepcopy(model), model(IDS).logits
    names = [n for n, part in model.named_modules() if isinstance(part, nn.Linear | InOutLinear)]
    for name in names:
        layer = rounded.get_submodule(name)
        layer.weight.data = (layer.weight.data * 4).round() / 4
        model.set_submodule(name, Rounded(model.get_submodule(name)))
    if prepare != "as built":
        getattr(model, prepare)()
    expected = rounded(IDS).logits
    torch.testing.assert_close(model(IDS).logits, expected, rtol=0, atol=1e-4)
    assert [model.get_submodule(name).calls for name in names] == [1] * len(names)
    assert (expected - before).abs().max() > 1e-2


@torch.no_grad()
def test_the_layer_is_the_function_of_its_weights():
    layer = GatedFFN(12, 20)
    x = torch.randn(3, 5, 12, generator=seeded(3))
    weights = (layer.gate_proj.weight, layer.up_proj.weight, layer.down_proj.weight)
    torch.testing.assert_close(layer(x), gated_ffn(x, *weights, silu), rtol=0, atol=1e-7)


@torch.no_grad()
def test_stacked_experts_are_replaced_as_a_whole(tiny):
    model = tiny("qwen3_moe all sparse")
    before = model(IDS).logits

    class Idle(nn.Module):
        def forward(self, x, gates, groups):
            return torch.zeros_like(x)

    for block in model.blocks:
        block.mlp.experts = Idle()
    assert (model(IDS).logits - before).abs().max() > 1e-3


# --- paths that read weights ----------------------------------------------------------------------


def hooked(model):
    model.model.layers[1].mlp.up_proj.register_forward_hook(lambda *_: None)
    return r"model\.layers\.1\.mlp\.up_proj \(1 in all\)"


def hooked_before(model):
    model.model.norm.register_forward_pre_hook(lambda *_: None)
    return r"model\.norm \(1 in all\)"


def replaced(model):
    model.model.layers[0].self_attn.q_proj = Rounded(model.model.layers[0].self_attn.q_proj)
    return r"model\.layers\.0\.self_attn\.q_proj \(1 in all\)"


def parametrized(model):
    nn.utils.parametrize.register_parametrization(model.lm_head, "weight", nn.Tanh())
    return "lm_head"


def given_another_forward(model):
    model.model.embed_tokens.forward = lambda ids: torch.zeros(*ids.shape, 48)
    return r"model\.embed_tokens \(1 in all\)"


@pytest.mark.parametrize(
    "alter", [hooked, hooked_before, replaced, parametrized, given_another_forward]
)
@pytest.mark.parametrize("kind", [FusedDecoder, CompiledDecoder])
def test_a_path_that_calls_no_layer_declines_altered_ones(kind, alter, tiny):
    model = tiny("qwen3")
    kind(model)
    names = alter(model)
    with pytest.raises(ValueError, match=f"{names}.*[Rr]emove hooks and merge"):
        kind(model)


def test_hooks_that_are_gone_are_no_obstacle(tiny):
    model = tiny("qwen3")
    model.lm_head.register_forward_hook(lambda *_: None).remove()
    logits = FusedDecoder(model)(IDS).logits
    torch.testing.assert_close(logits, model(IDS).logits, rtol=0, atol=1e-4)


def test_the_fused_path_declines_another_activation(tiny):
    with pytest.raises(ValueError, match="gelu"):
        FusedDecoder(tiny("qwen3", hidden_act="gelu"))
