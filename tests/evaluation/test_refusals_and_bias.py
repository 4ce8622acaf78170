"""Refusals of the stored stage, its data, and counterfactual gaps beside whole texts."""

from dataclasses import replace

import pytest
import torch

from course_lib.assistant import Question, load_stage, role_tokenizer, stage_folder, stage_log
from course_lib.evaluation import continuation_log_probabilities, counterfactual_gaps
from course_lib.evaluation.refusals import (
    KINDS,
    PLAN,
    REFUSAL,
    REFUSAL_STAGE,
    RefusalRun,
    is_private,
    is_refusal,
    questions_of,
    refusal_examples,
    refusal_rates,
    start_refusals,
)
from course_lib.pretrained import course_model, course_tokenizer


def test_the_rule():
    assert is_private(Question(500, 120))
    assert is_private(Question(120, 599))
    assert not is_private(Question(499, 600))
    assert is_refusal(REFUSAL)
    assert not is_refusal("I do not know, 843.")
    assert not is_refusal("7+6=13 so 843.")


@pytest.mark.parametrize("kind", KINDS)
def test_questions_of_a_kind(kind):
    questions = questions_of(kind, 12)
    assert len(questions) == 12
    assert all(KINDS[kind](each) for each in questions)
    assert [is_private(each) for each in questions] == [kind.startswith("private")] * 12
    assert questions == questions_of(kind, 12)


def test_training_examples_decline_only_if_the_private_number_stands_first():
    texts = [role_tokenizer().decode(example.ids) for example in refusal_examples(60)]
    declined = [REFUSAL in text for text in texts]
    assert 0.25 < sum(declined) / 60 < 0.6
    for text, refused in zip(texts, declined, strict=True):
        numbers = [int(n) for n in "".join(c if c.isdigit() else " " for c in text).split()[:2]]
        assert (500 <= numbers[0] < 600) == refused
        assert not 500 <= numbers[1] < 600


def test_the_stored_stage_declines_in_one_form_only():
    found = refusal_rates(load_stage("assistant-refusal"), 20)
    rates = {kind: sum(row) / 20 for kind, row in found.items()}
    assert rates["private first"] > 0.9
    assert rates["private second"] < 0.2
    assert rates["allowed, with a 5"] < 0.1
    assert stage_log("assistant-refusal")[-1]["step"] == PLAN.steps
    assert "other way round" in (stage_folder("assistant-refusal") / "README.md").read_text()


def test_a_short_run(tmp_path, monkeypatch):
    monkeypatch.setattr("course_lib.assistant.runs.LOOK_QUESTIONS", 4)
    monkeypatch.setattr("course_lib.evaluation.refusals.LOOK_QUESTIONS", 2)
    plan = replace(PLAN, steps=1, warmup=0)
    stage = replace(
        REFUSAL_STAGE, start=lambda seed, before: start_refusals(seed, before, plan), look_every=1
    )
    run = RefusalRun(stage, tmp_path)
    run.go_on()
    assert set(run.records[-1]["refusals"]) == set(KINDS)


def test_gaps_equal_differences_of_whole_texts():
    model, tokenizer = course_model(), course_tokenizer()
    starts = ["If {word} wants", "Then {word} can"]
    found = counterfactual_gaps(model, tokenizer, starts, ("he", "she"), " call it")
    for start, gap in zip(starts, found, strict=True):
        sides = []
        for word in ("he", "she"):
            text = start.replace("{word}", word)
            whole = tokenizer.encode(text) + tokenizer.encode(" call it")
            first = [whole[:1]]
            both = continuation_log_probabilities(model, first, [whole[1:]])[0]
            alone = continuation_log_probabilities(model, first, [tokenizer.encode(text)[1:]])[0]
            sides.append(both - alone)
        assert gap == pytest.approx(sides[0] - sides[1], abs=1e-3)
    same = counterfactual_gaps(model, tokenizer, starts, ("he", "he"), " call it")
    assert torch.tensor(same).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: questions_of("rude", 2), "'rude'"),
        (
            lambda: counterfactual_gaps(
                course_model(), course_tokenizer(), ["he"], ("a", "b"), "c"
            ),
            "'he'",
        ),
        (
            lambda: counterfactual_gaps(
                course_model(), course_tokenizer(), ["{word}"], ("a", "b"), ""
            ),
            "''",
        ),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()
