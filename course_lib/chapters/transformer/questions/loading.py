"""Questions on checkpoints: number of tensors, size, what strict loading notices."""

import random
from functools import cache
from typing import Any

import torch

from course_lib.checkpoint import separate_fused, with_head
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.study.ask.question import Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


@cache
def _tied_model() -> DecoderLM:
    """Return a Qwen3 of one layer on the meta device, for its parameter names."""
    with torch.device("meta"):
        return build_model(ModelConfig(5, 4, 4, 1, 2, 1, 2, 8, tie_word_embeddings=True))


def _draw_tensors(rng: random.Random) -> dict[str, Any]:
    return {"layers": rng.choice([6, 12, 24, 28, 36])}


def _tensors(layers: int) -> float:
    model = _tied_model()
    per_layer = len(list(model.blocks[0].parameters()))
    return float(len(list(model.parameters())) + (layers - 1) * per_layer)


TENSORS = Numeric(
    id="transformer.tensors",
    prompt="A Qwen3 with {layers} layers has four attention matrices, two QK-norms, three MLP "
    "matrices and two norms in each layer, no biases, and a tied head, which the file does not "
    "store again. How many tensors does the file hold?",
    draw=_draw_tensors,
    answer=_tensors,
    explain=lambda layers: (
        f"Each layer has 4 + 2 + 3 + 2 = 11 tensors: {layers} · 11 = {11 * layers}. With the "
        f"embedding and the last norm they are {_tensors(layers):.0f}. (Some files do store a tied "
        "head a second time: that of Qwen3-0.6B holds one tensor more.)"
    ),
    tolerance=0.001,
    slips=(
        Slip(
            "the head stored again",
            lambda layers: 11 * layers + 3,
            "This file does not store the tied head again.",
        ),
        Slip(
            "the layers only",
            lambda layers: 11 * layers,
            "The embedding and the last norm are outside the layers.",
        ),
        Slip(
            "without QK-norms",
            lambda layers: 9 * layers + 2,
            "Each layer has two QK-norms as well, one tensor each.",
        ),
    ),
)


def _draw_file(rng: random.Random) -> dict[str, Any]:
    return {
        "vocab": rng.choice([32_000, 49_000, 128_000, 151_000]),
        "width": rng.choice([1024, 2048, 4096]),
    }


def _saved(vocab: int, width: int) -> float:
    """Return the size of the head that a tied model's file need not store."""
    table = torch.empty(vocab, width, dtype=torch.bfloat16, device="meta")
    return with_head({"table": table}, True, "table")["lm_head.weight"].nbytes / 1e6


FILE_SIZE = Numeric(
    id="transformer.tied_bytes",
    prompt="A model has {vocab} tokens in its vocabulary and width {width}. In bfloat16, how many "
    "megabytes (millions of bytes) smaller is its file if the head is tied and stored only once?",
    draw=_draw_file,
    answer=_saved,
    explain=lambda vocab, width: (
        f"The head has {vocab} · {width} = {vocab * width:,} numbers of 2 bytes: "
        f"{_saved(vocab, width):.4g} MB. The embedding of the same size stays."
    ),
    unit="MB",
    slips=(
        Slip(
            "float32",
            lambda vocab, width: vocab * width * 4 / 1e6,
            "A number in bfloat16 takes 2 bytes.",
        ),
        Slip(
            "numbers instead of bytes",
            lambda vocab, width: vocab * width / 1e6,
            "That is millions of numbers. Each takes 2 bytes.",
        ),
    ),
)

NOTICED = SeveralAnswers(
    id="transformer.noticed",
    prompt="You load a checkpoint into your own model with `load_state_dict(strict=True)`, and it "
    "raises no error. Which mistakes are *still* possible?",
    options=(
        Option(
            "Gate and up of the MLP are exchanged.",
            True,
            "both are (F, C), so each fits in place of the other.",
        ),
        Option(
            "A square matrix is transposed.",
            True,
            "its transpose has the same shape.",
        ),
        Option(
            "The base of RoPE is wrong.",
            True,
            "it is not a tensor; it is a value in config.json.",
        ),
        Option(
            "Your model lacks the norms of queries and keys that the file holds.",
            False,
            "their tensors would be left over, and strict loading raises an error.",
        ),
        Option(
            "Your model's vocabulary is larger than the file's.",
            False,
            "the embedding would have a different shape.",
        ),
    ),
)

EXTRA = OneAnswer(
    id="transformer.extra",
    prompt="Loading stops with: extra tensors `model.layers.0.self_attn.q_norm.weight`, "
    "`...k_norm.weight`, and so on in each layer. What is the most likely cause?",
    options=(
        Option(
            "The model was built without QK-norm, as Qwen2 and Llama are.",
            True,
            "Qwen3 normalises the queries and keys of each head. The file has weights for that, "
            "and the model has no parameters for them.",
        ),
        Option(
            "The file is damaged.",
            False,
            "a damaged file cannot be read, or lacks tensors. It does not gain sensible names.",
        ),
        Option(
            "The head is tied.",
            False,
            "then lm_head.weight would be missing. It has nothing to do with attention.",
        ),
        Option(
            "Nothing is wrong: extra tensors may be dropped with strict=False.",
            False,
            "the model would silently compute something different from what was trained.",
        ),
    ),
)


def _draw_column(rng: random.Random) -> dict[str, Any]:
    heads = rng.choice([6, 8, 12])
    return {
        "heads": heads,
        "head_dim": rng.choice([20, 32, 40]),
        "h": rng.randrange(1, heads - 1),
    }


def _column(heads: int, head_dim: int, h: int) -> float:
    """Number the columns, split the matrix, and find the column of a value's first number."""
    width = heads * head_dim
    columns = torch.arange(3.0 * width).expand(width, -1)
    parts = separate_fused(columns, torch.zeros(3 * width))
    return parts["v_proj.weight"][h * head_dim, 0].item()


COLUMN = Numeric(
    id="transformer.column",
    prompt="GPT-2's `c_attn.weight` has the shape (C, 3C): queries, keys and values side by side, "
    "each with its heads side by side. With {heads} heads of width {head_dim}, in which column "
    "do the values of head {h} begin? Columns and heads are counted from 0.",
    draw=_draw_column,
    answer=_column,
    explain=lambda heads, head_dim, h: (
        f"C = {heads} · {head_dim} = {heads * head_dim}. The values begin after queries and keys, "
        f"at 2C = {2 * heads * head_dim}; head {h} is {h} · {head_dim} further: "
        f"{_column(heads, head_dim, h):.0f}."
    ),
    slips=(
        Slip(
            "the keys",
            lambda heads, head_dim, h: heads * head_dim + h * head_dim,
            "Its keys begin there. The values come after the keys.",
        ),
        Slip(
            "head by head",
            lambda heads, head_dim, h: 3 * h * head_dim + 2 * head_dim,
            "You put query, key and value of each head together. In this file all queries come "
            "first.",
        ),
        Slip(
            "one head too far",
            lambda heads, head_dim, h: 2 * heads * head_dim + (h + 1) * head_dim,
            "The first head is head 0, so h heads come before head h.",
        ),
    ),
)
