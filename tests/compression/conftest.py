"""What the tests of this folder share: a small model, matrices, inputs that vary together."""

import copy

import pytest
import torch

from course_lib.device import seeded
from course_lib.model import DecoderLM, ModelConfig
from course_lib.pretrained import course_model


@pytest.fixture
def small():
    """Return a model with every size different, and rows of ids for it."""
    config = ModelConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=64,
        tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DecoderLM(config)
    for parameter in model.parameters():
        parameter.data *= 8 if parameter.dim() == 2 else 1
    return model.eval().requires_grad_(False)


@pytest.fixture
def ids():
    return torch.randint(0, 50, (6, 12), generator=seeded(1))


@pytest.fixture
def course():
    return copy.deepcopy(course_model())


@pytest.fixture
def correlated():
    """Return inputs (200, 12) whose features vary together, and a matrix (5, 12) for them."""
    generator = seeded(2)
    mix = torch.randn(12, 12, generator=generator)
    x = torch.randn(200, 12, generator=generator) @ (mix + torch.eye(12))
    return x, torch.randn(5, 12, generator=generator)
