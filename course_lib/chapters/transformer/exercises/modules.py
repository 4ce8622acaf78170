"""The exercise on the whole model: modules with the names of a checkpoint, loaded strictly."""

from functools import cache

import torch
import torch.nn.functional as F

from course_lib.chapters.transformer import answers
from course_lib.chapters.transformer.exercises import generators
from course_lib.model import ModelConfig, build_model
from course_lib.pretrained import course_model
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _normalised(x, weight, eps):
    return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def _rotated(x, base):
    """Rotate the pairs (i, i + D/2) of (B, H, T, D) as complex numbers."""
    half = x.shape[-1] // 2
    plane = torch.arange(half, dtype=torch.float64, device=x.device)
    place = torch.arange(x.shape[-2], dtype=torch.float64, device=x.device)
    angles = place[:, None] * float(base) ** -(plane / half)
    rotated = torch.complex(*x.double().chunk(2, -1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat((rotated.real, rotated.imag), -1).to(x.dtype)


def _attention(x, part, config, causal=True, base=None, qk_norm=True):
    batch, tokens, _ = x.shape
    base = config.rope_parameters["rope_theta"] if base is None else base
    found = []
    for name in ("q", "k", "v"):
        y = (x @ part[f"{name}_proj.weight"].T).view(batch, tokens, -1, config.head_dim)
        if name != "v":
            y = _normalised(y, part[f"{name}_norm.weight"], config.norm_eps) if qk_norm else y
        y = y.transpose(1, 2)  # (B, H, T, D)
        found.append(y if name == "v" or not base else _rotated(y, base))
    q, k, v = found
    groups = config.num_attention_heads // config.num_key_value_heads
    scores = q @ k.repeat_interleave(groups, 1).mT / config.head_dim**0.5
    later = x.new_ones(tokens, tokens).triu(1).bool()
    weights = (scores.masked_fill(later, -torch.inf) if causal else scores).softmax(-1)
    read = (weights @ v.repeat_interleave(groups, 1)).transpose(1, 2).flatten(2)
    return read @ part["o_proj.weight"].T


def _feed_forward(x, part, exchanged=False):
    gate, up = (x @ part[f"{name}_proj.weight"].T for name in ("gate", "up"))
    gate, up = (up, gate) if exchanged else (gate, up)
    return (F.silu(gate) * up) @ part["down_proj.weight"].T


def _inside(tensors, prefix):
    """Return the tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _logits(
    config,
    tensors,
    ids,
    last_norm=True,
    norms=("input_layernorm", "post_attention_layernorm"),
    residual=True,
    exchanged=False,
    eps=None,
    order=1,
    **attention,
):
    """Compute the model from its tensors alone, with some of its steps replaced."""
    eps = config.norm_eps if eps is None else eps
    x = tensors["model.embed_tokens.weight"][ids]
    for layer in range(config.num_hidden_layers)[::order]:
        part = _inside(tensors, f"model.layers.{layer}.")
        for norm, name in zip(norms, ("self_attn", "mlp"), strict=True):
            y = _normalised(x, part[f"{norm}.weight"], eps)
            inner = _inside(part, f"{name}.")
            x = x if residual else y
            if name == "mlp":
                x = x + _feed_forward(y, inner, exchanged)
            else:
                x = x + _attention(y, inner, config, **attention)
    x = _normalised(x, tensors["model.norm.weight"], eps) if last_norm else x
    return x @ tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"]).T


def _logits_in_double(config, tensors, ids):
    return _logits(config, {n: t.double() for n, t in tensors.items()}, ids).float()


def _with(**changes):
    return lambda config, tensors, ids: _logits(config, tensors, ids, **changes)


def _library_model(config, tensors, ids):
    model = build_model(config).requires_grad_(False).to(ids.device)
    held = dict(tensors)
    held.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"])
    model.load_state_dict(held, strict=True)
    return model(ids).logits


def _one_text_at_a_time(config, tensors, ids):
    return torch.cat([_logits(config, tensors, row[None]) for row in ids])


@cache
def _course_checkpoint():
    held = {name: tensor.clone() for name, tensor in course_model().state_dict().items()}
    held.pop("lm_head.weight")
    return course_model().config, held


def _sizes(**changes):
    return generators.checkpoint_of(
        ModelConfig(**generators.SMALL | changes), torch.tensor([[3, 1, 4, 1, 5], [2, 6, 0, 3, 5]])
    )


MODULES = Exercise(
    id="transformer.modules",
    title="Your own model, with a checkpoint's weights",
    minutes=20,
    difficulty=3,
    statement=(
        "`tensors` are those of a Qwen3 checkpoint file; where config.tie_word_embeddings is True, "
        "lm_head.weight may be missing. Build your decoder for `config`, load the tensors with "
        "strict=True, and return the logits (B, T, V) of `ids` (B, T), all real tokens at the "
        "positions 0, 1, 2, ..., on the device of `ids`. The check computes no gradient."
    ),
    solution=answers.checkpoint_logits,
    reference=_logits_in_double,
    generator=generators.whole_models,
    tolerance=4.0,  # float32 alone uses up to 0.8 of the ordinary tolerance over two layers
    probes=(
        Probe(
            "one layer, one token",
            lambda: generators.checkpoint_of(
                ModelConfig(**generators.SMALL | {"num_hidden_layers": 1}), torch.tensor([[4]])
            ),
            "A single token reads only itself: embedding, block, last norm, head.",
        ),
        Probe(
            "two texts of five tokens",
            _sizes,
            "Now attention has something to read: mask, rotation and grouped heads matter.",
        ),
        Probe(
            "an untied head",
            lambda: _sizes(tie_word_embeddings=False),
            "The file has its own lm_head.weight.",
        ),
        Probe(
            "a large eps and a small base",
            lambda: _sizes(
                norm_eps=0.1, rope_parameters={"rope_type": "default", "rope_theta": 5.0}
            ),
            "norm_eps belongs in every norm, rope_parameters in the rotation.",
        ),
        Probe(
            "three layers",
            lambda: _sizes(num_hidden_layers=3),
            "Each layer has its own weights, and the layers run in order.",
        ),
        Probe(
            "the course's checkpoint",
            lambda: call(*_course_checkpoint(), torch.tensor([[100, 200, 300, 5, 100, 200]])),
            "The trained model of this course, from its own file.",
            tolerance=10.0,  # logits of size 20 after four layers in float32
        ),
    ),
    misconceptions=(
        Misconception(
            "the last norm forgotten",
            _with(last_norm=False),
            "After the last block the stream still needs model.norm: "
            "self.lm_head(self.model.norm(x)).",
        ),
        Misconception(
            "no causal mask",
            _with(causal=False),
            "Every token reads the whole text. Pass causal_mask(T) to each block.",
        ),
        Misconception(
            "queries and keys not rotated",
            _with(base=0),
            "Without `rotate` the model does not know the order of the tokens. Compute cos and sin "
            "once, with rope_cos_sin, and pass rotate= to attention.",
        ),
        Misconception(
            "the base of RoPE not taken from the config",
            _with(base=10_000.0),
            "The base is in config.rope_parameters. No tensor depends on it, so strict loading "
            "cannot notice.",
        ),
        Misconception(
            "no QK-norm, loaded with strict=False",
            _with(qk_norm=False),
            "Qwen3 normalises queries and keys: MultiHeadAttention(..., qk_norm=True). With "
            "strict=True the two extra tensors of each layer would have raised an error.",
        ),
        Misconception(
            "eps left at its default",
            _with(eps=1e-6),
            "Pass config.norm_eps to every RMSNorm. (MultiHeadAttention takes rms_norm_eps.)",
        ),
        Misconception(
            "the two norms of a block exchanged",
            _with(norms=("post_attention_layernorm", "input_layernorm")),
            "input_layernorm comes before attention, post_attention_layernorm before the MLP.",
        ),
        Misconception(
            "one norm for both parts",
            _with(norms=("input_layernorm", "input_layernorm")),
            "The MLP has its own norm, post_attention_layernorm.",
        ),
        Misconception(
            "the residual taken from the normalised input",
            _with(residual=False),
            "Keep x itself: x + self_attn(input_layernorm(x), ...)[0].",
        ),
        Misconception(
            "gate and up exchanged",
            _with(exchanged=True),
            "gate_proj goes through SiLU, up_proj does not. Both have the same shape, so loading "
            "cannot notice.",
        ),
        Misconception(
            "the layers in reverse order",
            _with(order=-1),
            "model.layers.0 reads the embedding. Iterate over self.model.layers as they are.",
        ),
        Misconception(
            "probabilities instead of logits",
            lambda config, tensors, ids: _logits(config, tensors, ids).softmax(-1),
            "Return the logits, without a softmax.",
        ),
        Misconception(
            "the last token only",
            lambda config, tensors, ids: _logits(config, tensors, ids)[:, -1:],
            "Return logits for every token, (B, T, V).",
        ),
    ),
    alternatives=(
        Alternative("straight from the tensors, in float32", _logits),
        Alternative("the library's model", _library_model),
        Alternative("one text at a time", _one_text_at_a_time),
        Alternative("as the hints have it", answers.checkpoint_logits),
    ),
    hints=(
        "MyBlock: two RMSNorm(hidden_size, norm_eps), a MultiHeadAttention(hidden_size, heads, "
        "key_value_heads, head_dim, qk_norm=True, rms_norm_eps=norm_eps) and a GatedFFN, named as "
        "in the table. Its forward is the block of section 1; attention returns a pair, take [0].",
        "MyDecoder: self.model = nn.Module(), and in it embed_tokens = nn.Embedding(V, C), layers "
        "= nn.ModuleList of MyBlock(config), norm = RMSNorm; beside it lm_head = nn.Linear(C, V, "
        "bias=False).",
        "forward: mask = causal_mask(T, device=ids.device); positions = torch.arange(T, "
        "device=ids.device); cos, sin = rope_cos_sin(positions, head_dim, rope_parameters, "
        "max_position_embeddings); rotate = lambda x: apply_rope(x, cos, sin).",
        "my_logits: model = MyDecoder(config).to(ids.device); "
        "model.load_state_dict(checkpoint.with_head(tensors, config.tie_word_embeddings), "
        "strict=True); return model(ids), under torch.no_grad().",
    ),
)
