"""Planted faults: a small model beside its reference, with one thing wrong at a time.

Each fault is a mistake that people make when they implement a paper and load published weights into
their model. None of them raises an error; the generated text is just bad. `FAULTS` are listed in
the notebook with their names. `MYSTERIES` are not: there the reader has to find out what is wrong.

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


def _reshaped(model: DecoderLM) -> None:
    weight = model.get_parameter("model.layers.2.self_attn.o_proj.weight")
    # 48 x 60: the numbers of the transposed matrix, reshaped to fit.
    weight.data = weight.data.T.reshape(weight.shape).contiguous()


def _no_mask(model: DecoderLM) -> None:
    attention: Any = model.blocks[2].self_attn
    inner = attention.forward
    attention.forward = lambda x, mask, **named: inner(x, None, **{**named, "causal": False})


def _no_last_norm(model: DecoderLM) -> None:
    model.model.norm = nn.Identity()  # type: ignore[assignment]


def _scaled_by_width(model: DecoderLM) -> None:
    attention: Any = model.blocks[1].self_attn
    attention.scale = CONFIG.hidden_size**-0.5


def _keys_and_values(model: DecoderLM) -> None:
    attention: Any = model.blocks[2].self_attn
    attention.k_proj, attention.v_proj = attention.v_proj, attention.k_proj


def _activation_on_up(model: DecoderLM) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        narrowed: Tensor = self.down_proj(self.gate_proj(x) * self.activation(self.up_proj(x)))
        return narrowed

    mlp: Any = model.blocks[0].mlp
    mlp.forward = MethodType(forward, mlp)


def _shifted_rows(model: DecoderLM) -> None:
    table = model.get_parameter("model.embed_tokens.weight").data
    model.model.embed_tokens.weight = nn.Parameter(table.roll(1, 0), requires_grad=False)


MYSTERIES: tuple[Callable[[DecoderLM], None], ...] = (
    _scaled_by_width,
    _keys_and_values,
    _activation_on_up,
    _shifted_rows,
)
FAULTS: dict[str, Callable[[DecoderLM], None]] = {
    "none": lambda model: None,
    "wrong eps in one norm": _wrong_eps,
    "no QK-norm on the queries of layer 0": _no_query_norm,
    "wrong base of RoPE": _wrong_base,
    "gate and up exchanged in layer 2": _gate_and_up,
    "residual from the normalised input in layer 1": _residual,
    "output weight reshaped instead of transposed in layer 2": _reshaped,
    "no causal mask in layer 2": _no_mask,
    "last norm forgotten": _no_last_norm,
}


@cache
def reference() -> nn.Module:
    """Return a small random Qwen3 from transformers, with weights large enough to matter."""
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
    return _with(FAULTS[fault])


def mystery(number: int) -> DecoderLM:
    """Return our model with the reference's weights and a fault that is not named."""
    if not 1 <= number <= len(MYSTERIES):
        raise ValueError(
            f"there are mysteries 1 to {len(MYSTERIES)}; got {number}. Choose one of them."
        )
    return _with(MYSTERIES[number - 1])


def _with(fault: Callable[[DecoderLM], None]) -> DecoderLM:
    ours = build_model(CONFIG).eval().requires_grad_(False)
    ours.load_state_dict(reference().state_dict(), strict=True)
    fault(ours)
    return ours


@cache
def report(fault: str) -> Divergence:
    """Return where our model with this fault starts to differ from the reference."""
    return find_divergence(faulty(fault), reference(), IDS)
