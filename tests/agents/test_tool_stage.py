"""The recipe: its tasks, its labels, a resumed run, and what the stored stage can do."""

import json
import random
from dataclasses import replace

import pytest
import torch

import course_lib
from course_lib.agents import Agent, Budget, argument_problems, make_tool, parse_reply, search_tool
from course_lib.agents.call_grammar import turn_grammar
from course_lib.agents.model_brain import ModelBrain
from course_lib.agents.standard_tools import calculator
from course_lib.agents.tool_stage import (
    PLAN,
    TOOL_STAGE,
    ToolRun,
    answer_tool,
    measured_tasks,
    right_share,
    start_tools,
    tool_answers,
    tool_examples,
)
from course_lib.agents.tool_tasks import (
    FAILED,
    PLACES,
    arithmetic_task,
    draw_task,
    failed,
    held_out_tasks,
    is_right,
    place_tasks,
    share_right,
)
from course_lib.assistant import (
    is_held_out,
    load_stage,
    role_tokenizer,
    stage_folder,
    stage_log,
)
from course_lib.assistant.recipes import CONFIG

TOOLS = [make_tool(calculator, isolated=False), search_tool(k=1, shown=20)]


def test_tasks_are_right():
    source = random.Random(0)
    for _ in range(300):
        task = draw_task(source)
        assert is_right(task, task.answer)
        if task.call is not None and task.call[0] == "calculator" and task.answer != FAILED:
            assert calculator(**task.call[1]) == task.result
            assert not is_held_out(*map(abs, map(int, _operands(task))))
        if task.call is not None:
            [call] = parse_reply(task.call_text).calls
            assert (call.name, dict(call.arguments)) == task.call


def _operands(task):
    expression = task.call[1]["expression"]
    for sign in "+*-":
        if sign in expression:
            return expression.split(sign)
    raise AssertionError(expression)


def test_held_out_tasks_are_held_out_and_stay_the_same():
    tasks = held_out_tasks("product", 3, 30)
    assert tasks == held_out_tasks("product", 3, 30)
    assert all(is_held_out(*map(int, _operands(task))) for task in tasks)
    assert len({task.question for task in tasks}) == 30
    assert len(place_tasks()) == len(PLACES) == 20


def test_right_answers():
    task = arithmetic_task("product", 12, 5)
    assert is_right(task, "60.")
    assert is_right(task, "1+2=3 so 60.")
    assert not is_right(task, "160.")
    assert not is_right(task, FAILED)
    assert is_right(failed(task, "x"), FAILED)
    assert share_right([task, task], ["60.", "61."]) == 0.5
    with pytest.raises(ValueError, match="0 tasks"):
        share_right([], [])


def test_results_are_read_and_not_learned():
    tokenizer, source = role_tokenizer(), random.Random("tool conversations 5")
    for example in tool_examples(40, 5):
        task = draw_task(source)
        written = tokenizer.decode([label for label in example.labels if label >= 0])
        call = "" if task.call is None else f"{task.call_text}<|im_end|>"
        assert written == f"{call}{task.answer}<|im_end|>"
        assert len(example.ids) <= CONFIG.max_position_embeddings


def short_stage():
    plan = replace(PLAN, steps=3, warmup=1)
    return replace(
        TOOL_STAGE,
        start=lambda seed, before: start_tools(seed, before, plan),
        look_every=2,
        save_every=1,
    )


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("course_lib.agents.tool_stage.ROWS", 2)
    monkeypatch.setattr("course_lib.agents.tool_stage.LOOK_COUNT", 1)
    monkeypatch.setattr("course_lib.agents.tool_stage.CARD_COUNT", 1)
    monkeypatch.setattr("course_lib.agents.tool_stage.MEASURED", (("product", 3),))
    monkeypatch.setattr("course_lib.agents.tool_stage.PLACES", PLACES[:1])
    monkeypatch.setattr("course_lib.agents.tool_tasks.PLACES", PLACES[:1])
    monkeypatch.setattr("course_lib.agents.tool_stage.CALL_TOKENS", 4)


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path, quick):
    whole = ToolRun(short_stage(), tmp_path / "whole", 1)
    whole.go_on()
    ToolRun(short_stage(), tmp_path / "parts", 1).go_on(1)
    parts = ToolRun(short_stage(), tmp_path / "parts", 1)
    parts.go_on()
    states = whole.model.state_dict(), parts.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    whole.store(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert "| product 3x3 | 0" in card
    assert "calculator" in card


def test_the_stored_stage_uses_its_tools():
    model = load_stage("assistant-tools")
    tasks = held_out_tasks("product", 2, 12, seed=7)
    logged = stage_log("assistant-tools")[-1]
    assert logged["product 2x2"] > 0.5
    assert right_share(model, tasks) >= 0.5
    assert right_share(model, tasks, lambda name, arguments: "error: out of order.") <= 0.1


def test_the_files_are_small_and_complete():
    folder = stage_folder("assistant-tools")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.5e6
    card = (folder / "README.md").read_text("utf-8")
    assert f"| steps | {PLAN.steps} |" in card
    log = stage_log("assistant-tools")
    assert [each["step"] for each in log] == list(range(0, PLAN.steps + 1, TOOL_STAGE.look_every))
    for name in measured_tasks(1):
        assert f"| {name} | " in card


def test_the_batched_conversations_are_those_of_the_loop():
    model = course_lib.load(stage_folder("assistant-tools"), device="cpu")
    question = "What is 38 times 57?"
    [talk] = tool_answers(load_stage("assistant-tools"), [question])
    run = Agent(ModelBrain(model), TOOLS, Budget(steps=3)).run(question)
    assert run.end == "answered"
    assert run.answer == talk[-1]["content"]
    called = [c["function"] for m in run.messages for c in m.get("tool_calls", ())]
    [written] = parse_reply(talk[1]["content"]).calls
    assert called[0] == {"name": written.name, "arguments": dict(written.arguments)}


def test_a_grammar_makes_calls_valid():
    model = course_lib.load(stage_folder("assistant-tools"), device="cpu")
    brain = ModelBrain(model, constrained=True)
    asked = [{"role": "user", "content": "What is 73519 times 62847?"}]
    reply = brain.reply(asked, TOOLS)
    assert reply.errors == ()
    assert reply.tokens > 0
    for call in reply.calls:
        [tool] = [tool for tool in TOOLS if tool.name == call.name]
        assert argument_problems(call.arguments, tool.parameters) == []


def test_the_grammar_of_turns():
    grammar = turn_grammar(TOOLS)

    def block(name, **arguments):
        body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
        return f"<tool_call>\n{body}\n</tool_call>"

    good = block("calculator", expression="1<2")
    for text in ("hello", good, f"{good}\n{block('search', query='é')}", "a: b > c\n"):
        assert grammar.matches(text.encode()), text
    wrong = [block("find", query="x"), block("search", expression="x"), block("search", query=1)]
    for text in ("", f"a{good}", good[:-1], "a <b", *wrong):
        assert not grammar.matches(text.encode()), text
    with pytest.raises(ValueError, match="at least one tool"):
        turn_grammar([])


def test_tools_of_the_training():
    assert answer_tool("calculator", {"expression": "6*7"}) == "42"
    assert answer_tool("calculator", {"expression": "1/0"}).startswith("error")
    assert answer_tool("search", {"query": "dedent"}).startswith("textwrap.dedent: ")
    assert answer_tool("search", {"query": "lost"}).startswith("error")
    assert answer_tool("search", {}).startswith("error")
