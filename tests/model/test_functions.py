"""Positions and greedy text, next to the models and to transformers."""

import pytest
import torch
import torch.nn.functional as F
import transformers

from course_lib.device import seeded
from course_lib.model import (
    ModelConfig,
    build_model,
    greedy_continuation,
    token_positions,
)

CONFIG = ModelConfig(61, 24, 36, 3, 4, 2, 10, 64, tie_word_embeddings=True)
IDS = torch.randint(61, (2, 7), generator=seeded(0))


def lively(config=CONFIG):
    model = build_model(config).eval().requires_grad_(False)
    for number, weight in enumerate(model.parameters()):
        torch.nn.init.normal_(weight, std=0.3, generator=seeded(number))
    return model


# --- positions ------------------------------------------------------------------------------------


def test_positions_by_hand():
    padding = torch.tensor([[False, False, True, True, True], [True] * 5])
    assert token_positions(padding, 5).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]
    assert token_positions(padding, 2).tolist() == [[1, 2], [3, 4]]


def test_left_padding_changes_nothing_with_these_positions():
    gpt2 = lively(ModelConfig(61, 24, 36, 2, 4, 4, 6, 64, "gpt2"))
    alone = gpt2(IDS[:1, :4]).logits
    padded = torch.cat((torch.zeros(1, 3, dtype=torch.long), IDS[:1, :4]), 1)
    padding = torch.tensor([[False] * 3 + [True] * 4])
    right = gpt2(padded, padding, positions=token_positions(padding, 7)).logits[:, 3:]
    torch.testing.assert_close(right, alone)
    assert not torch.allclose(gpt2(padded, padding).logits[:, 3:], alone)


def test_positions_ask_for_the_cached_tokens_too():
    with pytest.raises(ValueError, match=r"all 2 tokens so far; got 3 new.*cached tokens"):
        token_positions(torch.ones(1, 2, dtype=torch.bool), 3)


# --- greedy text ----------------------------------------------------------------------------------


def test_greedy_text_is_that_of_transformers():
    config = transformers.Qwen3Config(
        vocab_size=61,
        hidden_size=24,
        intermediate_size=36,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=10,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="eager",
    )
    theirs = transformers.Qwen3ForCausalLM(config).eval()
    for number, weight in enumerate(theirs.parameters()):
        torch.nn.init.normal_(weight, std=0.3, generator=seeded(number))
    expected = theirs.generate(
        IDS[:1], attention_mask=torch.ones(1, 7).long(), max_new_tokens=20, do_sample=False
    )
    with torch.no_grad():
        found = greedy_continuation(lambda ids: theirs(ids).logits, IDS[0], 20)
    assert found == expected[0, 7:].tolist()
    assert len(set(found)) > 1


def counting(ids):
    """Score the successor of the last token highest, modulo 5; every row of scores differs."""
    return F.one_hot((ids + 1) % 5, 5).float()


def test_greedy_by_hand():
    assert greedy_continuation(counting, torch.tensor([4, 1]), 4) == [2, 3, 4, 0]
    assert greedy_continuation(counting, torch.tensor([4, 1]), 0) == []
    assert greedy_continuation(counting, torch.tensor([4, 1]), 9, stop=3) == [2, 3]
    # A stop token in the prompt ends nothing.
    assert greedy_continuation(counting, torch.tensor([3]), 3, stop=3) == [4, 0, 1]
