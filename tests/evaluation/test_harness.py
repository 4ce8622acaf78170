"""The harness beside scores computed without it; results that are kept, repeated and compared."""

import json
from dataclasses import replace

import pytest

import course_lib
from course_lib.assistant import answers, held_out_questions, load_stage, role_tokenizer, score
from course_lib.assistant.stages import stage_folder
from course_lib.cli import main
from course_lib.evaluation import passes
from course_lib.evaluation.command import comparison_text
from course_lib.evaluation.harness import (
    evaluate,
    find_task,
    finite,
    first_token_and,
    replies,
    task_names,
)
from course_lib.evaluation.results import ItemScore, Measured, Result
from course_lib.evaluation.tasks import documentation, programs
from course_lib.training.evaluation import text_bits_per_byte


@pytest.fixture(scope="module")
def course():
    return course_lib.load(device="cpu")


@pytest.fixture(scope="module")
def sums():
    found = {}
    for name in ("assistant", "assistant-grpo"):
        model = course_lib.load(stage_folder(name), device="cpu")
        found[name] = evaluate(model, find_task("sums"), str(stage_folder(name)), 20)
    return found


def test_sums_equal_the_assistants_own_score(sums):
    questions = held_out_questions(20)
    texts = answers(load_stage("assistant"), role_tokenizer(), questions)
    expected = score(questions, texts)
    result = sums["assistant"]
    assert result.metrics["exact"].value == pytest.approx(expected.exact)
    assert [each.answer for each in result.scores] == texts
    assert 0 < expected.exact < 1


def test_documentation_equals_the_training_evaluation(course):
    task = find_task("documentation")
    [item] = task.items(1, 0)
    short = item._replace(content=item.content[:600])
    [found] = task.run(course, [short], 0)
    ids = course.tokenizer.encode(short.content)
    expected = text_bits_per_byte(course.model, short.content, ids, course.defaults.first_id)
    assert found.values["bits per byte"].value == pytest.approx(expected, abs=1e-3)
    assert found.values["perplexity"].weight == len(first_token_and(course, short.content)) - 1
    with pytest.raises(ValueError, match="limit of 999"):
        documentation.items(999, 0)


def test_next_line_has_one_right_answer_in_four(course):
    task = find_task("next_line")
    items = task.items(8, 3)
    assert items == task.items(8, 3) != task.items(8, 4)
    assert all(len(set(item.content[1])) == 4 for item in items)
    result = evaluate(course, task, "course model", 3, seed=3)
    assert set(result.metrics) == {"sum", "per byte", "over prior"}
    assert [each.id for each in result.scores] == ["0", "1", "2"]


def test_programs_are_judged_by_their_tests(course):
    ends = {"length": "items)", "is_empty": "self", "absolute": "value)", "same": "value",
            "as_text": "value)", "is_none": "None", "first": "0]", "joined": "parts)",
            "is_text": "str)", "add": " + b"}  # fmt: skip
    for name, (start, tests) in programs.PROGRAMS.items():
        assert passes(f"{start}{ends[name]}\n", tests), name
        assert not passes(f"{start} nonsense (\n", tests), name
    result = evaluate(course, find_task("programs"), "course model", 2)
    assert set(result.metrics) == {"pass@1", "pass@5"}
    for each in result.scores:
        assert each.values["pass@1"].value <= each.values["pass@5"].value


def test_two_models_are_compared_in_pairs(sums):
    after, before = sums["assistant-grpo"], sums["assistant"]
    found = after.compared(before)["exact"]
    gaps = after.metrics["exact"].value - before.metrics["exact"].value
    assert found.difference.value == pytest.approx(gaps)
    assert found.disagreement.only_first - found.disagreement.only_second == round(20 * gaps)
    assert "McNemar" in comparison_text(after, before)
    with pytest.raises(ValueError, match="20 items, seed 1"):
        after.compared(replace(before, items_sha256="0", seed=1))


def test_a_result_is_read_back_as_it_was(sums, tmp_path):
    path = tmp_path / "result.json"
    sums["assistant"].save(path)
    assert Result.read(path) == sums["assistant"]
    stored = json.loads(path.read_text())
    needed = {
        "task",
        "version",
        "items_sha256",
        "weights_sha256",
        "seed",
        "limit",
        "torch",
        "dtype",
    }
    assert needed <= set(stored)
    path.write_text("{}")
    with pytest.raises(ValueError, match="no result"):
        Result.read(path)


def test_metrics_by_hand():
    scores = tuple(
        ItemScore(str(n), {"bits": Measured(value, weight), "perplexity": Measured(value, 1.0)})
        for n, (value, weight) in enumerate([(1.0, 3.0), (3.0, 1.0)])
    )
    result = Result(
        "t", 1, "i", "s", "w", "d", "cpu", 0, 2, "p", "t", "d", 0.0, (), ("perplexity",), scores
    )
    assert result.metrics["bits"].value == pytest.approx(1.5)
    assert result.metrics["perplexity"].value == pytest.approx(2.718281828**2)
    with pytest.raises(ValueError, match="'f1'"):
        result._column("f1")
    weighted = replace(result, scores=tuple(
        replace(each, values={"bits": Measured(1.0, 2.0)}) for each in scores))  # fmt: skip
    with pytest.raises(ValueError, match="bits per byte"):
        result._compared(weighted, "bits")


def test_replies_of_a_model_without_a_template_continue_the_text(course):
    [found] = replies(course, [[{"role": "user", "content": "import os\nimport "}]], 4)
    assert found == course.generate("import os\nimport ", 4, temperature=0.0)


def test_the_command_scores_compares_keeps_and_repeats(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    folder, kept = str(stage_folder("assistant")), str(tmp_path / "result.json")
    given = [folder, "--task", "sums", "--limit", "6", "--output", kept, "--against", folder]
    assert main(["evaluate", *given]) == 0
    assert "only one right: 0 and 0, McNemar p = 1" in capsys.readouterr().out
    assert main(["evaluate", "--repeat", kept]) == 0
    assert "Different scores: 0 of 6" in capsys.readouterr().out
    changed = json.loads((tmp_path / "result.json").read_text())
    changed["scores"][0]["values"]["exact"][0] = 0.5
    (tmp_path / "result.json").write_text(json.dumps(changed))
    assert main(["evaluate", "--repeat", kept]) == 1
    assert main(["evaluate"]) == 1
    listed = capsys.readouterr().out
    assert all(name in listed for name in task_names())
    assert main(["evaluate", "--task", "poetry"]) == 1
    assert "'poetry'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("def f():\n    return 1\n", True),
        ("def f():\n    return 2\n", False),
        ("def f():\n    print('x')\n    return 1\n", True),
        ("import sys\nsys.exit(0)\n", False),
        ("import os\nos._exit(0)\n", False),
        ("def f():\n    while True: pass\n", False),
        ("def f():\n    return bytearray(10**10)[0] + 1\n", False),
        ("def f(:\n", False),
        ("x = '\0'\n", False),
    ],
)
def test_the_sandbox(program, passed):
    assert passes(program, "assert f() == 1", seconds=2) is passed


def test_bad_input_is_an_error(course):
    with pytest.raises(ValueError, match="'poetry'"):
        find_task("poetry")
    with pytest.raises(ValueError, match="limit of 0"):
        evaluate(course, find_task("sums"), "course model", 0)
    with pytest.raises(ValueError, match="inf"):
        finite(float("inf"), "x")
    with pytest.raises(ValueError, match="0 seconds"):
        passes("", "", 0)
