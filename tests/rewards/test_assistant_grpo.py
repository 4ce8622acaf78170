"""The recipe: its task, its log, a resumed run, and what the stored stage scores."""

from dataclasses import replace

import pytest
import torch

from course_lib.assistant.arithmetic import Question
from course_lib.assistant.evaluation import SAMPLED
from course_lib.assistant.runs import stage_score
from course_lib.assistant.stages import load_stage, stage_folder, stage_log
from course_lib.rewards import Measures
from course_lib.rewards.assistant_grpo import (
    GRPO_STAGE,
    PLAN,
    RewardRun,
    arithmetic_task,
    assistant_training,
    exact,
)


def short_stage():
    plan = replace(PLAN, steps=2, warmup=1, prompts=2, group=4, max_new_tokens=24)
    return replace(
        GRPO_STAGE,
        start=lambda seed, before: assistant_training(replace(plan, seed=seed), start=before),
        look_every=1,
        save_every=1,
    )


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr("course_lib.assistant.runs.LOOK_QUESTIONS", 4)
    monkeypatch.setattr("course_lib.rewards.assistant_grpo.WATCHED", 1)


def test_the_reward_is_one_for_the_right_number_at_the_end():
    question = Question(347, 496)
    assert exact(question, "7+6=13 4+9+1=14 3+4+1=8 so 843.") == 1.0
    assert exact(question, "843 so 844.") == 0.0
    assert exact(question, "so 843") == 0.0


def test_the_task_asks_in_the_chat_template():
    task = arithmetic_task()
    text = task.decode(list(task.prompt(Question(347, 496))))
    assert text.startswith("<|im_start|>user\nWhat is 347 plus 496?<|im_end|>")
    assert text.endswith("<|im_start|>assistant\n")
    assert task.decode([task.stop_id]) == "<|im_end|>"


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path, quick_looks):
    stage = short_stage()
    whole = RewardRun(stage, tmp_path / "whole")
    whole.go_on()
    RewardRun(stage, tmp_path / "parts").go_on(1)
    parts = RewardRun(stage, tmp_path / "parts")
    parts.go_on()
    assert all(map(torch.equal, whole.model.parameters(), parts.model.parameters()))
    seconds = [{k: v for k, v in each.items() if k != "seconds"} for each in whole.records]
    assert seconds == [{k: v for k, v in each.items() if k != "seconds"} for each in parts.records]
    assert not any(map(torch.equal, whole.model.blocks.parameters(),
                       load_stage("assistant").blocks.parameters()))  # fmt: skip


def test_the_log_holds_measures_and_answers():
    log = stage_log("assistant-grpo")
    assert [each["step"] for each in log] == list(range(0, PLAN.steps + 1, GRPO_STAGE.look_every))
    for record in log[1:]:
        assert set(Measures._fields) <= set(record)
    for record in log:
        assert all(set(each) == {"question", "text", "right"} for each in record["answers"])


def test_the_stored_stage_has_learned():
    before, after = (
        stage_score(load_stage(name), True, SAMPLED, 60) for name in ("assistant", "assistant-grpo")
    )
    assert after.exact > 2 * before.exact
    assert after.shares["thinking"] > 0.85
    card = (stage_folder("assistant-grpo") / "README.md").read_text(encoding="utf-8")
    assert "# assistant-grpo" in card
