"""Each planted fault changes the model, raises nothing, and is named by the report."""

import pytest
import torch

from course_lib.chapters.transformer.layer_diff import find_divergence
from course_lib.chapters.transformer.planted_faults import (
    FAULTS,
    IDS,
    MYSTERIES,
    faulty,
    mystery,
    reference,
    report,
)

NAMED = {
    "none": (),
    "wrong eps in one norm": ("model.layers.1.post_attention_layernorm",),
    "no QK-norm on the queries of layer 0": ("model.layers.0.self_attn.q_norm",),
    "wrong base of RoPE": ("model.rotary_emb",),
    "gate and up exchanged in layer 2": (
        "model.layers.2.mlp.gate_proj",
        "model.layers.2.mlp.up_proj",
    ),
    "residual from the normalised input in layer 1": ("model.layers.1",),
    "output weight reshaped instead of transposed in layer 2": ("model.layers.2.self_attn.o_proj",),
    "no causal mask in layer 2": ("model.layers.2.self_attn",),
    "last norm forgotten": ("model.norm",),
}


def test_every_fault_is_tested():
    assert list(NAMED) == list(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_is_named(fault):
    assert report(fault).faults == NAMED[fault]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_changes_the_logits(fault):
    with torch.no_grad():
        apart = (faulty(fault)(IDS).logits - reference()(IDS).logits).abs().max()
    assert (apart < 1e-4) == (fault == "none")


def test_planting_leaves_the_reference_alone():
    before = reference()(IDS).logits
    for fault in FAULTS:
        faulty(fault)
    assert torch.equal(reference()(IDS).logits, before)


def test_unknown_fault():
    with pytest.raises(ValueError, match=r"none, wrong eps.*'typo'"):
        faulty("typo")


FOUND = (  # what the report names, mystery by mystery
    ("model.layers.1.self_attn",),
    ("model.layers.2.self_attn.k_proj", "model.layers.2.self_attn.v_proj"),
    ("model.layers.0.mlp",),
    ("model.embed_tokens",),
)


@pytest.mark.parametrize("number", range(1, len(MYSTERIES) + 1))
def test_mysteries_are_found(number):
    suspect = mystery(number)
    assert find_divergence(suspect, reference(), IDS).faults == FOUND[number - 1]
    with torch.no_grad():
        assert (suspect(IDS).logits - reference()(IDS).logits).abs().max() > 1e-2


@pytest.mark.parametrize("number", [0, len(MYSTERIES) + 1])
def test_unknown_mystery(number):
    with pytest.raises(ValueError, match=rf"1 to 4; got {number}"):
        mystery(number)
