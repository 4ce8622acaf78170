"""The loop learns a task, resumes bit for bit, and each method of the table learns too."""

import math
from dataclasses import replace

import pytest
import torch

from course_lib.model import ModelConfig, build_model
from course_lib.rewards import (
    OBJECTIVES,
    RewardPlan,
    RewardTraining,
    Task,
    answer_texts,
    sample_answers,
)

CONFIG = ModelConfig(
    vocab_size=8,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    max_position_embeddings=16,
    tie_word_embeddings=True,
)
STOP = 7
LETTERS = "abcdefg"
PLAN = RewardPlan(
    steps=12, prompts=4, group=6, max_new_tokens=4, peak=2e-2, final=2e-3, warmup=1, seed=3
)


def model(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(CONFIG)


def repeats(question, text):
    """Worth the fraction of the answer that repeats the letter asked for."""
    return text.count(question) / 4


def stepped(training):
    training.step()
    return training.measures


TASK = Task(
    draw=lambda source: source.choice("abc"),
    prompt=lambda question: [LETTERS.index(question)],
    reward=repeats,
    decode=lambda ids: "".join(LETTERS[i] for i in ids),
    stop_id=STOP,
)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_method_learns_a_small_task(name):
    plan = replace(PLAN, steps=40, objective=OBJECTIVES[name])
    training = RewardTraining(model(), TASK, plan, model())
    rewards = [stepped(training).reward for _ in range(40)]
    assert sum(rewards[-5:]) > 2 * sum(rewards[:5])


def test_a_reward_of_nothing_teaches_nothing():
    plan = replace(PLAN, objective=replace(PLAN.objective, kl_weight=0.0))
    training = RewardTraining(model(), replace(TASK, reward=lambda *_: 0.5), plan)
    before = [p.clone() for p in training.model.parameters()]
    report = training.step()
    assert training.measures.silent == 1.0
    assert report.norm == 0.0
    assert all(map(torch.equal, before, training.model.parameters()))


def test_a_resumed_run_is_the_run_without_interruption(tmp_path):
    whole = RewardTraining(model(), TASK, PLAN, model())
    reports = [(whole.step(), whole.measures) for _ in range(6)]
    first = RewardTraining(model(), TASK, PLAN, model())
    for _ in range(3):
        first.step()
    first.save(tmp_path / "state.pt")
    second = RewardTraining(model(seed=1), TASK, PLAN, model())
    second.resume(tmp_path / "state.pt")
    assert [(second.step(), second.measures) for _ in range(3)] == reports[3:]
    assert all(map(torch.equal, whole.model.parameters(), second.model.parameters()))


def test_the_measures_of_the_first_update():
    training = RewardTraining(model(), TASK, PLAN, model())
    report, measures = training.step(), training.measures
    assert measures.kl == pytest.approx(0.0, abs=1e-6)
    assert measures.clipped == 0.0
    assert abs(report.loss) < 1e-5  # the ratio is 1, and the advantages of a group add up to 0
    assert report.norm > 0.01
    assert 0 < measures.surprise < 1.5 * math.log(8)
    assert 1 <= measures.length <= 4
    texts = training.judged.texts
    assert measures.reward == pytest.approx(training.judged.rewards.mean().item())
    assert len(texts) == 24


def test_several_updates_reuse_the_answers_and_meet_the_clip(tmp_path):
    plain = replace(PLAN.objective, kl_weight=0.0)
    plan = replace(PLAN, steps=24, updates=6, peak=0.1, objective=plain)
    training = RewardTraining(model(), TASK, plan)
    seen, clipped = [], []
    for _ in range(12):
        clipped.append(stepped(training).clipped)
        seen.append(training.judged)
    assert all(each is seen[0] for each in seen[:6])
    assert seen[6] is not seen[0]
    assert clipped[0] == clipped[6] == 0.0
    assert max(clipped) > 0
    assert math.isnan(training.measures.kl)
    training.step()
    with pytest.raises(ValueError, match=r"6 updates .* got 13 steps"):
        training.save(tmp_path / "state.pt")


def test_the_texts_leave_out_the_token_that_ends_them():
    rollouts = sample_answers(model(), [[0], [1]], 8, 4, STOP)
    for text, row in zip(answer_texts(rollouts, TASK), rollouts.rows(), strict=True):
        assert len(text) == len(row) - (row[-1] == STOP)


def test_a_reward_that_is_nan_stops_before_the_update():
    training = RewardTraining(model(), replace(TASK, reward=lambda *_: math.nan), PLAN)
    before = [p.clone() for p in training.model.parameters()]
    with pytest.raises(ValueError, match=r"got nan at \[0, 0\]"):
        training.step()
    assert all(map(torch.equal, before, training.model.parameters()))


def test_a_group_of_one_has_nothing_to_compare():
    with pytest.raises(ValueError, match="a group of 1"):
        RewardTraining(model(), TASK, replace(PLAN, group=1)).step()
