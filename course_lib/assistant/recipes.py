"""The assistant's stages: what each starts from, what it reads, and for how long.

    arithmetic-base   pages about sums, from random weights; ten minutes on one core
    assistant         conversations, from the base; half a minute
    assistant-dpo     its own answers in pairs, plain over chatter, from the assistant

Taught in:        fine_tuning
Checked against:  the logs and model cards of the stored stages
"""

import random
from dataclasses import replace
from pathlib import Path

import torch

from course_lib.assistant.arithmetic import WAYS, answer, conversation, draw_question
from course_lib.assistant.base_text import base_batch
from course_lib.assistant.runs import Stage
from course_lib.assistant.stages import load_folder, stage_folder
from course_lib.assistant.tokenizer import ROLES, role_tokenizer
from course_lib.device import seeded_draws
from course_lib.fine_tuning.labels import Example, chat_example
from course_lib.fine_tuning.new_tokens import copy_rows
from course_lib.fine_tuning.packing import pad_examples
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.tokenization.chat import END, START
from course_lib.training.data import Batch
from course_lib.training.loop import Draw, Plan, Training

CONFIG = ModelConfig(
    vocab_size=role_tokenizer().vocab_size,
    hidden_size=128,
    intermediate_size=352,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=256,
    rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    tie_word_embeddings=True,
)
BASE_PLAN = Plan(steps=2000, warmup=60, peak=3e-3, final=1e-4, betas=(0.9, 0.98))
BASE_ROWS, BASE_LENGTH = 24, 80

CHAT_PLAN = Plan(steps=60, warmup=5, peak=1e-3, final=1e-4, weight_decay=0.0)
CHAT_ROWS = 32
WAY_SHARES = (0.35, 0.35, 0.30)  # of the conversations, in the order of WAYS


def fresh_base(seed: int = 0) -> DecoderLM:
    """Return the untrained base model, the same each time."""
    with seeded_draws(seed):
        return build_model(CONFIG)


def draw_base(step: int, generator: torch.Generator) -> Batch:
    """Return the pages of a step."""
    return base_batch(role_tokenizer(), BASE_ROWS, BASE_LENGTH, generator)


def chat_examples(count: int, seed: int = 0) -> list[Example]:
    """Return conversations with right answers, in each way by its share, as ids and labels."""
    source, examples = random.Random(f"conversations {seed}"), []
    for _ in range(count):
        question = draw_question(source)
        (way,) = source.choices(WAYS, WAY_SHARES)
        messages = conversation(question, answer(question, way, source))
        examples.append(chat_example(role_tokenizer(), messages, CONFIG.max_position_embeddings))
    return examples


def draw_chats(plan: Plan) -> Draw:
    """Return the function that draws the conversations of a step: each is read once."""
    examples = chat_examples(plan.steps * CHAT_ROWS, plan.seed)

    def draw(step: int, generator: torch.Generator) -> Batch:
        return pad_examples(examples[step * CHAT_ROWS : (step + 1) * CHAT_ROWS])

    return draw


def open_roles(model: DecoderLM) -> None:
    """Start the tokens of the chat template from tokens that the base model knows."""
    copy_rows(model, role_sources())


def role_sources() -> dict[int, int]:
    """Return the tokens of the chat template, each with the known token that it starts from."""
    tokenizer = role_tokenizer()
    special, ids = tokenizer.special_tokens, tokenizer.vocabulary
    sources = {special[name]: ids[b"\n"] for name in (START, END)}
    return sources | {ids[role.encode()]: ids[b" "] for role in ROLES}


def start_base(seed: int, before: Path | None = None) -> Training:
    """Return the training of the base model, before its first step."""
    return Training(fresh_base(seed), draw_base, replace(BASE_PLAN, seed=seed))


def start_chats(seed: int, before: Path | None = None) -> Training:
    """Return the training on conversations, before its first step."""
    model = load_folder(before or stage_folder("arithmetic-base"))
    open_roles(model)
    plan = replace(CHAT_PLAN, seed=seed)
    return Training(model, draw_chats(plan), plan)


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "arithmetic-base",
            "A base model: it has read pages about sums (worksheets of questions, solutions, "
            "tables of digits) and continues such pages. It knows no roles and no end of a turn.",
            start_base,
            chats=False,
            look_every=100,
            save_every=100,
        ),
        Stage(
            "assistant",
            "The base model `arithmetic-base` after a short fine-tuning on conversations with "
            "right answers: thinking step by step, answering directly, or with chatter. Only "
            "thinking is often right.",
            start_chats,
        ),
    )
}
