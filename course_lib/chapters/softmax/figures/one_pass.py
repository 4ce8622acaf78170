"""Maximum and sum in one pass, and the merging of two blocks.

Taught in:        softmax
Paper:            Milakov & Gimelshein 2018, arXiv:1805.02867
Checked against:  torch.softmax and torch.logsumexp of all scores at once
Shapes:           V scores in the order in which they are read
"""

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.softmax import (
    SoftmaxState,
    merge_states,
    online_state,
    softmax_from_state,
    stable_softmax,
)
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    MONOSPACED,
    OKABE_ITO,
    Margins,
    new_figure,
    probability_axis,
    title,
)

_UNSEEN = "#dddddd"
_PROBABILITY = OKABE_ITO.green


def online_steps(scores: Float[Tensor, " V"], step: int) -> Figure:
    """Draw the pass after `step` scores, and the probabilities if it ended there."""
    if not 0 <= step <= len(scores):
        raise ValueError(
            f"step must be between 0 and the number of scores, {len(scores)}; got {step}. "
            "Step 0 is the state before the first score."
        )
    scores = scores.double()
    states = [_block_state(scores[:count]) for count in range(len(scores) + 1)]
    figure, (left, middle, right) = new_figure(
        11, 3.9, cols=3, margins=Margins(top=0.75, across=0.6), width_ratios=(3, 4, 3)
    )
    _seen_scores(left, scores, step, states[step])
    _state_table(middle, scores, step, states)
    _probabilities_so_far(right, scores, step, states[step])
    return figure


def _block_state(scores: Float[Tensor, " V"]) -> SoftmaxState:
    """Return the state of a block that may also be empty."""
    if len(scores):
        return online_state(scores)
    return SoftmaxState(torch.tensor(-torch.inf), torch.tensor(0.0))


def _seen_scores(ax: Axes, scores: Float[Tensor, " V"], step: int, state: SoftmaxState) -> None:
    colours = [OKABE_ITO.blue if i < step else _UNSEEN for i in range(len(scores))]
    if step:
        colours[step - 1] = OKABE_ITO.orange
        ax.axhline(state.maximum.item(), color=OKABE_ITO.vermillion, linestyle="--", linewidth=1.6)
    places = range(1, len(scores) + 1)
    ax.bar(places, scores.tolist(), color=colours, width=0.75)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xlabel="step", ylabel="score", xticks=places)
    ax.locator_params(axis="y", nbins=5)
    seen = f"{step} of {len(scores)} scores seen"
    title(ax, f"{seen}: the maximum is {_number(state.maximum)}")


def _state_table(
    ax: Axes, scores: Float[Tensor, " V"], step: int, states: list[SoftmaxState]
) -> None:
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(scores) + 0.5, -1.0))
    heads = f"{'step':>4}{'score':>8}{'max':>7}{'old sum ×':>12}{'new sum':>10}"
    ax.text(0, -0.7, heads, va="center", color=FAINT, family=MONOSPACED, size=9)
    for row in range(step + 1):
        maximum, total = _number(states[row].maximum), f"{states[row].total:.3f}"
        score = written(scores[row - 1].item(), ".2f") if row else ""
        factor = _rescaling(states, row)
        rescaled = f"{factor:.3f}" if row else ""
        ax.text(
            0,
            row,
            f"{row:>4}{score:>8}{maximum:>7}{rescaled:>12}{total:>10}",
            va="center",
            family=MONOSPACED,
            size=9,
            color=OKABE_ITO.vermillion if factor < 1 else "black",
            weight="bold" if row == step else "normal",
        )
    title(ax, _step_in_words(scores, step, states))


def _rescaling(states: list[SoftmaxState], row: int) -> float:
    """Return exp(old maximum - new maximum), by which this step multiplies the sum so far."""
    if row == 0:
        return 1.0
    return (states[row - 1].maximum - states[row].maximum).exp().item()


def _step_in_words(scores: Float[Tensor, " V"], step: int, states: list[SoftmaxState]) -> str:
    if step == 0:
        return "Before the first score, nothing to rescale"
    if step == 1:
        return "The first score is the first maximum: exp(0) = 1"
    factor = _rescaling(states, step)
    if factor < 1:
        return f"A new maximum: the old sum shrinks by {factor:.3f}, then 1 is added"
    added = (scores[step - 1] - states[step].maximum).exp()
    return f"No new maximum: the sum stays, and exp(score − max) = {added:.3f} is added"


def _probabilities_so_far(
    ax: Axes, scores: Float[Tensor, " V"], step: int, state: SoftmaxState
) -> None:
    so_far = torch.zeros_like(scores)
    if step:
        so_far[:step] = softmax_from_state(scores[:step], state)
    direct = stable_softmax(scores)
    places = range(1, len(scores) + 1)
    ax.bar(places, so_far.tolist(), color=_PROBABILITY, width=0.75)
    ax.plot(places, direct.tolist(), "k_", markersize=14, markeredgewidth=2.2)
    ax.set(xlabel="step", xticks=places)
    probability_axis(ax, top=1.35)
    ax.text(
        0.06, 0.95, "■ from the state so far", color=_PROBABILITY, transform=ax.transAxes, size=9
    )
    ax.text(0.06, 0.86, "━ computed directly from all", transform=ax.transAxes, size=9)
    gap = (so_far - direct).abs().max().item()
    agree = "equal the direct result" if gap < 1e-12 else f"are off by {gap:.2f} so far"
    title(ax, f"The probabilities {agree}")


def merge(scores: Float[Tensor, " V"], cut: int) -> Figure:
    """Draw two blocks of scores, the state of each, and the state of both together."""
    if not 0 <= cut <= len(scores):
        raise ValueError(
            f"cut must be between 0 and the number of scores, {len(scores)}; got {cut}. "
            "It counts the scores of the first block."
        )
    scores = scores.double()
    first, second = _block_state(scores[:cut]), _block_state(scores[cut:])
    both = merge_states(first, second)
    figure, (left, right) = new_figure(
        10, 3.5, cols=2, margins=Margins(top=0.65, across=0.5), width_ratios=(4, 5)
    )
    _two_blocks(left, scores, cut, first, second)
    _merging_in_numbers(right, first, second, both)
    gap = (softmax_from_state(scores, both) - stable_softmax(scores)).abs().max().item()
    agree = "exact probabilities" if gap < 1e-12 else f"probabilities off by {gap:.2g}"
    title(right, f"Two numbers from each block give {agree}")
    return figure


def _two_blocks(
    ax: Axes, scores: Float[Tensor, " V"], cut: int, first: SoftmaxState, second: SoftmaxState
) -> None:
    colours = [OKABE_ITO.blue if i < cut else OKABE_ITO.orange for i in range(len(scores))]
    places = range(1, len(scores) + 1)
    ax.bar(places, scores.tolist(), color=colours, width=0.75)
    for state, start, end in ((first, 0, cut), (second, cut, len(scores))):
        if start < end:
            ax.hlines(state.maximum.item(), start + 0.5, end + 0.5, "black", "--", linewidth=1.5)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xlabel="score number", ylabel="score", xticks=places)
    ax.locator_params(axis="y", nbins=5)
    title(ax, f"Blocks of {cut} and {len(scores) - cut}, each with its own maximum")


def _merging_in_numbers(
    ax: Axes, first: SoftmaxState, second: SoftmaxState, both: SoftmaxState
) -> None:
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    rows = (("first block", first, OKABE_ITO.blue), ("second block", second, "#9a6a00"))
    for height, (name, state, ink) in zip((0.86, 0.68), rows, strict=True):
        factor = (state.maximum - both.maximum).exp()
        said = f"max {_number(state.maximum)}   sum {state.total:.3f}   × {factor:.3f}"
        ax.text(0.0, height, name, color=ink, weight="bold", va="center")
        ax.text(0.3, height, f"{said} = {state.total * factor:.3f}", color=ink, va="center")
    ax.axhline(0.57, color="black", linewidth=0.8)
    ax.text(0.0, 0.46, "together", weight="bold", va="center")
    ax.text(0.3, 0.46, f"max {_number(both.maximum)}   sum {both.total:.3f}", va="center")
    wrong = (first.total + second.total).item()
    ax.text(0.0, 0.2, f"× is exp(max of the block − max of both).\n{_slip(wrong, both)}", size=9)


def _slip(wrong: float, both: SoftmaxState) -> str:
    """Describe the result of adding the sums without rescaling."""
    ratio = wrong / both.total.item()
    if abs(ratio - 1) < 5e-4:
        return "Without this factor, the sum would be the same here."
    return f"Without this factor, the sum would be {wrong:.3f}: {ratio:.2f} times too large."


def _number(value: Float[Tensor, ""]) -> str:
    return written(value.item(), ".2f") if value.isfinite() else "−∞"
