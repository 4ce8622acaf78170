"""The interactive figures of this chapter.

Taught in:        language_models
Checked against:  the figures of `course_lib.chapters.language_models.figures` for the same values
Shapes:           V outcomes
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.language_models import figures
from course_lib.device import seeded
from course_lib.ngrams import AddK, NextToken, sample, uniform
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider, step_slider
from course_lib.study.display.labels import plain, token_label
from course_lib.study.display.plotting import Number

SENTENCE = ("the", " cat", " sat", " on", " the", " mat")
NAMES = ("a", "b", "c", "d")
WEIGHTS = (4.0, 2.0, 1.0, 1.0)
SYMBOLS = ("a", "b", "c", "d", "e", "f")
LETTERS = ("a", "b", "n")
WORD = "banana"
DRAWN_BYTES = 300


def _shares(weights: Sequence[Number]) -> Float[Tensor, " V"]:
    row = torch.tensor(weights, dtype=torch.float64)
    return row / row.sum()


def tasks(tokens: Sequence[str] = SENTENCE, prefix: int = 3, hidden: int = 2) -> Explorer:
    """Move the end of the prefix and the hidden token through a sentence."""
    names = [(plain(token_label(token)), place) for place, token in enumerate(tokens)]
    controls = {
        "prefix": step_slider("tokens in prefix", prefix, 0, len(tokens)),
        "hidden": choice("hidden token", hidden, names),
    }
    figure = partial(figures.tasks, tokens)
    return Explorer(figure, controls, "Three tasks: what is visible, what is predicted.")


def sampled_text(models: Mapping[int, NextToken], order: int = 3) -> Explorer:
    """Sample from models of different orders, with a temperature and a seed of your choice."""

    def figure(order: int, temperature: Number, seed: int) -> Figure:
        model = models[order]
        text = sample(model, DRAWN_BYTES, seeded(seed), temperature=float(temperature))
        return figures.sampled_text(bytes(text), model(text), order, temperature)

    controls = {
        "order": choice("n", order, sorted(models)),
        "temperature": log_slider("temperature", 1.0, 0.25, 2.0, steps=24),
        "seed": step_slider("seed", 0, 0, 20),
    }
    return Explorer(figure, controls, "Text sampled from n-gram models.")


def coin(heads: Number = 0.9) -> Explorer:
    """Bias a coin and see the entropy of a toss."""
    controls = {"heads": slider("share of heads", heads, 0.0, 1.0)}
    return Explorer(figures.coin, controls, "Entropy is the average surprise.")


def distribution(weights: Sequence[Number] = WEIGHTS, names: Sequence[str] = NAMES) -> Explorer:
    """Give each outcome a weight and watch the entropy of the distribution."""

    def figure(**moved: Number) -> Figure:
        return figures.distribution(_shares(list(moved.values())), names)

    controls = {
        f"w{place}": slider(f"weight of {name}", weight, 0.1, 8.0, step=0.1, pattern=".1f")
        for place, (name, weight) in enumerate(zip(names, weights, strict=True))
    }
    return Explorer(figure, controls, "Each outcome adds p · (−log2 p) to the entropy.")


def divergence(heat: Number = 1.0, shift: int = 1) -> Explorer:
    """Make a model overconfident, underconfident or wrong, and see what it pays."""
    p = _shares(WEIGHTS)

    def figure(heat: Number, shift: int) -> Figure:
        q = torch.softmax(p.roll(shift).log() / heat, -1)
        return figures.divergence(p, q, NAMES)

    controls = {
        "heat": log_slider("how flat q is", heat, 0.25, 8.0, steps=40),
        "shift": step_slider("q shifted by", shift, 0, len(NAMES) - 1),
    }
    return Explorer(figure, controls, "Cross-entropy is entropy plus the price of being wrong.")


def huffman(skew: Number = 0.6, count: int = 6) -> Explorer:
    """Make the probabilities more or less equal, and see the tree change."""

    def figure(skew: Number, count: int) -> Figure:
        shares = _shares([2.0 ** (-float(skew) * place) for place in range(count)])
        return figures.huffman_tree(shares, SYMBOLS[:count])

    controls = {
        "skew": slider("bits between shares", skew, 0.0, 3.0, step=0.05),
        "count": step_slider("symbols", count, 2, len(SYMBOLS)),
    }
    return Explorer(figure, controls, "Frequent symbols get short words.")


def coder_models() -> dict[str, NextToken]:
    """Return three models of the letters of a word, from uniform to bigram counts."""
    ids = [LETTERS.index(letter) for letter in WORD]
    return {
        "uniform": uniform(len(LETTERS)),
        "letter counts": AddK(ids, 1, len(LETTERS), 0.1),
        "what follows each letter": AddK(ids, 2, len(LETTERS), 0.1),
    }


def arithmetic(model: str = "letter counts", step: int = len(WORD)) -> Explorer:
    """Step through the coder, and see a better model leave a wider interval."""
    ids = [LETTERS.index(letter) for letter in WORD]
    models = coder_models()

    def figure(model: str, step: int) -> Figure:
        return figures.arithmetic_steps(ids, models[model], LETTERS, step)

    controls = {
        "model": choice("model", model, tuple(models)),
        "step": step_slider("letters encoded", step, 0, len(ids)),
    }
    return Explorer(figure, controls, f"The whole word “{WORD}” becomes one number.")


def capacity(flip: Number = 0.1) -> Explorer:
    """Make the channel noisier and see its capacity."""
    controls = {"flip": slider("flip probability", flip, 0.0, 1.0)}
    return Explorer(figures.capacity_curve, controls, "The capacity of a channel that flips bits.")


def code_errors(flip: Number = 0.1) -> Explorer:
    """Send random messages with several codes over a noisy channel."""
    controls = {"flip": slider("flip probability", flip, 0.01, 0.4)}
    return Explorer(figures.code_errors, controls, "Codes below and above capacity, simulated.")
