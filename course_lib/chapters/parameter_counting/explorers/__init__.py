"""The interactive figures of this chapter.

Taught in:        parameter_counting
Checked against:  the chapter's `figures` for the same values
"""

from matplotlib.figure import Figure

from course_lib.accounting import DEVICES, MODELS
from course_lib.chapters.parameter_counting import figures
from course_lib.chapters.parameter_counting.explorers.widget import Icicle
from course_lib.chapters.parameter_counting.figures.fit import DTYPES
from course_lib.study.display.explorer import Explorer, choice

__all__ = [
    "Icicle",
    "cache_growth",
    "flop_shares",
    "icicle",
    "roofline",
    "training_bytes",
    "will_it_fit",
]

BATCHES = tuple(2**power for power in range(11))
CONTEXTS = tuple((f"{tokens:,}", tokens) for tokens in (2**power for power in range(9, 18)))
PROMPTS = tuple((f"{tokens:,}", tokens) for tokens in (2**power for power in range(2, 15)))


def icicle(name: str = "Qwen3-8B", tied: bool | None = None) -> Icicle:
    """Point at a part of a model to read its formula; tie or untie its output head."""
    return Icicle(name, tied)


def flop_shares(name: str = "Qwen3-8B") -> Explorer:
    """Choose a model: which part computes how much, as the context grows."""
    return Explorer(
        lambda name: figures.flop_shares(name, MODELS[name]),
        {"name": choice("model", name, tuple(MODELS))},
        "The FLOPs of a token by part.",
    )


def will_it_fit(
    name: str = "Qwen3-8B",
    device: str = "L4",
    dtype: str = "bfloat16",
    batch: int = 1,
    context: int = 4096,
) -> Explorer:
    """Choose model, device, number type, batch and length: will it fit, and how fast can it be?"""

    def figure(name: str, device: str, dtype: str, batch: int, context: int) -> Figure:
        return figures.will_it_fit(name, MODELS[name], DEVICES[device], dtype, batch, context)

    controls = {
        "name": choice("model", name, tuple(MODELS)),
        "device": choice("device", device, tuple(DEVICES)),
        "dtype": choice("weights in", dtype, DTYPES),
        "batch": choice("texts at once", batch, BATCHES),
        "context": choice("tokens in each", context, CONTEXTS),
    }
    return Explorer(figure, controls, "Will it fit, and how fast can it be at most?")


def roofline(
    name: str = "Qwen3-8B",
    device: str = "H100 SXM",
    prompt: int = 2048,
    batch: int = 1,
    context: int = 2048,
) -> Explorer:
    """Choose a model and a device, and move prefill and decode along the roofline."""

    def figure(name: str, device: str, prompt: int, batch: int, context: int) -> Figure:
        return figures.roofline(name, MODELS[name], DEVICES[device], prompt, batch, context)

    controls = {
        "name": choice("model", name, tuple(MODELS)),
        "device": choice("device", device, tuple(DEVICES)),
        "prompt": choice("prefill: prompt", prompt, PROMPTS),
        "batch": choice("decode: texts", batch, BATCHES),
        "context": choice("decode: tokens", context, CONTEXTS),
    }
    return Explorer(
        figure, controls, "The roofline: what is limited by memory, and what by arithmetic."
    )


def cache_growth(name: str = "Qwen3-8B", batch: int = 16, dtype: str = "bfloat16") -> Explorer:
    """Choose a model and a batch: from which length on is the cache larger than the weights?"""

    def figure(name: str, batch: int, dtype: str) -> Figure:
        return figures.cache_growth(name, MODELS[name], batch, dtype)

    controls = {
        "name": choice("model", name, tuple(MODELS)),
        "batch": choice("texts at once", batch, BATCHES),
        "dtype": choice("weights in", dtype, DTYPES),
    }
    return Explorer(figure, controls, "The KV cache and the weights, as texts get longer.")


def training_bytes(
    name: str = "Qwen3-0.6B", device: str = "RTX 4090", tokens: int = 2048, batch: int = 4
) -> Explorer:
    """Choose a model, a device and a batch: how much memory does training need, and what fits?"""

    def figure(name: str, device: str, tokens: int, batch: int) -> Figure:
        return figures.training_bytes(name, MODELS[name], DEVICES[device], tokens, batch)

    controls = {
        "name": choice("model", name, tuple(MODELS)),
        "device": choice("device", device, tuple(DEVICES)),
        "tokens": choice("tokens in each", tokens, CONTEXTS),
        "batch": choice("texts at once", batch, BATCHES[:8]),
    }
    return Explorer(figure, controls, "Training with AdamW in mixed precision, in bytes.")
