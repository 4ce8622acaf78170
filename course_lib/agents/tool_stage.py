"""The recipe `assistant-tools`: the small assistant learns to call a calculator and a search.

It starts from the base model `arithmetic-base` and reads conversations with calls, results and
answers. Only what the assistant says is a target: the call and the answer, never the result, which
the tool writes. The names of the two tools and the layout of a call are learned by heart; a model
of this size does not read descriptions of tools.

Taught in:        agents
Paper:            Schick et al. 2023, arXiv:2302.04761 (a model that learns to call tools)
Checked against:  the stored log and model card; a run that was stopped and one that was not
Shapes:           none
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from course_lib.agents.calls import parse_reply
from course_lib.agents.standard_tools import calculator
from course_lib.agents.tool_tasks import (
    PLACES,
    SEEN,
    ToolTask,
    draw_task,
    held_out_tasks,
    place_task,
    place_tasks,
    share_right,
)
from course_lib.assistant.card import card_page, table
from course_lib.assistant.evaluation import completions
from course_lib.assistant.recipes import CONFIG, open_roles
from course_lib.assistant.runs import Stage, StageRun
from course_lib.assistant.stages import load_folder, stage_folder
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.fine_tuning.labels import Example, chat_example
from course_lib.fine_tuning.packing import pad_examples
from course_lib.model import DecoderLM
from course_lib.tokenization.chat import Message, encode_chat
from course_lib.training.data import Batch
from course_lib.training.loop import Draw, Plan, Training
from course_lib.training.runs import Record

PLAN = Plan(steps=600, warmup=20, peak=2e-3, final=1e-4, betas=(0.9, 0.98), weight_decay=0.01)
ROWS = 32
CALL_TOKENS = 110
TURNS = 3
LOOK_COUNT, CARD_COUNT = 20, 100
MEASURED = (  # kind, digits of both numbers
    ("sum", 3), ("product", 2), ("product", 3), ("product", 4), ("product", 5),
)  # fmt: skip

ABILITY = (
    "It asks a calculator for sums, differences and products of two numbers, and a search for the "
    "module of a name; it does nothing else."
)

Ask = Callable[[str, dict[str, Any]], str]  # a tool's name and its arguments; its result


def tool_examples(count: int, seed: int) -> list[Example]:
    """Return conversations as ids and labels."""
    source, examples = random.Random(f"tool conversations {seed}"), []
    for _ in range(count):
        messages = draw_task(source).messages()
        examples.append(chat_example(role_tokenizer(), messages, CONFIG.max_position_embeddings))
    return examples


def draw_tool_chats(plan: Plan) -> Draw:
    """Return the function that draws the conversations of a step: each is read once."""
    examples = tool_examples(plan.steps * ROWS, plan.seed)

    def draw(step: int, generator: torch.Generator) -> Batch:
        return pad_examples(examples[step * ROWS : (step + 1) * ROWS])

    return draw


def start_tools(seed: int, before: Path | None = None, plan: Plan = PLAN) -> Training:
    """Return the training on conversations with calls, before its first step."""
    model = load_folder(before or stage_folder("arithmetic-base"))
    open_roles(model)
    plan = replace(plan, seed=seed)
    return Training(model, draw_tool_chats(plan), plan)


TOOL_STAGE = Stage(
    "assistant-tools",
    "The base model `arithmetic-base` after fine-tuning on conversations with calls of a "
    "calculator and of a search. It writes a call, reads the result in a turn of its own, and "
    "answers from it.",
    start_tools,
    look_every=100,
    save_every=100,
)


def answer_tool(name: str, arguments: dict[str, Any]) -> str:
    """Return what the calculator or a search among `PLACES` answers, errors as text."""
    try:
        if name == "calculator":
            return calculator(arguments["expression"])[:SEEN]
        found = [place_task(m, n, "") for m, n in PLACES if n == arguments["query"]]
        return found[0].result or "" if found else "error: nothing found."
    except (ValueError, KeyError) as error:
        return f"error: {error}"[:SEEN]


def tool_answers(
    model: DecoderLM, questions: Sequence[str], ask: Ask = answer_tool
) -> list[list[Message]]:
    """Return the conversation about each question, in which the model may call tools.

    All conversations go on together, one batch for each turn.
    """
    tokenizer = role_tokenizer()
    talks: list[list[Message]] = [[{"role": "user", "content": each}] for each in questions]
    running = list(range(len(talks)))
    for _ in range(TURNS):
        prompts = [encode_chat(tokenizer, talks[i], True) for i in running]
        replies = completions(model, tokenizer, prompts, max_new_tokens=CALL_TOKENS)
        still = []
        for i, text in zip(running, replies, strict=True):
            talks[i].append({"role": "assistant", "content": text})
            reply = parse_reply(text)
            if reply.calls:
                call = reply.calls[0]
                result = ask(call.name, dict(call.arguments))
                talks[i].append({"role": "tool", "content": result})
                still.append(i)
        running = still
        if not running:
            break
    return talks


def right_share(model: DecoderLM, tasks: Sequence[ToolTask], ask: Ask = answer_tool) -> float:
    """Return the share of tasks that a model answers rightly, with the tools of `ask`."""
    talks = tool_answers(model, [task.question for task in tasks], ask)
    return share_right(tasks, [str(talk[-1]["content"]) for talk in talks])


def measured_tasks(count: int) -> dict[str, list[ToolTask]]:
    """Return the held-out tasks by name: arithmetic of several sizes, and places."""
    arithmetic = {f"{kind} {n}x{n}": held_out_tasks(kind, n, count) for kind, n in MEASURED}
    return {**arithmetic, "place": place_tasks()}


class ToolRun(StageRun):
    """A stage that learns to call tools; its log holds the share of right answers by task."""

    shown = ("product 3x3", "place")

    def look(self) -> Record:
        """Return the share of right answers to held-out tasks of each kind."""
        return self.shares(LOOK_COUNT)

    def shares(self, count: int) -> Record:
        """Return the share of right answers for each kind of task."""
        tasks = measured_tasks(count)
        return {name: round(right_share(self.model, each), 4) for name, each in tasks.items()}

    def card(self) -> str:
        """Return the card of the stage as Markdown, with what it was measured on."""
        rows = [(name, f"{share:.2f}") for name, share in self.shares(CARD_COUNT).items()]
        scores = (
            f"Share of exactly right answers, greedy, on {CARD_COUNT} held-out questions of each "
            f"size and on the {len(PLACES)} names of the standard library that the search "
            "knows:\n\n" + table(("task", "right"), rows)
        )
        return card_page(
            self.stage.name, self.stage.summary, ABILITY, self.training, self.records, scores
        )
