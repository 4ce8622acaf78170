"""The KV cache as texts get longer, and where it becomes larger than the weights.

Taught in:        parameter_counting
Checked against:  course_lib.accounting
"""

import numpy as np
from matplotlib.figure import Figure

from course_lib.accounting import inference_memory, kv_cache_bytes
from course_lib.model import ModelConfig
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

TOKENS = tuple(2**power for power in range(7, 21))


def crossing(config: ModelConfig, batch: int, dtype: str = "bfloat16") -> int:
    """Return the first length at which the caches of a batch are larger than the weights."""
    one = inference_memory(config, 1, batch, dtype)
    return int(one.weights // one.cache) + 1


def cache_growth(
    name: str, config: ModelConfig, batch: int = 16, dtype: str = "bfloat16"
) -> Figure:
    """Draw the cache of a batch, of one text, and of a batch without grouped heads."""
    figure, ax = new_figure(8.5, 4.2, margins=Margins(left=0.85, right=2.3, top=0.7))
    weights = inference_memory(config, 0, 1, dtype).weights
    many = "one text" if batch == 1 else f"{batch} texts"
    groups, heads = config.num_key_value_heads, config.num_attention_heads
    if groups < heads:
        unshared = _gigabytes(config, batch, heads)
        ax.plot(TOKENS, unshared, ":", color=FAINT, lw=1.6, label=f"{many}, no heads shared")
    ax.plot(TOKENS, _gigabytes(config, batch, groups), color=OKABE_ITO.orange, lw=2.6, label=many)
    if batch > 1:
        ax.plot(
            TOKENS, _gigabytes(config, 1, groups), color=OKABE_ITO.sky, lw=1.8, label="one text"
        )
    ax.axhline(weights / 1e9, color=OKABE_ITO.blue, lw=2, label=f"weights, {dtype}")
    longest = config.max_position_embeddings
    ax.axvline(longest, color=FAINT, lw=1, linestyle="--", label=f"context length, {longest:,}")
    where = crossing(config, batch, dtype)
    ax.plot([where], [weights / 1e9], "o", color="black", ms=7)
    ax.set(xscale="log", yscale="log", xlim=(TOKENS[0], TOKENS[-1]), ylim=(1e-3, 1e6))
    ax.set(xlabel="tokens in each text", ylabel="GB")
    ticks = [2**7, 2**10, 2**13, 2**16, 2**19]
    ax.set_xticks(ticks, ["128", "1 k", "8 k", "64 k", "512 k"])
    ax.set_yticks([1e-3, 1e-1, 1e1, 1e3, 1e5], ["0.001", "0.1", "10", "1 000", "100 000"])
    ax.minorticks_off()
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    reach = "" if where <= longest else f", beyond its context length of {longest:,}"
    title(
        ax, f"{name}, {many}: from {where:,} tokens on the cache is larger than the weights{reach}"
    )
    return figure


def _gigabytes(config: ModelConfig, batch: int, heads: int) -> np.ndarray:
    layers, depth = config.num_hidden_layers, config.head_dim
    return np.array([kv_cache_bytes(layers, heads, depth, n, batch) / 1e9 for n in TOKENS])
