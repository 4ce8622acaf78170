"""What a KV cache saves and what it costs.

Taught in:        generation
Checked against:  sums in plain Python, `kv_cache_bytes`
Shapes:           N new tokens, S positions of a cache
"""

import torch
from jaxtyping import Int
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from course_lib.attention import kv_cache_bytes
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

UNWRITTEN, READ, COMPUTED = 0, 1, 2


def cache_states(prompt: int, new: int, cached: bool) -> Int[Tensor, "steps places"]:
    """Return for each pass what happens at each position: COMPUTED, READ from the cache, UNWRITTEN.

    The first pass reads the prompt; each of the others reads one more token. The last new token is
    not read by any pass.
    """
    states = torch.full((new, prompt + new - 1), UNWRITTEN)
    for step in range(new):
        end = prompt + step
        states[step, :end] = READ if cached and step else COMPUTED
        states[step, end - 1] = COMPUTED
    return states


def cache_growth(prompt: int, new: int) -> Figure:
    """Draw which tokens pass through the layers in each step, without and with a cache."""
    figure, axes = new_figure(
        10.5, 3.9, cols=2, margins=Margins(left=0.7, bottom=0.85, top=0.62, across=0.5)
    )
    colours = ListedColormap(["white", OKABE_ITO.sky, OKABE_ITO.vermillion])
    totals = []
    for ax, cached in zip(axes, (False, True), strict=True):
        states = cache_states(prompt, new, cached)
        totals.append(int((states == COMPUTED).sum()))
        ax.imshow(
            states.numpy(), cmap=colours, vmin=0, vmax=2, aspect="auto", interpolation="nearest"
        )
        ax.set(xlabel="position in the text", ylabel="pass")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        ax.axvline(prompt - 0.5, color=FAINT, linewidth=1, linestyle=":")
        name = "with a cache" if cached else "without a cache"
        title(ax, f"Tokens through the layers {name}: {totals[-1]}")
    legend = (
        ("computed in this pass", OKABE_ITO.vermillion),
        ("read from the cache", OKABE_ITO.sky),
    )
    for place, (words, colour) in enumerate(legend):
        box = {"facecolor": colour, "edgecolor": "none", "boxstyle": "square,pad=0.4"}
        x = 0.32 + 0.24 * place
        figure.text(x, 0.05, "  ", bbox=box, va="center", size=8)
        figure.text(x + 0.025, 0.05, words, va="center", size=9)
    return figure


def bytes_per_step(
    parameters: int, layers: int, groups: int, head_dim: int, longest: int, bytes_per_number: int
) -> Figure:
    """Draw the bytes that a decode step fetches as the text grows: weights, keys and values."""
    weights = parameters * bytes_per_number
    tokens = torch.linspace(1, longest, 60).long().tolist()
    cache = [kv_cache_bytes(layers, groups, head_dim, t, 1, bytes_per_number) for t in tokens]
    figure, ax = new_figure(8, 3.6, margins=Margins(left=0.9, bottom=0.6, top=0.6))
    unit, name = (1e9, "GB") if weights >= 1e9 else (1e6, "MB")
    ax.fill_between(tokens, 0, weights / unit, color=OKABE_ITO.sky, label="weights")
    upper = [(weights + size) / unit for size in cache]
    ax.fill_between(tokens, weights / unit, upper, color=OKABE_ITO.orange, label="keys and values")
    ax.set(xlim=(1, longest), ylim=(0, 1.25 * upper[-1]))
    ax.set(xlabel="tokens in the text", ylabel=f"{name} per new token")
    ax.legend(loc="upper left", frameon=False, ncols=2)
    each = kv_cache_bytes(layers, groups, head_dim, 1, 1, bytes_per_number)
    equal = weights / each
    title(ax, f"The cache is as large as the weights at {equal:,.0f} tokens")
    return figure
