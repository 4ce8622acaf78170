"""A stage of the assistant in training: like any run, but it measures answers, and stores a chat.

Taught in:        fine_tuning
Checked against:  a run that was stopped and one that was not; the stored folder in transformers
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from course_lib.assistant.arithmetic import held_out_questions
from course_lib.assistant.card import card
from course_lib.assistant.evaluation import (
    SAMPLED,
    Score,
    chat_prompts,
    completions,
    score,
    text_prompts,
)
from course_lib.assistant.tokenizer import END_OF_TEXT, role_tokenizer
from course_lib.atomic_write import write_whole_text
from course_lib.checkpoint import save_model, save_tokenizer
from course_lib.generation.processors import GREEDY, Sampling
from course_lib.model import DecoderLM
from course_lib.tokenization.chat import CHATML_TEMPLATE, END
from course_lib.tokenization.chat_template import TEMPLATE_FILE
from course_lib.training.loop import Training
from course_lib.training.runs import LoggedRun, Record

LOOK_QUESTIONS, CARD_QUESTIONS = 100, 500
GAP = " "  # after a question on a page, so that an answer comes


@dataclass(frozen=True)
class Stage:
    """One stage: how its training is set up, how often it is measured, and what its card says."""

    name: str
    summary: str
    start: Callable[[int, Path | None], Training]  # the seed, and the folder of the stage before
    chats: bool = True  # whether it answers in the chat template, or continues text
    look_every: int = 20
    save_every: int = 20


class StageRun(LoggedRun):
    """A stage in training in a folder."""

    shown = ("sampled", "greedy")

    def __init__(
        self, stage: Stage, folder: Path, seed: int = 0, start: Path | None = None
    ) -> None:
        self.stage, self.tokenizer = stage, role_tokenizer()
        super().__init__(stage.start(seed, start), folder, stage.look_every, stage.save_every)

    def look(self) -> Record:
        """Return the share of exact answers to held-out questions, and that of each way."""
        sampled, greedy = (self.score(each, LOOK_QUESTIONS) for each in (SAMPLED, GREEDY))
        return {
            "sampled": sampled.exact,
            "greedy": greedy.exact,
            **sampled.shares,
            "exact of thinking": round(sampled.exact_of["thinking"], 4),
        }

    def score(self, sampling: Sampling, count: int) -> Score:
        """Return how good the model's answers to held-out questions are."""
        return stage_score(self.model, self.stage.chats, sampling, count)

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the model as `transformers` loads it, with its log and its card."""
        special = self.tokenizer.special_tokens
        end = END if self.stage.chats else END_OF_TEXT
        words = {"bos_token_id": special[END_OF_TEXT], "eos_token_id": special[end]}
        words["pad_token_id"] = special[END_OF_TEXT]
        save_model(_converted(self.model, dtype), folder, words)
        save_tokenizer(self.tokenizer, folder)
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END_OF_TEXT,
            "eos_token": end,
            "pad_token": END_OF_TEXT,
        }
        _write_json(folder / "tokenizer_config.json", settings)
        _write_json(folder / "generation_config.json", {**words, "do_sample": False})
        if self.stage.chats:
            write_whole_text(folder / TEMPLATE_FILE, CHATML_TEMPLATE)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
        write_whole_text(folder / "README.md", self.card())

    def card(self) -> str:
        """Return the model card as Markdown."""
        scores = {name: self.score(how, CARD_QUESTIONS) for name, how in (
            ("sampled", SAMPLED), ("greedy", GREEDY))}  # fmt: skip
        return card(self.stage.name, self.stage.summary, self.training, self.records, scores)


@torch.no_grad()
def stage_score(model: DecoderLM, chats: bool, sampling: Sampling, count: int) -> Score:
    """Return how good answers to the first held-out questions are, in a chat or after a text."""
    questions, tokenizer = held_out_questions(count), role_tokenizer()
    prompts = (
        chat_prompts(tokenizer, questions) if chats else text_prompts(tokenizer, questions, GAP)
    )
    return score(questions, completions(model, tokenizer, prompts, sampling))


def _converted(model: DecoderLM, dtype: torch.dtype) -> DecoderLM:
    """Return a copy of the model in a different number type."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    return copy.to(dtype)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    write_whole_text(path, json.dumps(content, indent=2) + "\n")
