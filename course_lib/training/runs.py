"""A run of a recipe in a folder: prepare, train or resume, watch, and store the model.

    FOLDER/tokenizer.json, *.tokens    the tokenizer and the texts as ids
    FOLDER/state.pt                    everything that determines the next step
    FOLDER/log.jsonl                   the measurements, a line for each record
    FOLDER/model/                      the finished model in the layout of the hub

Taught in:        training
Checked against:  a run that was killed and one that was not
"""

import json
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from course_lib import corpus
from course_lib.atomic_write import write_whole_text
from course_lib.checkpoint import load_tokenizer, save_model, save_tokenizer
from course_lib.device import can_compile
from course_lib.model import DecoderLM
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.evaluation import probe_repeats, text_bits_per_byte
from course_lib.training.loop import Draw, Training
from course_lib.training.recipes import SEPARATOR, Mixture, Recipe, train_tokenizer, write_corpus

LOOK_CHARACTERS = 8000  # of held-out documentation, scored at each look

Record = dict[str, Any]


class LoggedRun:
    """A training in a folder, measured from time to time; created again there, it resumes.

    A subclass says what is measured (`look`) and which of it the progress bar shows (`shown`).
    """

    shown: tuple[str, ...] = ()

    def __init__(
        self, training: Training, folder: Path, look_every: int = 100, save_every: int = 250
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.training, self.folder = training, folder
        self.look_every, self.save_every = look_every, save_every
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

    def look(self) -> Record:
        """Return what is measured now."""
        raise NotImplementedError

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the trained model to a folder, with what belongs to it."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what a model card says of any run: its plan and steps, its time, the machine."""
        last = self.records[-1]
        return {
            "plan": self.training.plan,
            "steps": last["step"],
            "seconds": last["seconds"],
            "threads": torch.get_num_threads(),
            "machine": f"{platform.system()} {platform.machine()}",
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
        }

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
        steps = self.training.plan.steps
        last = min(until or steps, steps)
        before = self.records[-1]["seconds"] if self.records else 0.0
        began, losses = time.perf_counter(), []
        if not self.records:
            self._note([], 0.0, watch)
        bar = tqdm(initial=self.training.done, total=last, unit="step", file=sys.stdout)
        while self.training.done < last:
            losses.append(self.training.step().loss)
            bar.update()
            if self.training.done % self.look_every == 0 or self.training.done == last:
                self._note(losses, before + time.perf_counter() - began, watch)
                bar.set_postfix({name: self.records[-1][name] for name in self.shown})
                losses = []
            if self.training.done % self.save_every == 0 or self.training.done == last:
                self.training.save(self.state)
        bar.close()

    def _note(
        self, losses: list[float], seconds: float, watch: Callable[[Record], None] | None
    ) -> None:
        record = {
            "step": self.training.done,
            "seconds": round(seconds, 1),
            "loss": round(sum(losses) / len(losses), 4) if losses else None,
            "rate": self.training.optimizer.param_groups[0]["lr"] if losses else 0.0,
            **self.look(),
        }
        self.records.append(record)
        self._write_log()
        if watch is not None:
            watch(record)

    def _write_log(self) -> None:
        text = "".join(json.dumps(record) + "\n" for record in self.records)
        write_whole_text(self.log, text)


class RecipeRun(LoggedRun):
    """A recipe in training in a folder, with its tokenizer and its texts."""

    shown = ("bits per byte", "repeat loss", "induction")

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self.tokenizer, paths = self.prepared(recipe, folder)
        training = self.training_on(Mixture(recipe, paths))
        super().__init__(training, folder, recipe.look_every, recipe.save_every)

    def prepared(self, recipe: Recipe, folder: Path) -> tuple[ByteBPE, list[Path]]:
        """Return the tokenizer and the files of tokens, made where they are missing."""
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = _prepared_tokenizer(recipe, folder)
        paths = [folder / f"{name}.tokens" for name, _ in recipe.shares]
        if not all(path.is_file() for path in paths):
            write_corpus(recipe, tokenizer, folder)
        return tokenizer, paths

    def training_on(self, draw: Draw) -> Training:
        """Return the training of a fresh model on these batches."""
        compiled = self.recipe.compiled and can_compile()
        return Training(self.recipe.fresh_model(), draw, self.recipe.plan, compiled)

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the model as it is now."""
        return self.model.state_dict()

    def look(self) -> Record:
        """Return bits per byte of held-out text, and what the heads do on ids that repeat."""
        ids = self.tokenizer.encode_ordinary(text := corpus.held_out_text(LOOK_CHARACTERS))
        separator = self.tokenizer.special_tokens[SEPARATOR]
        probe = probe_repeats(self.model, length=min(128, self.recipe.context))
        return {
            "bits per byte": round(text_bits_per_byte(self.model, text, ids, separator), 4),
            "repeat loss": round(probe.loss, 4),
            "previous": round(probe.previous.max().item(), 4),
            "induction": round(probe.induction.max().item(), 4),
        }

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write model and tokenizer as `transformers` loads them, and the log with them."""
        separator = self.tokenizer.special_tokens[SEPARATOR]
        words = {"bos_token_id": separator, "eos_token_id": separator}
        model = self.recipe.fresh_model()
        model.load_state_dict(self.weights())
        save_model(model.to(dtype), folder, words)
        save_tokenizer(self.tokenizer, folder)
        shutil.copyfile(self.log, folder / "training_log.jsonl")


def _prepared_tokenizer(recipe: Recipe, folder: Path) -> ByteBPE:
    if not (folder / "tokenizer.json").is_file():
        save_tokenizer(train_tokenizer(recipe), folder)
    tokenizer = load_tokenizer(folder)
    assert isinstance(tokenizer, ByteBPE), "recipes learn a byte-level tokenizer"
    return tokenizer
