"""The interactive figures of this chapter.

Taught in:        rope
Checked against:  the figures of `course_lib.chapters.rope.figures` for the same values
Shapes:           D head width, T positions
"""

from collections.abc import Sequence
from itertools import product

import torch
from matplotlib.figure import Figure

from course_lib.chapters.rope import figures
from course_lib.chapters.rope.figures import measured, rotation
from course_lib.chapters.rope.long_texts import STRETCHES
from course_lib.chapters.rope.position_toys import DISTANCES, TRAINED_LENGTH, WIDTH, trained
from course_lib.chapters.rope.scalings import SCALINGS
from course_lib.device import one_thread, seeded
from course_lib.positions import sinusoidal_table
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider, step_slider
from course_lib.study.display.plotting import Number

QUERY = (1.0, 0.3, -0.5, 0.8, 0.4, 0.9, 0.6, -0.2)
KEY = (0.8, -0.4, 0.7, 0.5, -0.6, 0.5, -0.3, 0.9)


def clocks(
    q: Sequence[Number] = QUERY,
    k: Sequence[Number] = KEY,
    m: int = 12,
    n: int = 5,
    base: Number = 100.0,
) -> Explorer:
    """Move the query, the key, or both together, and watch the hands and the score."""
    query, key = (torch.tensor(each, dtype=torch.float64) for each in (q, k))
    last = rotation.FARTHEST - 1

    def figure(m: int, n: int, both: int) -> Figure:
        both = max(0, min(both, last - max(m, n)))  # as far as the map goes
        return figures.clocks(query, key, m + both, n + both, float(base))

    controls = {
        "m": step_slider("query at m", m, 0, last),
        "n": step_slider("key at n", n, 0, last),
        "both": step_slider("move both by", 0, 0, last),
    }
    return Explorer(figure, controls, "Each plane is a clock; the score depends only on m − n.")


def rotation_or_not(angle: Number = 0.5) -> Explorer:
    """Multiply a circle of vectors with a rotation and with the mistaken matrix."""
    controls = {"angle": slider("angle (radians)", angle, 0.0, 3.1, step=0.05)}
    return Explorer(figures.rotation_or_not, controls, "A rotation keeps lengths.")


def position_table(table: str = "sinusoidal", seed: int = 0) -> Explorer:
    """Choose a table of positions, and shuffle its rows as a control."""
    random = torch.randn(TRAINED_LENGTH, WIDTH, generator=seeded(0))
    tables = {
        "sinusoidal": lambda: sinusoidal_table(TRAINED_LENGTH, WIDTH),
        "learned": lambda: trained("learned").table,
        "random": lambda: random,
    }

    def figure(table: str, seed: int) -> Figure:
        return figures.position_table(tables[table](), table, seed)

    controls = {
        "table": choice("table", table, tuple(tables)),
        "seed": step_slider("shuffle number", seed, 0, 9),
    }
    return Explorer(figure, controls, "How similar the rows of a table are.")


def alibi(num_heads: int = 8, head: int = 3) -> Explorer:
    """Choose a number of heads and one of them, and see how far back it reads."""

    def figure(num_heads: int, head: int) -> Figure:
        return figures.alibi(num_heads, min(head, num_heads))

    controls = {
        "num_heads": step_slider("heads", num_heads, 1, 16),
        "head": step_slider("this head", head, 1, 16),
    }
    return Explorer(figure, controls, "ALiBi: every token of distance costs the same.")


def wavelengths(
    head_dim: int = 128, base: Number = 10_000.0, trained_length: Number = 4096.0
) -> Explorer:
    """Move the base and the trained length, and count the planes that never complete a turn."""

    def figure(base: Number, trained_length: Number) -> Figure:
        return figures.wavelength_map(head_dim, base, trained_length)

    controls = {
        "base": log_slider("base", base, 100.0, 10_000_000.0, steps=50),
        "trained_length": log_slider("trained length", trained_length, 32.0, 131_072.0, steps=48),
    }
    return Explorer(figure, controls, "The number of tokens each plane takes for a full turn.")


def slowdown(
    factor: Number = 4.0, head_dim: int = 128, base: Number = 10_000.0, trained_length: int = 4096
) -> Explorer:
    """Stretch to longer texts, and see which planes each scaling slows."""

    def figure(factor: Number, base: Number) -> Figure:
        return figures.slowdown(factor, head_dim, base, trained_length)

    controls = {
        "factor": slider("times as long", factor, 1.5, 16.0, step=0.5, pattern=".1f"),
        "base": log_slider("base", base, 1000.0, 1_000_000.0, steps=30),
    }
    return Explorer(figure, controls, "Which planes each scaling slows, and by how much.")


def context_extension(factor: int = 4) -> Explorer:
    """Stretch RoPE for longer texts, and see the loss of a small trained model."""
    with one_thread():  # all losses now, so that no redraw waits for them
        for scaling, stretch in product(SCALINGS, measured.FACTORS):
            measured.scaled_losses(scaling, stretch if scaling != "plain" else 1)
    controls = {
        "factor": choice("stretched for", factor, [(f"{f} times", f) for f in measured.FACTORS])
    }
    return Explorer(figures.context_extension, controls, "A trained model beyond its length.")


def long_text(factor: int = STRETCHES[-1]) -> Explorer:
    """Stretch the course model's RoPE, and see its loss along texts longer than in training."""
    controls = {"factor": choice("stretched for", factor, [(f"{f} times", f) for f in STRETCHES])}
    return Explorer(
        figures.long_text, controls, "The course model on texts longer than in training."
    )


def method_comparison(distance: int = 64) -> Explorer:
    """Choose from how far back to copy, and compare six ways to encode positions."""
    controls = {"distance": choice("copy from", distance, [(f"{d} back", d) for d in DISTANCES])}
    return Explorer(figures.method_comparison, controls, "Six small models, one task.")


def decay(head_dim: int = 64, base: Number = 10_000.0) -> Explorer:
    """Change the base and the head width, and see what decays with distance."""

    def figure(head_dim: int, base: Number) -> Figure:
        return figures.decay(head_dim, base)

    controls = {
        "head_dim": choice("head width", head_dim, (16, 32, 64, 128)),
        "base": log_slider("base", base, 10.0, 1_000_000.0, steps=50),
    }
    return Explorer(figure, controls, "Scores against distance: independent pairs, equal pairs.")
