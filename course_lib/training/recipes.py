"""The recipes of the course's own models: their shapes, their data, and how they are trained.

    course-model  the model in `course_lib/pretrained`; an hour or two on one core
    quick         a small one that also learns to look things up; some minutes

Taught in:        training
Checked against:  the stored model's config and log
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from course_lib import corpus
from course_lib.device import seeded
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.data import Batch, random_crops, read_tokens, repeating_batch, write_tokens
from course_lib.training.loop import Plan

SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True)
class Recipe:
    """A model, its data and its plan."""

    name: str
    plan: Plan
    vocab_size: int
    context: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int
    text_rows: int  # sequences of a batch that are crops of text
    repeat_rows: int  # sequences of a batch that are random ids, repeated
    periods: tuple[int, int]
    growth: tuple[int, int]  # kinds of random ids at first, and steps until all are used
    shares: tuple[tuple[str, float], ...]  # each source of text and its share of the crops
    characters: int | None = None  # how much of each kind of text is used
    look_every: int = 100
    save_every: int = 250
    compiled: bool = False

    def config(self) -> ModelConfig:
        """Return the shape of the model."""
        return ModelConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            head_dim=self.head_dim,
            max_position_embeddings=self.context,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            tie_word_embeddings=True,
        )

    def fresh_model(self) -> DecoderLM:
        """Return the untrained model, the same each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.seed)
            return build_model(self.config())


COURSE_MODEL = Recipe(
    name="course-model",
    plan=Plan(
        steps=6500,
        warmup=100,
        peak=2e-3,
        final=2e-4,
        betas=(0.9, 0.98),
        weight_decay=0.1,
        autocast=True,
    ),
    vocab_size=2048,
    context=256,
    hidden_size=256,
    intermediate_size=640,
    layers=4,
    heads=4,
    key_value_heads=2,
    head_dim=64,
    text_rows=8,
    repeat_rows=4,
    periods=(8, 64),
    growth=(64, 2500),
    shares=(("documentation", 0.1), ("docstrings", 0.2), ("sources", 0.7)),
    look_every=50,
    compiled=True,
)

QUICK = replace(
    COURSE_MODEL,
    name="quick",
    plan=replace(COURSE_MODEL.plan, steps=1200, peak=5e-3, final=5e-4, autocast=False),
    vocab_size=512,
    context=96,
    hidden_size=96,
    intermediate_size=256,
    layers=2,  # the fewest in which a head can use what a head of an earlier layer wrote
    heads=4,
    key_value_heads=2,
    head_dim=24,
    text_rows=8,
    repeat_rows=16,  # most of a batch, so that induction heads appear within minutes
    periods=(8, 32),
    growth=(32, 600),
    look_every=25,
    characters=600_000,
    compiled=False,
)

RECIPES = {recipe.name: recipe for recipe in (COURSE_MODEL, QUICK)}


def train_tokenizer(recipe: Recipe) -> ByteBPE:
    """Train the tokenizer on the texts that the model will read."""
    names = [name for name, _ in recipe.shares]
    texts = [corpus.train_text(recipe.characters, source=name) for name in names]
    return ByteBPE.train(texts, recipe.vocab_size, special_tokens=(SEPARATOR,))


def write_corpus(recipe: Recipe, tokenizer: ByteBPE, folder: Path) -> list[Path]:
    """Write the tokens of each kind of text into a file, and return the files."""
    paths = []
    for name, _ in recipe.shares:
        path = folder / f"{name}.tokens"
        write_tokens(path, encoded(recipe, name, tokenizer), tokenizer.special_tokens[SEPARATOR])
        paths.append(path)
    return paths


def encoded(recipe: Recipe, source: str, tokenizer: ByteBPE) -> list[list[int]]:
    """Return the ids of the training documents of a kind."""
    left = recipe.characters or 10**12
    rows = []
    for document in corpus.SOURCES[source]():
        if left > 0 and not corpus.is_held_out(document.name):
            rows.append(tokenizer.encode_ordinary(document.text[:left]))
            left -= len(document.text)
    return rows


class Mixture:
    """Draws the batches of a recipe: crops of text, and random ids that repeat."""

    def __init__(self, recipe: Recipe, paths: Sequence[Path]) -> None:
        self.recipe = recipe
        self.rows: list[np.ndarray] = [read_tokens(path) for path in paths]
        self.shares = torch.tensor([share for _, share in recipe.shares])
        self.order = torch.randperm(recipe.vocab_size, generator=seeded(recipe.plan.seed))

    def __call__(self, step: int, generator: torch.Generator) -> Batch:
        """Return the batch of a step."""
        recipe = self.recipe
        kinds = torch.multinomial(
            self.shares, recipe.text_rows, replacement=True, generator=generator
        ).tolist()
        text = torch.cat(
            [random_crops(self.rows[kind], 1, recipe.context, generator) for kind in kinds]
        )
        choices = self.choices(step)
        repeats = repeating_batch(
            recipe.repeat_rows, recipe.context, recipe.periods, choices, generator
        )
        counted = torch.cat([torch.ones_like(text, dtype=torch.bool), repeats.counted])
        return Batch(torch.cat([text, repeats.ids]), counted)

    def choices(self, step: int) -> Int[Tensor, " N"]:
        """Return the ids that may repeat: few at first, all of them later.

        The idea was that the model soon tells a few ids apart, which it must before it can look
        them up. The small runs of `chapters.training.tiny_decoders` do not confirm that it helps.
        """
        first, steps = self.recipe.growth
        size = first + (len(self.order) - first) * step // steps
        return self.order[:size]
