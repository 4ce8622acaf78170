"""The proof finds what it should, and every declaration is complete."""

from dataclasses import replace

import pytest
import torch

from course_lib import generation, softmax
from course_lib.chapters.generation import answers
from course_lib.generation import processors
from course_lib.study.chapter_parts import all_exercises, exercises_of, find_exercise
from course_lib.study.check import bank_proof as proof
from course_lib.study.check import mutation_score
from course_lib.study.check.mutation_score import MutationScore
from course_lib.study.check.spec import Alternative, Misconception

ALL = all_exercises()
WITHOUT_GENERATOR = {  # forty runs, of a model or in an interpreter, would take seconds
    "self_check.continue_texts",
    "flash_attention.leg",
}


def not_holding(exercise):
    return [finding for finding in proof.findings(exercise) if not finding.holds]


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
def test_declaration_is_complete(exercise):
    assert len(exercise.misconceptions) >= 3
    assert exercise.hints
    assert len(exercise.alternatives) >= 3
    assert exercise.generator or exercise.id in WITHOUT_GENERATOR
    assert 1 <= exercise.difficulty <= 3
    assert exercise.reference is not exercise.solution
    assert exercise.statement.endswith(".")
    for named in (exercise.probes, exercise.misconceptions, exercise.alternatives):
        assert len({each.name for each in named}) == len(named)


def test_ids_are_unique_and_belong_to_their_notebook():
    ids = [each.id for each in ALL]
    assert len(set(ids)) == len(ids)
    for slug in {each.id.split(".")[0] for each in ALL}:
        assert exercises_of(slug)


@pytest.fixture
def planted(monkeypatch):
    """Replace one exercise of the bank by a changed copy, as long as the test runs."""

    def plant(exercise_id="softmax.stable", **changes):
        changed = replace(find_exercise(exercise_id), **changes)
        monkeypatch.setattr("course_lib.study.check.judge.find_exercise", lambda _: changed)
        return changed

    return plant


def test_a_mistake_that_passes_is_found(planted):
    harmless = Misconception("harmless", lambda x, dim=-1: torch.softmax(x, dim), "It is right.")
    found = not_holding(planted(misconceptions=(harmless,)))
    assert [each.claim for each in found] == ["mistake: harmless"]


def test_two_mistakes_that_probes_cannot_tell_apart_are_found(planted):
    first = find_exercise("softmax.stable").misconceptions[0]
    found = not_holding(planted(misconceptions=(first, replace(first, name="twin"))))
    assert [each.claim for each in found] == ["mistake: twin"]
    assert first.name in found[0].found


def test_a_right_answer_that_barely_passes_is_found(planted):
    def rough(x, dim=-1):
        return torch.softmax(x, dim) * (1 + 7e-5 if x.dtype is torch.float32 else 1)

    found = not_holding(planted(alternatives=(Alternative("rough", rough),)))
    assert [each.claim for each in found] == ["half of the tolerance, alternative: rough"]


def test_a_reference_that_is_the_solution_is_found(planted):
    found = not_holding(planted(reference=lambda x, dim=-1: softmax.stable_softmax(x, dim)))
    assert [each.claim for each in found] == ["the reference stands alone"]
    assert "course_lib.softmax.stable_softmax" in found[0].found


def test_a_reference_that_leans_on_a_chapters_answers_is_found(planted):
    def reference(*given):
        return answers.filtered_distribution(*given)

    found = not_holding(planted("generation.distribution", reference=reference))
    assert [each.claim for each in found] == ["the reference stands alone"]
    assert "chapters.generation.answers.filtered_distribution" in found[0].found


def test_a_reference_that_leans_on_what_an_answer_calls_is_found(planted):
    def reference(logits, temperature, k, p):
        kept = generation.keep_top_k(logits / temperature, k)
        return generation.keep_top_p(kept, p).softmax(-1)

    found = not_holding(planted("generation.distribution", reference=reference))
    assert [each.claim for each in found] == ["the reference stands alone"]
    assert "course_lib.generation.processors.keep_top_k" in found[0].found


def test_what_an_earlier_chapter_teaches_may_be_used(planted):
    def reference(logits, temperature, k, p):
        return softmax.stable_softmax(alone(logits, temperature, k, p).log())

    alone = find_exercise("generation.distribution").reference
    assert not_holding(planted("generation.distribution", reference=reference)) == []


def test_functions_are_in_order_again_after_the_proof(planted):
    exercise = planted("generation.distribution", reference=answers.filtered_distribution)
    before = answers.filtered_distribution, generation.keep_top_k, processors.keep_top_k
    not_holding(exercise)
    assert before == (answers.filtered_distribution, generation.keep_top_k, processors.keep_top_k)


def test_a_wrong_solution_is_found(planted):
    found = not_holding(planted(solution=softmax.naive_softmax))
    assert "the solution" in [each.claim for each in found]


def test_table_counts_what_is_there(monkeypatch):
    monkeypatch.setattr(mutation_score, "INPUTS", 50)
    two = [find_exercise("softmax.gradient"), find_exercise("language_models.narrow")]
    table, problems = proof.bank_report(two)
    assert problems == []
    heading, *rows, total = (line.split() for line in table.splitlines())
    assert heading == list(proof.COLUMNS)
    counted = [dict(zip(heading, row, strict=True)) for row in rows]
    for each, row in zip(two, counted, strict=True):
        assert (row["exercise"], row["probes"]) == (each.id, str(len(each.probes)))
        assert row["generated"] == "40"
        assert row["alternatives"] == str(len(each.alternatives))
        assert row["mistakes"] == row["diagnosed"] == str(len(each.misconceptions))
        assert int(row["mutants"]) == int(row["killed"]) + int(row["equivalent"]) >= 20
        assert (row["survivors"], row["holds"]) == ("0", "yes")
    sums = [str(sum(int(row[name]) for row in counted)) for name in heading[1:-1]]
    assert total == ["2", "exercises", *sums, "yes"]


def test_problems_are_sentences_and_the_table_says_no(planted, monkeypatch):
    monkeypatch.setattr(proof, "mutation_score", lambda _: MutationScore(0, 0, ()))
    table, problems = proof.bank_report([planted(solution=softmax.naive_softmax)])
    assert problems[0].startswith("softmax.stable, the solution: softmax.stable: not yet")
    assert [line.split()[-1] for line in table.splitlines()] == ["holds", "NO", "NO"]
