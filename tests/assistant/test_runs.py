"""A stage in training: logged, resumed bit for bit, stored as transformers loads it."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from course_lib.assistant import runs
from course_lib.assistant.arithmetic import way_of
from course_lib.assistant.recipes import CHAT_PLAN, draw_chats, fresh_base, open_roles, own_pairs
from course_lib.assistant.runs import Stage, StageRun
from course_lib.assistant.stages import load_folder, load_stage
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.device import seeded
from course_lib.fine_tuning.labels import IGNORED
from course_lib.training.loop import Training

PLAN = replace(CHAT_PLAN, steps=6, warmup=1)


def start(seed, before):
    model = fresh_base(seed)
    open_roles(model)
    return Training(model, draw_chats(replace(PLAN, seed=seed)), replace(PLAN, seed=seed))


TINY = Stage("tiny", "A small one.", start, look_every=2, save_every=2)


@pytest.fixture(autouse=True)
def _few_questions(monkeypatch):
    monkeypatch.setattr(runs, "LOOK_QUESTIONS", 3)
    monkeypatch.setattr(runs, "CARD_QUESTIONS", 4)
    monkeypatch.setattr(runs, "completions", partial(runs.completions, max_new_tokens=2))


def test_a_run_in_pieces_is_the_same_run_bit_for_bit(tmp_path):
    whole = StageRun(TINY, tmp_path / "whole")
    whole.go_on()
    StageRun(TINY, tmp_path / "pieces").go_on(until=3)
    rest = StageRun(TINY, tmp_path / "pieces")
    assert rest.training.done == 3
    rest.go_on()
    one, other = whole.model.state_dict(), rest.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [each["step"] for each in whole.records] == [0, 2, 4, 6]


def test_a_stored_stage_loads_and_has_a_card(tmp_path):
    run = StageRun(TINY, tmp_path / "run", seed=1)
    run.go_on()
    run.store(tmp_path / "model", torch.float32)
    again = load_folder(tmp_path / "model").state_dict()
    assert all(torch.equal(part, again[name]) for name, part in run.model.state_dict().items())
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "# tiny" in card
    assert "On 4 questions" in card
    assert "| seed | 1 |" in card


def test_the_seed_decides_the_data():
    one, same, other = (draw_chats(replace(PLAN, seed=s))(0, seeded(0)).ids for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert one.shape != other.shape or not torch.equal(one, other)


def test_own_pairs_choose_a_plain_answer_over_chatter():
    tokenizer = role_tokenizer()
    for pair in own_pairs(load_stage("assistant"), 5):
        texts = [
            tokenizer.decode([i for i in example.labels if i != IGNORED]).removesuffix("<|im_end|>")
            for example in pair
        ]
        assert way_of(texts[0]) in ("thinking", "direct")
        assert way_of(texts[1]) == "chatter"
        starts = [[label != IGNORED for label in each.labels].index(True) for each in pair]
        assert pair.chosen.ids[: starts[0]] == pair.rejected.ids[: starts[1]]
