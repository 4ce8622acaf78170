"""Conversations about a drawing as ids and labels: a picture first, then questions and answers.

    <|im_start|>user
    <image><image><image><image>
    What colour is the circle?<|im_end|>
    <|im_start|>assistant
    red<|im_end|>
    ...

Several questions about one picture share its visual tokens, which makes training cheaper; each is
also asked alone when a model is measured. Without a picture (no visual tokens) the same
conversation shows what can be guessed from the questions alone.

Taught in:        multimodal
Checked against:  the ids of the chat template, text by text
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from course_lib.fine_tuning.labels import IGNORED, Example, answer_header, answer_labels
from course_lib.tokenization.chat import END, START
from course_lib.vision.captions import IMAGE, drawing_tokenizer, full_caption
from course_lib.vision.questions import Question, ask, ask_any
from course_lib.vision.splice import expand_example
from course_lib.vision.world import Scenes, Thing

DESCRIBE = "Describe the picture."
TURNS = 4  # questions in a conversation of training


class Turn(NamedTuple):
    """What is said to the model, and what it should answer."""

    text: str
    answer: str


def conversation_example(turns: Sequence[Turn], visual_tokens: int) -> Example:
    """Return the ids and labels of a conversation, with room for a picture before the first turn.

    `visual_tokens` 0 leaves the picture out.
    """
    if not turns:
        raise ValueError("a conversation has at least one turn; got none.")
    tokenizer = drawing_tokenizer()
    placeholder, end = tokenizer.special_tokens[IMAGE], tokenizer.special_tokens[END]
    header, line = answer_header(tokenizer), tokenizer.encode_ordinary("\n")
    ids: list[int] = []
    for place, turn in enumerate(turns):
        ids += [tokenizer.special_tokens[START], *tokenizer.encode_ordinary("user\n")]
        if place == 0 and visual_tokens:
            ids += [placeholder, *line]
        ids += [*tokenizer.encode_ordinary(turn.text), end, *line, *header]
        ids += [*tokenizer.encode_ordinary(turn.answer), end, *line]
    example = Example(ids, answer_labels(ids, header, end))
    return expand_example(*example, placeholder, visual_tokens) if visual_tokens else example


def prompt_ids(question: str, visual_tokens: int) -> list[int]:
    """Return the ids of one question, up to where the answer begins."""
    example = conversation_example([Turn(question, "")], visual_tokens)
    return example.ids[: next(i for i, label in enumerate(example.labels) if label != IGNORED)]


def question_turns(things: Sequence[Thing], source: random.Random) -> list[Turn]:
    """Return several random questions about things, with their answers."""
    asked = [ask_any(things, source) for _ in range(TURNS)]
    return [Turn(each.text, each.answer) for each in asked]


def caption_turns(things: Sequence[Thing]) -> list[Turn]:
    """Return the request for a description, and the description of each thing in reading order."""
    return [Turn(DESCRIBE, ", ".join(full_caption(thing) for thing in things))]


def drawn_questions(
    scenes: Scenes, kind: str, source: random.Random
) -> tuple[list[int], list[Question]]:
    """Return the rows of the scenes in which this kind can be asked, and a question for each."""
    drawn = [(row, ask(kind, scenes.things(row), source)) for row in range(len(scenes))]
    return [row for row, q in drawn if q is not None], [q for _, q in drawn if q is not None]
