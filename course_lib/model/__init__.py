"""The whole model: one decoder that is Qwen3, Qwen3-MoE, Qwen2, Llama, Mistral or GPT-2.

Small files, in the order in which the notebook reads them: `functions` (positions, greedy text),
`config` (how one model differs from another), `family_defaults` (the values a family uses if a
config does not give them), `decoder` (the block and the model around it), `gpt2` (the one family
whose parts have different shapes and names), `inspection` (the stream, the heads, and the model
without them). For speed alone: `weight_layout` (the same matrices, read faster by PyTorch),
`whole_rotation` (RoPE in fewer operations), and on a CPU `cpu_linear`, `compiled_products`,
`compiled_block`, `watchers` and `program_file` (few rows, by a C program that is compiled where it
runs, unless somebody watches), and `huge_pages` (memory that is read faster).

Taught in:        transformer
"""

from course_lib.model.config import ModelConfig
from course_lib.model.cpu_linear import CPULinear
from course_lib.model.decoder import Block, DecoderLM, Output
from course_lib.model.functions import (
    greedy_continuation,
    token_positions,
)
from course_lib.model.gpt2 import GPT2
from course_lib.model.weight_layout import contiguous_along_longer_axis, stored_to_multiply

__all__ = [
    "GPT2",
    "Block",
    "CPULinear",
    "DecoderLM",
    "ModelConfig",
    "Output",
    "build_model",
    "contiguous_along_longer_axis",
    "greedy_continuation",
    "stored_to_multiply",
    "token_positions",
]


def build_model(config: ModelConfig) -> DecoderLM:
    """Return a model of this configuration with fresh random weights."""
    return GPT2(config) if config.model_type == "gpt2" else DecoderLM(config)
