"""The chapter's answers beside the library's modules, and by hand."""

import pytest
import torch

from course_lib.chapters.transformer.answers import (
    at_fault,
    checkpoint_logits,
    decoder_block,
    decoder_logits,
    patched_stream,
)
from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model

CONFIG = ModelConfig(61, 24, 36, 3, 4, 2, 10, 64)
IDS = torch.randint(61, (2, 7), generator=seeded(0))


def lively(config=CONFIG):
    model = build_model(config).eval().requires_grad_(False)
    for number, weight in enumerate(model.parameters()):
        torch.nn.init.normal_(weight, std=0.3, generator=seeded(number))
    return model


def as_functions(model, tokens):
    """Return the blocks of a model as functions of the stream alone."""
    rotate = model.rotation(torch.arange(tokens))
    mask = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    return [lambda x, block=block: block(x, mask, rotate)[0] for block in model.blocks]


def test_block_is_the_module():
    block, tokens = lively().blocks[1], 7
    rotate, mask = (
        lively().rotation(torch.arange(tokens)),
        torch.ones(tokens, tokens).tril().bool(),
    )
    x = torch.randn(2, tokens, 24, generator=seeded(1))
    found = decoder_block(
        x,
        lambda x: block.self_attn(x, mask, rotate=rotate)[0],
        block.input_layernorm,
        block.mlp,
        block.post_attention_layernorm,
    )
    torch.testing.assert_close(found, block(x, mask, rotate)[0])


def test_block_by_hand():
    # x = 3: the norm halves, attention adds 10, so 3 + (1.5 + 10) = 14.5;
    # the second norm subtracts 1, the MLP doubles: 14.5 + 2 * 13.5 = 41.5.
    found = decoder_block(
        torch.tensor([3.0]), lambda x: x + 10, lambda x: x / 2, lambda x: 2 * x, lambda x: x - 1
    )
    assert found.tolist() == [41.5]


@pytest.mark.parametrize("tied", [True, False])
def test_whole_pass_is_the_model(tied):
    model = lively(ModelConfig(61, 24, 36, 3, 4, 2, 10, 64, tie_word_embeddings=tied))
    found = decoder_logits(
        IDS,
        model.model.embed_tokens.weight,
        as_functions(model, 7),
        model.last_norm,
        None if tied else model.lm_head.weight,
    )
    torch.testing.assert_close(found, model(IDS).logits)
    without = decoder_logits(IDS, model.model.embed_tokens.weight, [], model.last_norm)
    assert not torch.allclose(without, model(IDS).logits)


@pytest.mark.parametrize("tied", [True, False])
def test_written_modules_are_the_model(tied):
    config = ModelConfig(61, 24, 36, 3, 4, 2, 10, 64, tie_word_embeddings=tied)
    model = lively(config)
    tensors = dict(model.state_dict())
    if tied:
        tensors.pop("lm_head.weight")
    found = checkpoint_logits(config, tensors, IDS)
    torch.testing.assert_close(found, model(IDS).logits, rtol=1e-4, atol=1e-4)
    tensors["model.norm.weight"] = 2 * tensors["model.norm.weight"]
    torch.testing.assert_close(checkpoint_logits(config, tensors, IDS), 2 * found)


def test_loading_is_strict():
    tensors = dict(lively().state_dict())
    del tensors["model.layers.1.self_attn.q_norm.weight"]
    with pytest.raises(RuntimeError, match=r"layers\.1\.self_attn\.q_norm"):
        checkpoint_logits(CONFIG, tensors, IDS)


def test_modules_at_fault_by_hand():
    errors = [("h.1", 0.4, 0.4), ("h.1.mlp", 0.0, 0.4), ("h.10", 0.0, 0.4)]
    assert at_fault(errors, 1e-5) == ["h.1"]
    inside = [*errors, ("h.1.mlp.up", float("nan"), 0.0)]
    assert at_fault(inside, 1e-5) == ["h.1.mlp.up"]
    assert at_fault([("h.1", 1.0, 1.0), ("h.10", 1.0, 1.0)], 1e-5) == ["h.1", "h.10"]
    assert at_fault(errors, 0.4) == []


def test_patching_by_hand():
    # Blocks: add the sum of all tokens; then double. Clean 1, 2, 3 runs to 7, 8, 9 and 14, 16, 18.
    blocks = [lambda x: x + x.sum(1, keepdim=True), lambda x: 2 * x]
    clean = torch.tensor([[1.0, 2.0, 3.0], [7.0, 8.0, 9.0], [14.0, 16.0, 18.0]]).view(3, 1, 3, 1)
    x = torch.tensor([1.0, 0.0, 3.0]).view(1, 3, 1)  # the second token is corrupted
    for place, expected in (
        (0, [14.0, 16.0, 18.0]),
        (1, [10.0, 16.0, 14.0]),
        (2, [10.0, 16.0, 14.0]),
    ):
        assert patched_stream(x, blocks, clean, place, 1).flatten().tolist() == expected
    assert x.flatten().tolist() == [1.0, 0.0, 3.0], "the caller's stream stays as it is"


def test_patching_is_the_models_own_pass():
    model = lively()
    other = IDS.clone()
    other[:, 3] = (other[:, 3] + 1) % 61
    streams = [
        torch.stack(model(ids, return_hidden=True).hidden_states[:-1]) for ids in (IDS, other)
    ]
    blocks = as_functions(model, 7)
    clean = torch.cat((streams[0], blocks[-1](streams[0][-1])[None]))
    for position, same in ((3, True), (4, False)):
        found = patched_stream(streams[1][0], blocks, clean, 0, position)
        assert torch.allclose(found, clean[-1], atol=1e-5) == same
