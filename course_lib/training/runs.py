"""A run of a recipe in a folder: prepare, train or resume, watch, and store the model.

    FOLDER/tokenizer.json, *.tokens    the tokenizer and the texts as ids
    FOLDER/state.pt                    everything that determines the next step
    FOLDER/log.jsonl                   the measurements, a line for each record
    FOLDER/model/                      the finished model in the layout of the hub

Taught in:        training
Checked against:  a run that was killed and one that was not
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from course_lib import corpus
from course_lib.atomic_write import write_whole_text
from course_lib.checkpoint import load_tokenizer, save_model, save_tokenizer
from course_lib.device import can_compile
from course_lib.model import DecoderLM
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.evaluation import probe_repeats, text_bits_per_byte
from course_lib.training.loop import Training
from course_lib.training.recipes import SEPARATOR, Mixture, Recipe, train_tokenizer, write_corpus

LOOK_CHARACTERS = 8000  # of held-out documentation, scored at each look

Record = dict[str, Any]


class RecipeRun:
    """A recipe in training in a folder; created again with the same folder, it resumes."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe, self.folder = recipe, folder
        self.tokenizer = _prepared_tokenizer(recipe, folder)
        paths = [folder / f"{name}.tokens" for name, _ in recipe.shares]
        if not all(path.is_file() for path in paths):
            write_corpus(recipe, self.tokenizer, folder)
        compiled = recipe.compiled and can_compile()
        self.training = Training(
            recipe.fresh_model(), Mixture(recipe, paths), recipe.plan, compiled
        )
        self.records: list[Record] = []
        if self.state.is_file():
            self._resume()

    @property
    def state(self) -> Path:
        """The file of the training state."""
        return self.folder / "state.pt"

    @property
    def log(self) -> Path:
        """The file of the measurements."""
        return self.folder / "log.jsonl"

    @property
    def model(self) -> DecoderLM:
        """The model as it is now."""
        model = self.training.model
        assert isinstance(model, DecoderLM)
        return model

    def _resume(self) -> None:
        self.training.resume(self.state)
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.is_file() else []
        records = [json.loads(line) for line in lines if line.endswith("}")]
        # Records after the last saved state will be measured again.
        self.records = [each for each in records if each["step"] <= self.training.done]
        self._write_log()

    def go_on(
        self, until: int | None = None, watch: Callable[[Record], None] | None = None
    ) -> None:
        """Train to a step, or to the end of the plan; `watch` is called with each record."""
        last = min(until or self.recipe.plan.steps, self.recipe.plan.steps)
        before = self.records[-1]["seconds"] if self.records else 0.0
        began, losses = time.perf_counter(), []
        if not self.records:
            self._note(self._look([], 0.0), watch)
        bar = tqdm(initial=self.training.done, total=last, unit="step", file=sys.stdout)
        while self.training.done < last:
            losses.append(self.training.step().loss)
            bar.update()
            if self.training.done % self.recipe.look_every == 0 or self.training.done == last:
                self._note(self._look(losses, before + time.perf_counter() - began), watch)
                bar.set_postfix(_short(self.records[-1]))
                losses = []
            if self.training.done % self.recipe.save_every == 0 or self.training.done == last:
                self.training.save(self.state)
        bar.close()

    def _look(self, losses: list[float], seconds: float) -> Record:
        ids = self.tokenizer.encode_ordinary(text := corpus.held_out_text(LOOK_CHARACTERS))
        separator = self.tokenizer.special_tokens[SEPARATOR]
        probe = probe_repeats(self.model, length=min(128, self.recipe.context))
        return {
            "step": self.training.done,
            "seconds": round(seconds, 1),
            "loss": round(sum(losses) / len(losses), 4) if losses else None,
            "rate": self.training.optimizer.param_groups[0]["lr"] if losses else 0.0,
            "bits per byte": round(text_bits_per_byte(self.model, text, ids, separator), 4),
            "repeat loss": round(probe.loss, 4),
            "previous": round(probe.previous.max().item(), 4),
            "induction": round(probe.induction.max().item(), 4),
        }

    def _note(self, record: Record, watch: Callable[[Record], None] | None) -> None:
        self.records.append(record)
        self._write_log()
        if watch is not None:
            watch(record)

    def _write_log(self) -> None:
        text = "".join(json.dumps(record) + "\n" for record in self.records)
        write_whole_text(self.log, text)

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write model and tokenizer as `transformers` loads them, and the log with them."""
        separator = self.tokenizer.special_tokens[SEPARATOR]
        words = {"bos_token_id": separator, "eos_token_id": separator}
        model = self.recipe.fresh_model()
        model.load_state_dict(self.model.state_dict())
        save_model(model.to(dtype), folder, words)
        save_tokenizer(self.tokenizer, folder)
        shutil.copyfile(self.log, folder / "training_log.jsonl")


def _prepared_tokenizer(recipe: Recipe, folder: Path) -> ByteBPE:
    if not (folder / "tokenizer.json").is_file():
        save_tokenizer(train_tokenizer(recipe), folder)
    tokenizer = load_tokenizer(folder)
    assert isinstance(tokenizer, ByteBPE), "recipes learn a byte-level tokenizer"
    return tokenizer


def _short(record: Record) -> dict[str, float]:
    return {name: record[name] for name in ("bits per byte", "repeat loss", "induction")}
