"""Faults to be found: a small model next to its reference, with one thing wrong at a time.

Each fault is a slip that people make when they write a model after a paper and load somebody else's
weights into it. None of them raises an error; the text that comes out is merely bad.

Taught in:        transformer
Checked against:  transformers' Qwen3 on the same random weights
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.chapters.transformer.layer_diff import Divergence, find_divergence
from course_lib.device import seeded
from course_lib.model import DecoderLM, ModelConfig, build_model

CONFIG = ModelConfig(
    101, 48, 72, 3, 6, 2, 10, 64,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6},
)  # fmt: skip
IDS = torch.randint(101, (1, 13), generator=seeded(0))


def _wrong_eps(model: DecoderLM) -> None:
    block: Any = model.blocks[1]
    block.post_attention_layernorm.eps = 1e-2


def _no_query_norm(model: DecoderLM) -> None:
    block: Any = model.blocks[0]
    block.self_attn.q_norm = nn.Identity()


def _wrong_base(model: DecoderLM) -> None:
    parameters = {"rope_type": "default", "rope_theta": 1e4}
    other = build_model(ModelConfig(**{**asdict(CONFIG), "rope_parameters": parameters}))
    model.rotation = other.rotation  # type: ignore[method-assign]


def _gate_and_up(model: DecoderLM) -> None:
    mlp: Any = model.blocks[2].mlp
    mlp.gate_proj, mlp.up_proj = mlp.up_proj, mlp.gate_proj


def _residual(model: DecoderLM) -> None:
    def forward(
        self: Any, x: Tensor, mask: Tensor, rotate: Any = None, *_: Any
    ) -> tuple[Tensor, None]:
        x = self.input_layernorm(x)
        x = x + self.self_attn(x, mask, rotate=rotate)[0]
        return x + self.mlp(self.post_attention_layernorm(x)), None

    block = model.blocks[1]
    block.forward = MethodType(forward, block)


def _turned_over(model: DecoderLM) -> None:
    weight = model.get_parameter("model.layers.2.self_attn.o_proj.weight")
    # 48 x 60: the numbers of the turned matrix, read into the shape that fits.
    weight.data = weight.data.T.reshape(weight.shape).contiguous()


def _no_mask(model: DecoderLM) -> None:
    attention: Any = model.blocks[2].self_attn
    inner = attention.forward
    attention.forward = lambda x, mask, **named: inner(x, None, **named)


def _no_last_norm(model: DecoderLM) -> None:
    model.model.norm = nn.Identity()  # type: ignore[assignment]


FAULTS: dict[str, Callable[[DecoderLM], None]] = {
    "none": lambda model: None,
    "wrong eps in one norm": _wrong_eps,
    "no QK-norm on the queries of layer 0": _no_query_norm,
    "wrong base of RoPE": _wrong_base,
    "gate and up exchanged in layer 2": _gate_and_up,
    "residual from the normalised input in layer 1": _residual,
    "output weight reshaped instead of turned in layer 2": _turned_over,
    "no causal mask in layer 2": _no_mask,
    "last norm forgotten": _no_last_norm,
}


@cache
def reference() -> nn.Module:
    """Return a small random Qwen3 of transformers, its weights large enough to matter."""
    import transformers

    words = asdict(CONFIG)
    theirs = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(  # type: ignore[call-arg]
            **{
                name: words[name]
                for name in (
                    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                    "num_attention_heads", "num_key_value_heads", "head_dim",
                    "max_position_embeddings", "rope_parameters", "tie_word_embeddings",
                )
            },
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation="eager",
        )
    )  # fmt: skip
    for number, weight in enumerate(theirs.parameters()):
        weight.data += 0.2 * torch.randn(weight.shape, generator=seeded(number))
    return theirs.eval().requires_grad_(False)


def faulty(fault: str) -> DecoderLM:
    """Return our model with the reference's weights and one fault."""
    if fault not in FAULTS:
        raise ValueError(
            f"a planted fault must be one of {', '.join(FAULTS)}; got {fault!r}. Choose one."
        )
    ours = build_model(CONFIG).eval().requires_grad_(False)
    ours.load_state_dict(reference().state_dict(), strict=True)
    FAULTS[fault](ours)
    return ours


@cache
def report(fault: str) -> Divergence:
    """Return where our model with this fault and the reference part."""
    return find_divergence(faulty(fault), reference(), IDS)
