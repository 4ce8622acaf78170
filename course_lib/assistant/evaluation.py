"""How good the assistant is: exact answers, sampled and greedy, by way of answering.

Taught in:        fine_tuning
Checked against:  answers counted by hand
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from course_lib.assistant.arithmetic import WAYS, Question, conversation, is_right, way_of
from course_lib.assistant.tokenizer import END_OF_TEXT
from course_lib.device import seeded
from course_lib.generation.cached_reader import left_pad
from course_lib.generation.decoding import generate
from course_lib.generation.processors import GREEDY, Sampling
from course_lib.generation.stopping import Stop
from course_lib.model import DecoderLM
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import END, encode_chat

ANSWER_TOKENS = 48  # thinking takes 33
SAMPLED = Sampling(temperature=1.0)


@dataclass(frozen=True)
class Score:
    """Shares of a set of answers."""

    count: int
    exact: float
    shares: dict[str, float]  # of the answers, for each way of answering and "other"
    exact_of: dict[str, float]  # exact among the answers of each way

    def __str__(self) -> str:
        parts = [f"{way} {self.shares[way]:.0%}" for way in self.shares]
        return f"exact {self.exact:.0%} of {self.count}; {', '.join(parts)}"


def chat_prompts(tokenizer: ByteBPE, questions: Sequence[Question]) -> list[list[int]]:
    """Return the ids of each question as a chat, up to where the answer begins."""
    return [encode_chat(tokenizer, conversation(each), True) for each in questions]


def text_prompts(tokenizer: ByteBPE, questions: Sequence[Question], gap: str) -> list[list[int]]:
    """Return the ids of each question as the base model has read it: a page that begins with it."""
    first = tokenizer.special_tokens[END_OF_TEXT]
    return [[first, *tokenizer.encode_ordinary(f"{each}{gap}")] for each in questions]


def completions(
    model: DecoderLM,
    tokenizer: ByteBPE,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling = GREEDY,
    seed: int = 0,
    max_new_tokens: int = ANSWER_TOKENS,
) -> list[str]:
    """Return what the model writes after each prompt, all in one batch."""
    ends = tuple(tokenizer.special_tokens[name] for name in (END, END_OF_TEXT))
    ids, padding = left_pad(prompts)
    device = model.lm_head.weight.device
    written = generate(
        model,
        ids.to(device),
        max_new_tokens,
        sampling,
        padding=padding.to(device),
        stop=Stop(ends),
        generator=seeded(seed),
    )
    return [tokenizer.decode(_until(row, ends)) for row in written.tolist()]


def _until(ids: list[int], ends: tuple[int, ...]) -> list[int]:
    return ids[: next((i for i, token in enumerate(ids) if token in ends), len(ids))]


@torch.no_grad()
def answers(
    model: DecoderLM,
    tokenizer: ByteBPE,
    questions: Sequence[Question],
    sampling: Sampling = GREEDY,
    seed: int = 0,
) -> list[str]:
    """Return the assistant's answer to each question."""
    return completions(model, tokenizer, chat_prompts(tokenizer, questions), sampling, seed)


def score(questions: Sequence[Question], replies: Sequence[str]) -> Score:
    """Return how many answers are exact, and how they are divided among the ways of answering."""
    if not questions or len(questions) != len(replies):
        raise ValueError(
            "there must be one answer to each question, and at least one; got "
            f"{len(questions)} questions and {len(replies)} answers."
        )
    found, right = Counter[str](), Counter[str]()
    for question, reply in zip(questions, replies, strict=True):
        found[way := way_of(reply)] += 1
        right[way] += is_right(question, reply)
    kinds = (*WAYS, "other")
    return Score(
        count=len(questions),
        exact=right.total() / len(questions),
        shares={kind: found[kind] / len(questions) for kind in kinds},
        exact_of={kind: right[kind] / found[kind] if found[kind] else 0.0 for kind in kinds},
    )
