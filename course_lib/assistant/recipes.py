"""The assistant's stages: what each starts from, what it reads, and for how long.

    arithmetic-pages  pages about sums, from random weights; ten minutes on one core
    arithmetic-base   the same with wider gaps, from arithmetic-pages; two minutes
    assistant         conversations, from the base; a minute
    assistant-dpo     its own answers in pairs, plain over chatter, from the assistant

Taught in:        fine_tuning
Checked against:  the logs and model cards of the stored stages
"""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from course_lib.assistant.arithmetic import WAYS, answer, conversation, draw_question, way_of
from course_lib.assistant.base_text import base_batch
from course_lib.assistant.evaluation import SAMPLED, answers
from course_lib.assistant.runs import Stage
from course_lib.assistant.stages import load_folder, stage_folder
from course_lib.assistant.tokenizer import ROLES, role_tokenizer
from course_lib.device import seeded_draws
from course_lib.fine_tuning.labels import Example, chat_example
from course_lib.fine_tuning.new_tokens import copy_rows
from course_lib.fine_tuning.packing import pad_examples
from course_lib.fine_tuning.preference_training import Pair, PreferenceTraining, pair_batch
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
PAGES_PLAN = Plan(steps=2000, warmup=60, peak=3e-3, final=1e-4, betas=(0.9, 0.98))
BASE_PLAN = Plan(steps=500, warmup=20, peak=1.5e-3, final=1e-4, betas=(0.9, 0.98))
BASE_ROWS, BASE_LENGTH = 24, 80

CHAT_PLAN = Plan(steps=60, warmup=5, peak=1e-3, final=1e-4, weight_decay=0.0)
CHAT_ROWS = 32

PAIR_PLAN = Plan(steps=40, warmup=4, peak=5e-5, final=5e-6, weight_decay=0.0)
PAIRS, PAIR_ROWS, BETA = 256, 16, 0.1
WAY_SHARES = (0.35, 0.35, 0.30)  # of the conversations, in the order of WAYS


def fresh_base(seed: int = 0) -> DecoderLM:
    """Return the untrained base model, the same each time."""
    with seeded_draws(seed):
        return build_model(CONFIG)


def draw_pages(step: int, generator: torch.Generator, varied: bool = False) -> Batch:
    """Return the pages of a step."""
    return base_batch(role_tokenizer(), BASE_ROWS, BASE_LENGTH, generator, varied)


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


def own_pairs(model: DecoderLM, count: int, seed: int = 0) -> list[Pair]:
    """Return pairs of the model's own answers: a plain one, chosen over one with chatter.

    Nothing is said about which answer is right.
    """
    tokenizer, source, pairs = role_tokenizer(), random.Random(f"pairs {seed}"), list[Pair]()
    while len(pairs) < count:
        asked = [each for each in (draw_question(source) for _ in range(64)) for _ in range(4)]
        replies = answers(model, tokenizer, asked, SAMPLED, source.randrange(2**31))
        for i in range(0, len(asked), 4):
            by_way = {way_of(reply): reply for reply in replies[i : i + 4]}
            plain = by_way.get("thinking", by_way.get("direct"))
            if plain is not None and "chatter" in by_way:
                both = (conversation(asked[i], reply) for reply in (plain, by_way["chatter"]))
                pairs.append(Pair(*(chat_example(tokenizer, each) for each in both)))
    return pairs[:count]


def open_roles(model: DecoderLM) -> None:
    """Start the tokens of the chat template from tokens that the base model knows."""
    copy_rows(model, role_sources())


def role_sources() -> dict[int, int]:
    """Return the tokens of the chat template, each with the known token that it starts from."""
    tokenizer = role_tokenizer()
    special, ids = tokenizer.special_tokens, tokenizer.vocabulary
    sources = {special[name]: ids[b"\n"] for name in (START, END)}
    return sources | {ids[role.encode()]: ids[b" "] for role in ROLES}


def start_pages(seed: int, before: Path | None = None) -> Training:
    """Return the training on pages of one layout, before its first step."""
    return Training(fresh_base(seed), draw_pages, replace(PAGES_PLAN, seed=seed))


def start_base(seed: int, before: Path | None = None) -> Training:
    """Return the training on pages with wider gaps, before its first step."""
    model = load_folder(before or stage_folder("arithmetic-pages"))
    return Training(model, partial(draw_pages, varied=True), replace(BASE_PLAN, seed=seed))


def start_pairs(seed: int, before: Path | None = None) -> Training:
    """Return the training on pairs, before its first step."""
    model = load_folder(before or stage_folder("assistant"))
    pairs = own_pairs(model, PAIRS, seed)

    def draw(step: int, generator: torch.Generator) -> Batch:
        chosen = torch.randint(len(pairs), (PAIR_ROWS,), generator=generator)
        return pair_batch([pairs[i] for i in chosen.tolist()])

    return PreferenceTraining(model, draw, replace(PAIR_PLAN, seed=seed), BETA)


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
            "arithmetic-pages",
            "The first part of a base model: it has read pages about sums (worksheets of "
            "questions, solutions, tables of digits) in which an answer follows its question at "
            "once. Fine-tuned on conversations it does badly: it looks for the operands at a fixed "
            "distance.",
            start_pages,
            chats=False,
            look_every=200,
            save_every=200,
        ),
        Stage(
            "arithmetic-base",
            "A base model: `arithmetic-pages` after more pages, most of which leave a gap between "
            "question and answer. It continues pages; it knows no roles and no end of a turn.",
            start_base,
            chats=False,
            look_every=50,
            save_every=100,
        ),
        Stage(
            "assistant",
            "The base model `arithmetic-base` after a short fine-tuning on conversations with "
            "right answers: thinking step by step, answering directly, or with chatter. Only "
            "thinking is often right.",
            start_chats,
        ),
        Stage(
            "assistant-dpo",
            "The `assistant` after DPO on pairs of its own answers, a plain one chosen over one "
            "with chatter. Nothing told it which answers are right.",
            start_pairs,
            look_every=10,
            save_every=10,
        ),
    )
}
