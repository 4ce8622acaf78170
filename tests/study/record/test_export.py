"""What a learner exports, and what is said about a file that is no such record."""

import json
from datetime import UTC, datetime

import pytest

from course_lib.study.chapter_parts import all_exercises
from course_lib.study.record.evidence import chapters
from course_lib.study.record.export import Export, as_json, exported, usable_name, write_export
from course_lib.study.record.export_reading import read_export
from course_lib.study.record.progress import ExerciseRecord, Store

AT = datetime(2031, 5, 4, 13, 30, 9, 250, tzinfo=UTC)


@pytest.fixture
def results(tmp_path):
    kept = Store(tmp_path / "p.sqlite")
    kept.record_exercise("softmax.stable", "not attempted")
    kept.record_exercise("softmax.stable", "not yet", "dim ignored")
    kept.record_exercise("softmax.stable", "not yet", "dim ignored")
    kept.record_exercise("softmax.stable", "your code raised")
    kept.record_hint("softmax.stable", 1)
    kept.record_exercise("softmax.stable", "passed")
    kept.record_exercise("softmax.stable", "not yet", "keepdim forgotten")
    kept.record_exercise("rope.rotate", "not yet", "halves swapped")
    kept.record_question("softmax.shift", False)
    kept.record_question("softmax.shift", True, (3, 4))
    return kept


def test_a_record_comes_back_with_the_same_evidence(results):
    export = exported(results, "Ada", at=AT)
    again = read_export(as_json(export))
    before, after = chapters(results), chapters(again)
    for was, now in zip(before, after, strict=True):
        assert was.evidence.exercises == now.evidence.exercises
        assert was.evidence.questions == now.evidence.questions
        assert was.evidence.assessed == now.evidence.assessed
    run = again.runs["softmax.stable"]
    assert (run.attempts, run.tries, run.hints) == (5, 4, 1)
    assert run.mistakes == {"dim ignored": 2}, "what came after it passed cost nothing"
    assert again.runs["rope.rotate"].tries == 1
    assert not again.runs["rope.rotate"].passed
    assert again.written == AT.replace(microsecond=0)


def test_it_holds_days_and_no_time_of_day(results):
    text = as_json(exported(results, "Ada", at=AT))
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    content = json.loads(text)
    assert content["exercises"]["softmax.stable"]["passed"] == today
    assert content["questions"]["softmax.shift"]["last"] == today
    assert text.count("T") == text.count(AT.strftime("T%H")) == 1, "only that of the export"


def test_only_the_chosen_notebooks_are_exported(results):
    export = exported(results, "Ada", ["rope"], AT)
    assert (export.notebooks, set(export.runs), set(export.answers)) == (
        ("rope",), {"rope.rotate"}, set()
    )  # fmt: skip
    assert "softmax" not in as_json(export)


def test_the_file_is_utf8_and_replaces_an_older_one(results, tmp_path):
    path = tmp_path / "Özlem.json"
    path.write_text("old", encoding="utf-8")
    write_export(path, exported(results, "  O\u0308zlem\nÇelik ", at=AT))
    assert read_export(path.read_text(encoding="utf-8")).name == "Özlem Çelik"


def test_a_file_that_a_report_would_not_find_is_not_written(results, tmp_path):
    for name in ("ada", "ada.txt"):
        with pytest.raises(ValueError, match=rf"{name}'\. Write .*--export ada\.json"):
            write_export(tmp_path / name, exported(results, "Ada", at=AT))
    assert list(tmp_path.glob("ada*")) == []


def test_every_mistake_that_an_exercise_names_can_be_read_back():
    names = {mistake.name for exercise in all_exercises() for mistake in exercise.misconceptions}
    run = ExerciseRecord(1, tries=1, mistakes=dict.fromkeys(sorted(names), 1))
    export = Export("Ada", AT, "1", ("softmax",), {"softmax.stable": run}, {})
    assert read_export(as_json(export)).runs["softmax.stable"].mistakes.keys() == names


@pytest.mark.parametrize("name", ["", "  \n", "x" * 81, "\u200b", None])
def test_a_record_needs_a_name(name):
    with pytest.raises(ValueError, match="--name"):
        usable_name(name)


def changed(results, change):
    content = json.loads(as_json(exported(results, "Ada", at=AT)))
    change(content)
    return json.dumps(content)


def run_of(content):
    return content["exercises"]["softmax.stable"]


def answer_of(content):
    return content["questions"]["softmax.shift"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("format"), "no record of this course"),
        (lambda c: c.update(version=2), "newer version of the course.*version 2"),
        (lambda c: c.update(version="1"), "no version.*'1'"),
        (lambda c: c.update(version=True), "no version"),
        (lambda c: c.update(name=7), "no usable name: 7"),
        (lambda c: c.update(written="yesterday"), "when it was written: 'yesterday'"),
        (lambda c: c.update(written="0001-01-01T00:00:00+14:00"), "when it was written"),
        (lambda c: c.pop("written"), "when it was written"),
        (lambda c: c.update(notebooks="softmax"), "no list under 'notebooks'"),
        (lambda c: c.update(notebooks=[4]), "a notebook that cannot be read: 4"),
        (lambda c: c.update(exercises=[]), "no exercises"),
        (lambda c: c.update(questions={"softmax.shift": 1}), "entry for 'softmax.shift'"),
        (lambda c: run_of(c).update(runs=-1), "count under 'runs' of softmax.stable: -1"),
        (lambda c: run_of(c).update(runs=1.5), "count under 'runs'"),
        (lambda c: run_of(c).update(runs=True), "count under 'runs'"),
        (lambda c: run_of(c).update(runs=3), "4 of 3 runs"),
        (lambda c: run_of(c).update(passed="2031-02-30"), "date under 'passed'.*2031-02-30"),
        (lambda c: run_of(c).update({"runs until passed": 0}), "0 of 5 runs"),
        (lambda c: run_of(c).update(mistakes={"a" * 999: 1}), "a mistake that cannot be read"),
        (lambda c: run_of(c).update(mistakes=None), "mistakes for softmax.stable"),
        (lambda c: run_of(c).update(mistakes={"\ud800": 1}), r"a mistake.*'\\ud800'"),
        (lambda c: c.update(course="\x1b[2J"), r"no text under 'course'.*x1b"),
        (lambda c: c["exercises"].update({"a\nb": {}}), "an id that cannot be read"),
        (lambda c: answer_of(c).update(right=3), "3 of 2 answers to softmax.shift"),
        (lambda c: answer_of(c).update(right=0), "0 of 2 answers"),
        (lambda c: answer_of(c).update({"last was right": False, "right": 2}), "2 of 2 answers"),
        (lambda c: answer_of(c).update({"criteria met": [5, 4]}), "5 of 4 criteria"),
        (lambda c: answer_of(c).update(last=None), "date under 'last'"),
        (lambda c: answer_of(c).update({"criteria met": [1]}), "two counts"),
        (lambda c: answer_of(c).pop("last was right"), "last answer"),
    ],
)
def test_what_is_wrong_with_a_record_is_named(results, change, said):
    with pytest.raises(ValueError, match=said):
        read_export(changed(results, change))


@pytest.mark.parametrize("text", ["", "{", '{"format": "llm-in', "nonsense", "[" * 100_000])
def test_a_file_that_was_cut_off_is_told_from_another_one(text):
    with pytest.raises(ValueError, match="cut off or damaged"):
        read_export(text)


@pytest.mark.parametrize("text", ["[]", "7", '{"cells": []}', "null"])
def test_another_json_file_is_left_alone(text):
    with pytest.raises(ValueError, match="no record of this course"):
        read_export(text)


def test_what_an_editor_puts_first_and_unknown_entries_do_no_harm(results):
    text = changed(results, lambda c: c.update(remark="by hand"))
    assert read_export("\ufeff" + text).runs.keys() == {"softmax.stable", "rope.rotate"}


def test_a_retired_exercise_counts_for_the_one_that_replaced_it(results, monkeypatch):
    from course_lib.study.record import export_reading

    now = {"softmax.old": "softmax.stable"}
    monkeypatch.setattr(export_reading, "current_exercise_id", lambda each: now.get(each, each))

    def add(content):
        run = {"runs": 2, "runs until passed": 2, "passed": "2020-01-01", "mistakes": {}}
        content["exercises"]["softmax.old"] = {**run, "hints": 0}

    run = read_export(changed(results, add)).runs["softmax.stable"]
    assert (run.tries, run.first_passed) == (2, datetime(2020, 1, 1, tzinfo=UTC))
