import pytest
import torch

from course_lib.assistant.arithmetic import Question, held_out_questions
from course_lib.assistant.evaluation import (
    SAMPLED,
    chat_prompts,
    completions,
    score,
    text_prompts,
)
from course_lib.assistant.recipes import fresh_base
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.generation import generate


def test_a_score_by_hand():
    questions = [Question(100, 200), Question(101, 200), Question(347, 496), Question(100, 100)]
    replies = ["300.", "300.", "7+6=13 4+9+1=14 3+4+1=8 so 843.", "no"]
    found = score(questions, replies)
    assert found.exact == 0.5
    assert found.shares == {"thinking": 0.25, "direct": 0.5, "chatter": 0.0, "other": 0.25}
    assert found.exact_of == {"thinking": 1.0, "direct": 0.5, "chatter": 0.0, "other": 0.0}
    assert str(found).startswith("exact 50% of 4; thinking 25%")


def test_a_batch_of_different_lengths_gives_what_each_row_gives_alone():
    model, tokenizer = fresh_base().eval(), role_tokenizer()
    questions = held_out_questions(4)
    prompts = chat_prompts(tokenizer, questions)
    assert len({len(each) for each in prompts}) > 1
    together = completions(model, tokenizer, prompts, max_new_tokens=8)
    for prompt, found in zip(prompts, together, strict=True):
        ids = generate(model, torch.tensor([prompt]), 8)[0].tolist()
        assert found == tokenizer.decode(ids) or "<|" in tokenizer.decode(ids)


def test_sampling_follows_its_seed():
    model, tokenizer = fresh_base().eval(), role_tokenizer()
    prompts = chat_prompts(tokenizer, held_out_questions(3))
    one, same, other = (
        completions(model, tokenizer, prompts, SAMPLED, seed, max_new_tokens=6)
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_page_begins_with_the_separator():
    tokenizer = role_tokenizer()
    (ids,) = text_prompts(tokenizer, [Question(100, 200)], "\n")
    assert tokenizer.decode(ids) == "<|endoftext|>What is 100 plus 200?\n"


def test_as_many_answers_as_questions():
    with pytest.raises(ValueError, match="1 questions and 0 answers"):
        score([Question(1, 2)], [])
