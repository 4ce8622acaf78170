"""The stored stages: they load everywhere, and they keep what their cards promise."""

import re

import pytest
import torch

from course_lib.assistant.arithmetic import held_out_questions
from course_lib.assistant.evaluation import SAMPLED, answers, chat_prompts, score
from course_lib.assistant.recipes import CONFIG, STAGES, fresh_base, open_roles, role_sources
from course_lib.assistant.runs import stage_score
from course_lib.assistant.stages import FOLDER, load_stage, stage_folder, stage_log
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.fine_tuning.new_tokens import embedding
from course_lib.generation.processors import GREEDY
from course_lib.generation.text_model import load


@pytest.mark.parametrize("name", STAGES)
def test_the_files_are_small_and_complete(name):
    folder = stage_folder(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.5e6
    assert load_stage(name).config == CONFIG
    steps = re.search(r"\| steps \| (\d+) \|", (folder / "README.md").read_text("utf-8"))
    assert stage_log(name)[-1]["step"] == int(steps[1])


@pytest.mark.parametrize("name", STAGES)
def test_transformers_loads_a_stage_with_the_same_ids_and_logits(name):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, tokenizer = stage_folder(name), role_tokenizer()
    (ids,) = chat_prompts(tokenizer, held_out_questions(1))
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    reader = AutoTokenizer.from_pretrained(folder)
    assert reader(tokenizer.decode(ids))["input_ids"] == ids
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits
        found = load_stage(name)(torch.tensor([ids])).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    end = "<|im_end|>" if STAGES[name].chats else "<|endoftext|>"
    assert theirs.generation_config.eos_token_id == tokenizer.special_tokens[end]
    if STAGES[name].chats:
        chat = [{"role": "user", "content": str(held_out_questions(1)[0])}]
        found = reader.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert found == ids


@pytest.mark.parametrize("name", STAGES)
def test_cards_say_what_is_measured(name):
    card = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    said = float(re.search(r"\| exact \| ([\d.]+) \| ([\d.]+)", card)[2])
    found = stage_score(load_stage(name), STAGES[name].chats, GREEDY, 60)
    assert found.exact == pytest.approx(said, abs=0.17)


def test_the_front_door_chats_with_the_assistant():
    model, question = load(stage_folder("assistant")), held_out_questions(1)[0]
    said = "".join(model.chat([{"role": "user", "content": str(question)}]))
    expected = answers(load_stage("assistant"), role_tokenizer(), [question])
    assert [said] == expected


def test_thinking_is_what_makes_the_assistant_right():
    questions = held_out_questions(120)
    model, tokenizer = load_stage("assistant"), role_tokenizer()
    found = score(questions, answers(model, tokenizer, questions, SAMPLED))
    assert found.exact_of["thinking"] > 0.5
    assert found.exact_of["direct"] < 0.1
    assert min(found.shares[way] for way in ("thinking", "direct", "chatter")) > 0.15


def test_dpo_leaves_little_chatter():
    log = stage_log("assistant-dpo")
    assert log[-1]["chatter"] < log[0]["chatter"] / 3


def test_the_template_starts_from_known_tokens():
    model = fresh_base()
    before = embedding(model).clone()
    open_roles(model)
    for target, known in role_sources().items():
        assert torch.equal(embedding(model)[target], before[known])


def test_an_unknown_stage_is_named():
    with pytest.raises(ValueError, match=r"assistant.*got 'nobody'"):
        stage_folder("nobody")
