"""Rollouts write what `generate` writes, and their log-probabilities are those of a whole pass."""

import pytest
import torch

from course_lib.device import seeded
from course_lib.generation import Sampling, Stop, generate, left_pad
from course_lib.model import ModelConfig, build_model
from course_lib.rewards import answer_log_probabilities, sample_answers

STOP = 3
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 4]]


@pytest.fixture(scope="module")
def model():
    config = ModelConfig(
        vocab_size=13,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=32,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def sampled(model, **changes):
    settings = {"group": 4, "max_new_tokens": 9, "stop_id": STOP, "generator": seeded(1)}
    return sample_answers(model, PROMPTS, **settings | changes)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_answers_are_those_of_generate(model, temperature):
    ours = sampled(model, temperature=temperature)
    ids, padding = left_pad([prompt for prompt in PROMPTS for _ in range(4)])
    theirs = generate(
        model,
        ids,
        9,
        Sampling(temperature=temperature),
        padding=padding,
        stop=Stop((STOP,)),
        generator=seeded(1),
    )
    assert torch.equal(ours.answers, theirs)
    assert torch.equal(ours.prompts, ids)
    lengths = ours.mask.sum(-1)
    assert lengths.min() < lengths.max()
    for row, length in zip(ours.answers.tolist(), lengths.tolist(), strict=True):
        assert STOP not in row[: length - 1]
        assert row[length - 1] == STOP or length == 9


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_of_one_row_at_a_time(model, temperature):
    rollouts = sampled(model, temperature=temperature)
    again = answer_log_probabilities(model, rollouts, temperature)
    torch.testing.assert_close(again, rollouts.log_probabilities, atol=2e-5, rtol=0)
    for i, answer in enumerate(rollouts.rows()):
        text = [*PROMPTS[i // 4], *answer]
        log_p = (model(torch.tensor([text[:-1]])).logits[0] / temperature).log_softmax(-1)
        start = len(PROMPTS[i // 4]) - 1
        expected = log_p[torch.arange(start, len(text) - 1), torch.tensor(answer)]
        torch.testing.assert_close(again[i, : len(answer)], expected, atol=1e-5, rtol=0)
        assert (again[i, len(answer) :] == 0).all()


def test_gradients_flow_and_padding_adds_none(model):
    rollouts = sampled(model)
    answer_log_probabilities(model, rollouts).sum().backward()
    whole = model.lm_head.weight.grad.clone()
    model.zero_grad()
    for i, answer in enumerate(rollouts.rows()):
        text = torch.tensor([[*PROMPTS[i // 4], *answer]])
        log_p = model(text[:, :-1]).logits[0].log_softmax(-1)[-len(answer) :]
        log_p.gather(-1, text[0, -len(answer) :, None]).sum().backward()
    torch.testing.assert_close(whole, model.lm_head.weight.grad, atol=1e-4, rtol=1e-4)
    model.zero_grad()


class TestBadInput:
    def test_an_answer_longer_than_the_context(self, model):
        with pytest.raises(ValueError, match=r"context of 32 tokens; got a prompt of 5 and .* 40"):
            sampled(model, max_new_tokens=40)

    def test_no_answers_and_no_chance(self, model):
        with pytest.raises(ValueError, match="group=0"):
            sampled(model, group=0)
        with pytest.raises(ValueError, match=r"greater than 0; got 0\.0"):
            sampled(model, temperature=0.0)
        with pytest.raises(ValueError, match="at least one row"):
            sample_answers(model, [], 2, 3, STOP)
