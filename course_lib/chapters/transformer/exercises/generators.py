"""Generated inputs for the exercises of this chapter: random shapes, parts, masks and texts."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from course_lib.device import seeded
from course_lib.model import ModelConfig
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import call


def _shape(rng, axes):
    return [rng.choice([1, 2, 3, 3, 4, 5]) for _ in range(axes)]


def _stream(rng, *shape, scale=1.0):
    """Make vectors none of which is 0, since a norm divides by their length."""
    return random_tensor(rng, *shape, scale=scale) + 0.25


def _reader(shift, weight):
    return lambda x: weight * x.roll(shift, dims=-2)


def _writer(factor, offset):
    return lambda x: factor * torch.tanh(x) + offset


def _norm(weight):
    return lambda x: weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def blocks(rng):
    """Make a stream with two parts and two norms, all of them different."""
    shape, scale = _shape(rng, rng.choice([2, 2, 3, 4])), rng.choice([0.3, 1.0, 10.0])
    weights = rng.sample([0.5, 0.8, 1.5, 2.0, -1.0], 2)
    return call(
        _stream(rng, *shape, scale=scale),
        _reader(rng.choice([0, 1, 1]), rng.choice([0.5, -0.7, 1.3])),
        _norm(weights[0]),
        _writer(rng.choice([0.6, 1.0, -2.0]), rng.choice([0.0, 0.3])),
        _norm(weights[1]),
    )


def _reverse(x):
    return 1.5 * x.flip(-1)


def passes(rng):
    """Make ids of any shape, a table, up to four blocks, and sometimes a head."""
    vocabulary, width = rng.choice([(3, 3), (1, 4), (12, 2), (5, 1), (23, 5)])
    ids = torch.tensor(rng.choices(range(vocabulary), k=60))
    shape = _shape(rng, rng.choice([1, 1, 2, 3]))
    size = torch.Size(shape).numel()
    head = {"head": random_tensor(rng, vocabulary, width)} if rng.random() < 0.4 else {}
    steps = [_writer(2.0, 0.5), _reverse, _reader(0, 0.7), torch.sin]
    return call(
        ids.repeat(size)[:size].reshape(shape),
        _stream(rng, vocabulary, width),
        rng.choices(steps, k=rng.randrange(5)),
        _norm(rng.choice([0.5, 2.0])),
        **head,
    )


def paddings(rng):
    """Make rows padded on the left, some padded entirely, and any number of new tokens."""
    rows, tokens = _shape(rng, 2)
    tokens += rng.randrange(3)
    missing = torch.tensor([[rng.choice([0, 0, rng.randrange(tokens + 1)])] for _ in range(rows)])
    return call(torch.arange(tokens) >= missing, rng.choice([0, 1, tokens, rng.randrange(tokens)]))


_WIDTHS = ((3, 3), (2, 5), (5, 2), (4, 1), (1, 1))


def checkpoints(rng, make):
    """Make the tensors of a file, with or without a head, tied or not, under various names."""
    shape = rng.choice(_WIDTHS)
    table, head = rng.choice(
        [
            ("model.embed_tokens.weight", "lm_head.weight"),
            ("transformer.wte.weight", "lm_head.weight"),
            ("tok_embeddings.weight", "output.weight"),
        ]
    )
    embedding, tied = random_tensor(rng, *shape), rng.random() < 0.5
    held = {table: embedding, "norm.weight": random_tensor(rng, shape[1])}
    if rng.random() < 0.5:
        held[head] = embedding.clone() if tied else random_tensor(rng, *shape)
    names = list(held)
    rng.shuffle(names)
    return call(make({name: held[name] for name in names}), tied, table, head)


_SHAPES = ((2, 3), (3, 2), (6,), (1, 6), (1,), (), (4,), (2, 2))
_TYPES = (torch.float32, torch.float32, torch.bfloat16, torch.float64)


def state_dicts(rng):
    """Make slots and tensors; some are missing, extra, or differ in shape or type."""
    slots, others, fitting = {}, {}, {}
    for name in sorted(rng.sample("abcdefgh", rng.randrange(1, 7))):
        shape, kind = rng.choice(_SHAPES), rng.choice(["fits", "fits", "lost", "extra", "apart"])
        mine = torch.zeros(shape, dtype=rng.choice(_TYPES))
        if kind != "extra":
            slots[name] = mine
        if kind == "fits":
            fitting[name] = torch.ones(shape, dtype=rng.choice(_TYPES))
        elif kind == "extra":
            others[name] = mine
        elif kind == "apart":
            others[name] = torch.ones(rng.choice([each for each in _SHAPES if each != shape]))
    pairs = list(others.items())
    for pair in fitting.items():  # the place of a matching tensor in the file does not matter
        pairs.insert(rng.randrange(len(pairs) + 1), pair)
    return call(slots, dict(pairs))


def fused(rng):
    """Make a weight and a bias of queries, keys and values side by side."""
    width = rng.randrange(1, 6)
    kind = rng.choice([torch.float32, torch.float64, torch.bfloat16])
    weight = random_tensor(rng, width, 3 * width).to(kind)
    return call(weight, random_tensor(rng, 3 * width).to(kind))


def head_outputs(rng):
    """Make the outputs of the heads of a layer, and the weight of their output projection."""
    batch, heads, tokens, depth, width = _shape(rng, 5)
    read = random_tensor(rng, batch, heads, tokens, depth)
    return call(read, random_tensor(rng, width, heads * depth))


def families(rng):
    """Make a family and the lengths of a source and a target."""
    family = rng.choice(["encoder-only", "encoder-decoder", "encoder-decoder", "decoder-only"])
    return call(family, rng.randrange(1, 7), rng.randrange(1, 7))


def _model(vocabulary, factor, offset):
    """Return a stand-in for a model, which depends on every id and its position."""

    def logits_of(ids):
        if ids.dim() != 2:
            raise ValueError(f"a model takes ids of shape (B, T); got {tuple(ids.shape)}.")
        places = torch.arange(1, ids.shape[1] + 1)
        best = ((ids + 1) * places * factor + offset).cumsum(-1) % vocabulary
        return 3.0 * F.one_hot(best, vocabulary) + torch.linspace(-1, 1, vocabulary)

    return logits_of


def texts(rng):
    """Make a stand-in for a model, a prompt, a number of new tokens, and often a stop token."""
    vocabulary = rng.choice([2, 5, 13, 40])
    model = _model(vocabulary, rng.randrange(1, 7), rng.randrange(vocabulary))
    ids = torch.tensor([rng.randrange(vocabulary) for _ in range(rng.randrange(1, 6))])
    new_tokens = rng.choice([0, 1, 2, 4, 6])
    stops = [(), (0,), (0,), (rng.randrange(vocabulary),), (int(ids[0]),), (_third(model, ids),)]
    return call(model, ids, new_tokens, *rng.choice(stops))


def _third(model, ids):
    """Return the third token that the model generates, so that the stop token ends the text."""
    for _ in range(3):
        ids = torch.cat([ids, model(ids[None])[0, -1].argmax()[None]])
    return int(ids[-1])


SMALL: dict[str, Any] = {
    "vocab_size": 7,
    "hidden_size": 12,
    "intermediate_size": 9,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 32,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
}


def _shapes(config):
    """Return the name and the shape of each tensor of a Qwen3 file."""
    width, depth = config.hidden_size, config.head_dim
    wide, narrow = (n * depth for n in (config.num_attention_heads, config.num_key_value_heads))
    inner = {
        "input_layernorm": (width,),
        "self_attn.q_proj": (wide, width),
        "self_attn.k_proj": (narrow, width),
        "self_attn.v_proj": (narrow, width),
        "self_attn.o_proj": (width, wide),
        "self_attn.q_norm": (depth,),
        "self_attn.k_norm": (depth,),
        "post_attention_layernorm": (width,),
        "mlp.gate_proj": (config.intermediate_size, width),
        "mlp.up_proj": (config.intermediate_size, width),
        "mlp.down_proj": (width, config.intermediate_size),
    }
    found = {"model.embed_tokens": (config.vocab_size, width), "model.norm": (width,)}
    for layer in range(config.num_hidden_layers):
        found |= {f"model.layers.{layer}.{name}": shape for name, shape in inner.items()}
    return found if config.tie_word_embeddings else found | {"lm_head": found["model.embed_tokens"]}


def checkpoint_of(config, ids, seed=0):
    """Make a call: a config, the tensors of its file, and ids."""
    source, tensors = seeded(seed), {}
    for name, shape in _shapes(config).items():
        drawn = torch.randn(shape, generator=source)
        scaled = 1 + drawn / 3 if len(shape) == 1 else drawn / math.sqrt(shape[-1])
        tensors[f"{name}.weight"] = scaled
    return call(config, tensors, ids)


def whole_models(rng):
    """Make a small Qwen3 with its tensors, and one to three texts of equal length."""
    narrow = rng.choice([1, 2])
    sizes = {
        "vocab_size": rng.randrange(5, 12),
        "hidden_size": rng.choice([4, 8, 10]),
        "intermediate_size": rng.randrange(3, 12),
        "num_hidden_layers": rng.randrange(1, 4),
        "num_attention_heads": narrow * rng.choice([1, 2, 3]),
        "num_key_value_heads": narrow,
        "head_dim": rng.choice([2, 4, 6]),
        "tie_word_embeddings": rng.random() < 0.5,
        "norm_eps": rng.choice([1e-6, 1e-5, 0.01]),
        "rope_parameters": {"rope_type": "default", "rope_theta": rng.choice([3.0, 50.0, 1e6])},
    }
    config = ModelConfig(**SMALL | sizes)
    shape = (rng.randrange(1, 4), rng.randrange(1, 7))
    ids = torch.randint(config.vocab_size, shape, generator=seeded(rng.randrange(1000)))
    return checkpoint_of(config, ids, rng.randrange(1000))


def module_errors(rng):
    """Make the errors of nested modules, in the order of a model; 1 and 10 must not be confused."""
    names = []
    for layer in rng.sample([1, 2, 10, 11], rng.randrange(1, 4)):
        names.append(f"layers.{layer}")
        for part in rng.sample(["attn", "mlp", "norm"], rng.randrange(0, 4)):
            names.append(f"layers.{layer}.{part}")
            if part != "norm" and rng.random() < 0.6:
                names += [f"layers.{layer}.{part}.{each}" for each in ("up", "up_proj")]
    names += rng.sample(["norm", "lm_head"], rng.randrange(0, 3))
    sizes = (0.0, 1e-7, 1e-5, 2e-5, 0.3, math.inf, math.nan)
    isolated = [(name, rng.choice(sizes)) for name in names]
    return call([(n, size, rng.choice([size, 0.5])) for n, size in isolated], 1e-5)


def patches(rng):
    """Make a corrupted stream, up to three blocks, a clean run, and where to copy a vector."""
    shape = _shape(rng, 3)
    parts = [_writer(0.6, 0.2), _reverse, _reader(1, 0.7), _writer(-1.0, 0.0)]
    blocks = [lambda x, part=part: x + part(x) for part in rng.choices(parts, k=rng.randrange(4))]
    clean = [random_tensor(rng, *shape)]
    for block in blocks:
        clean.append(block(clean[-1]))
    place, position = rng.randrange(len(clean)), rng.randrange(shape[1])
    return call(random_tensor(rng, *shape), blocks, torch.stack(clean), place, position)
