"""A tiny random model, ours and transformers', with the same weights; and texts to continue."""

import pytest
import torch
import transformers

from course_lib.device import seeded
from course_lib.model import DecoderLM, ModelConfig

V = 61
PAD = 60
SIZES = {
    "vocab_size": V,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 64,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
    "tie_word_embeddings": False,
}


def make_theirs(seed=0, name="Qwen3", **changes):
    torch.manual_seed(seed)
    config = getattr(transformers, f"{name}Config")(
        **{**SIZES, **changes}, bos_token_id=None, eos_token_id=None, pad_token_id=None
    )
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.15 * torch.randn_like(parameter)  # so that it has opinions
    return model


def make_ours(theirs, **changes):
    model = DecoderLM(ModelConfig(**{**SIZES, **changes})).eval().requires_grad_(False)
    state = dict(theirs.state_dict())
    model.load_state_dict(state, strict=True)
    return model


@pytest.fixture(scope="session")
def make_pair():
    """Return a maker of pairs, (transformers', ours), of a model with some sizes changed."""

    def make(seed=0, **changes):
        theirs = make_theirs(seed, **changes)
        return theirs, make_ours(theirs, **changes)

    return make


@pytest.fixture(scope="session")
def pair(make_pair):
    return make_pair()


@pytest.fixture(scope="session")
def theirs(pair):
    return pair[0]


@pytest.fixture(scope="session")
def model(pair):
    return pair[1]


@pytest.fixture(scope="session")
def ids():
    return torch.randint(V, (3, 9), generator=seeded(1))


@pytest.fixture(scope="session")
def their_generate(theirs):
    """Return what transformers generates after the prompt, without the prompt."""

    def run(ids, padding=None, **settings):
        mask = torch.ones_like(ids) if padding is None else padding.long()
        settings = {"do_sample": False, "pad_token_id": PAD, **settings}
        return theirs.generate(ids, attention_mask=mask, **settings)[:, ids.shape[1] :]

    return run
