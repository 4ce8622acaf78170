import math

import pytest
import torch

from course_lib.device import seeded
from course_lib.fine_tuning.reward_head import (
    RewardModel,
    bradley_terry_loss,
    last_token,
    log_sigmoid,
)


def test_log_sigmoid_everywhere():
    x = torch.tensor([-1e4, -30.0, -1.0, 0.0, 2.0, 1e4], requires_grad=True)
    torch.testing.assert_close(log_sigmoid(x), torch.nn.functional.logsigmoid(x))
    log_sigmoid(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.sigmoid(-x.detach()))


def test_the_loss_by_hand_and_its_symmetry():
    chosen, rejected = torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0])
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert bradley_terry_loss(chosen, rejected).item() == pytest.approx(expected)
    shifted = bradley_terry_loss(chosen + 5, rejected + 5)
    torch.testing.assert_close(shifted, bradley_terry_loss(chosen, rejected))


def test_the_last_real_token_on_either_side():
    real = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]]).bool()
    assert last_token(real).tolist() == [1, 3, 3]
    with pytest.raises(ValueError, match="none in row 1"):
        last_token(torch.tensor([[True], [False]]))


def test_against_transformers(model, theirs):
    import transformers

    ids = torch.randint(1, 43, (3, 6), generator=seeded(2))
    lengths = torch.tensor([6, 3, 4])
    real = torch.arange(6) < lengths[:, None]
    ids = ids.where(real, 0)
    ours = RewardModel(model)
    config = theirs.config
    config.num_labels = 1
    judge = transformers.Qwen3ForSequenceClassification(config).eval()
    judge.model.load_state_dict(theirs.model.state_dict())
    judge.score.load_state_dict(ours.score.state_dict())
    with torch.no_grad():
        expected = judge(ids, attention_mask=real.long()).logits[:, 0]
        torch.testing.assert_close(ours(ids, real), expected, rtol=0, atol=1e-5)


def test_padding_does_not_change_a_reward(model, ids):
    judge = RewardModel(model)
    real = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        expected = judge(ids, real)
        padded = torch.cat((ids, torch.zeros(3, 2, dtype=torch.long)), 1)
        mask = torch.cat((real, torch.zeros(3, 2, dtype=torch.bool)), 1)
        torch.testing.assert_close(judge(padded, mask), expected, rtol=0, atol=1e-6)


def test_a_reward_model_learns_which_of_two_is_better(model):
    judge = RewardModel(model)
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    good, bad = torch.tensor([[3, 5, 7]] * 2), torch.tensor([[3, 5, 8]] * 2)
    real = torch.ones(2, 3, dtype=torch.bool)
    losses = []
    for _ in range(15):
        loss = bradley_terry_loss(judge(good, real), judge(bad, real))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2), abs=0.5)
    assert losses[-1] < 0.1
