"""A small tokenizer with roles, a tiny random model, and its twin in transformers."""

import pytest
import torch

from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.device import seeded, seeded_draws
from course_lib.model import DecoderLM, ModelConfig

SIZES = {
    "vocab_size": 43,
    "hidden_size": 24,
    "intermediate_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 64,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
    "tie_word_embeddings": True,
}


def make_model(seed=0, **changes):
    with seeded_draws(seed):
        model = DecoderLM(ModelConfig(**{**SIZES, **changes}))
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)  # so that it has opinions
    return model.eval()


def make_theirs(model):
    import transformers

    config = transformers.Qwen3Config(
        **{**SIZES, "vocab_size": model.config.vocab_size}, pad_token_id=0
    )
    theirs = transformers.Qwen3ForCausalLM(config).eval()
    theirs.load_state_dict(model.state_dict())
    return theirs


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def theirs(model):
    return make_theirs(model)


@pytest.fixture
def ids():
    return torch.randint(43, (3, 7), generator=seeded(1))


@pytest.fixture(scope="session")
def tokenizer():
    return role_tokenizer()
