"""Each planted fault changes the model, raises nothing, and is named by the report."""

import pytest
import torch

from course_lib.chapters.transformer.planted_faults import FAULTS, IDS, faulty, reference, report

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
    "output weight reshaped instead of turned in layer 2": ("model.layers.2.self_attn.o_proj",),
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
