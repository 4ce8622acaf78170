"""The interactive figures of this chapter.

Taught in:        flash_attention
Checked against:  `course_lib.chapters.flash_attention.figures` for the same values
Shapes:           one head of T = S tokens
"""

from functools import cache

import torch
from matplotlib.figure import Figure

from course_lib.accounting import DEVICES
from course_lib.chapters.flash_attention import figures
from course_lib.device import seeded
from course_lib.flash import (
    CAUSAL,
    FULL,
    fast_bytes,
    metered_standard_attention,
    metered_tiled_attention,
)
from course_lib.flash.traffic import MeteredRun
from course_lib.study.display.explorer import Explorer, choice, log_slider, step_slider
from course_lib.study.display.plotting import Number

TOKENS, WIDTH, QUERY_BLOCK, KEY_BLOCK = 24, 4, 8, 4
REACHES = {"none": FULL, "causal": CAUSAL}


@cache
def counted_runs(mask: str) -> tuple[MeteredRun, MeteredRun]:
    """Return a counted run of each method on the same small head."""
    q, k, v = torch.randn(3, TOKENS, WIDTH, generator=seeded(0)) * 2
    capacity = fast_bytes(QUERY_BLOCK, KEY_BLOCK, WIDTH)
    reach = REACHES[mask]
    blocks = {"query_block": QUERY_BLOCK, "key_block": KEY_BLOCK}
    tiled = metered_tiled_attention(q, k, v, **blocks, reach=reach, capacity=capacity)
    return tiled, metered_standard_attention(q, k, v, query_block=QUERY_BLOCK, reach=reach)


def tiling(step: int = 8, mask: str = "none") -> Explorer:
    """Step through the tiles, and see what is in fast memory and what has been moved."""
    most = len(counted_runs("none")[0].memory.steps)

    def figure(step: int, mask: str) -> Figure:
        tiled, standard = counted_runs(mask)
        return figures.tiling(tiled, standard, min(step, len(tiled.memory.steps)))

    controls = {
        "step": step_slider("tiles done", step, 1, most),
        "mask": choice("mask", mask, tuple(REACHES)),
    }
    return Explorer(figure, controls, "The loop over the tiles, from a run that counts its bytes.")


def fast_memory(kib: Number = 128, head_dim: int = 64) -> Explorer:
    """Change the size of fast memory, and see how tiles and traffic change."""
    controls = {
        "kib": log_slider("fast memory (KiB)", kib, 16.0, 1024.0, steps=48),
        "head_dim": choice("head width D", head_dim, (32, 64, 128)),
    }
    return Explorer(figures.fast_memory, controls, "More fast memory, fewer bytes moved.")


def roofline_points(device: str = "H100 SXM", n: int = 8192, head_dim: int = 128) -> Explorer:
    """Choose a device, a length and a head width, and see the limit set by traffic."""
    controls = {
        "device": choice("device", device, tuple(DEVICES)),
        "n": choice("tokens", n, (512, 1024, 2048, 4096, 8192, 16384, 32768)),
        "head_dim": choice("head width D", head_dim, (32, 64, 128)),
    }
    return Explorer(figures.roofline_points, controls, "Both methods under the roofline.")
