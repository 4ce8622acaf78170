"""What the tests of parallelism share: a tiny decoder, a batch, and steps on one process."""

import copy

import pytest
import torch

from course_lib.model import DecoderLM, ModelConfig
from course_lib.training.gradients import clip_by_global_norm
from course_lib.training.objective import next_token_loss
from course_lib.training.optimizer import AdamW, decay_groups

CONFIG = ModelConfig(36, 24, 48, 2, 6, 6, 4, 64, tie_word_embeddings=True)
IDS = torch.randint(36, (5, 9), generator=torch.Generator().manual_seed(3))  # uneven for 2 to 4


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return DecoderLM(CONFIG)


def rows_of(comm):
    return IDS.tensor_split(comm.size)[comm.rank]


def loss_of(model, ids):
    return next_token_loss(model(ids).logits, ids)


def steps_on_one(model, steps=3, decay=0.1, limit=0.5, ids=IDS):
    """Return the weights after some steps on the whole batch."""
    model = copy.deepcopy(model)
    optimizer = AdamW(decay_groups(model, decay), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, ids).backward()
        clip_by_global_norm(model.parameters(), limit)
        optimizer.step()
    return model.state_dict()


def largest_gap(found, wanted):
    assert found.keys() == wanted.keys()
    return max((found[name] - wanted[name]).abs().max().item() for name in wanted)
