"""Sums of two numbers of three digits, asked in words and judged by a verifier.

Taught in:        evaluation
Checked against:  `course_lib.assistant.score` on the same questions
Shapes:           none
"""

from collections.abc import Sequence

from course_lib.assistant.arithmetic import Question, conversation, held_out_questions, is_right
from course_lib.evaluation.harness import Item, Task, replies
from course_lib.evaluation.results import ItemScore, Measured
from course_lib.generation.text_model import TextModel

NEW_TOKENS = 48


def items(count: int, seed: int) -> list[Item]:
    """Return questions that no stage of the assistant was trained on."""
    questions = held_out_questions(count, seed)
    return [Item(f"{each.a}+{each.b}", (each.a, each.b, each.phrasing)) for each in questions]


def run(model: TextModel, chosen: Sequence[Item], seed: int) -> list[ItemScore]:
    """Return for each question whether the greedy answer ends with the right number."""
    questions = [Question(*item.content) for item in chosen]
    written = replies(model, [conversation(each) for each in questions], NEW_TOKENS)
    return [
        ItemScore(item.id, {"exact": Measured(float(is_right(question, text)))}, text)
        for item, question, text in zip(chosen, questions, written, strict=True)
    ]


TASK = Task(
    name="sums",
    version=1,
    summary="exact answers to sums of three digits, greedy",
    count=100,
    items=items,
    run=run,
)
