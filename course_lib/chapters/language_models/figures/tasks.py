"""Three tables of what is visible: causal, masked and prefix language modeling.

Taught in:        language_models
Paper:            Raffel et al. 2019, arXiv:1910.10683
Checked against:  `course_lib.ngrams.objectives`, read back from the drawn cells
Shapes:           T tokens of one text
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.ngrams import Task, causal_task, masked_task, prefix_task
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

SEEN, ONLY_VISIBLE, UNSEEN = OKABE_ITO.blue, "#a9cfe6", "#e6e6e6"
PREDICTED = OKABE_ITO.vermillion
KEY = (
    (0.09, "■ read for a prediction", SEEN),
    (0.29, "■ visible, but this row predicts nothing", "#5b8aa6"),
    (0.60, "□ not visible", FAINT),
    (0.75, "◀ to be predicted", PREDICTED),
)


def tasks(tokens: Sequence[str], prefix: int, hidden: int) -> Figure:
    """Draw the three tasks for one text, with a prefix of `prefix` tokens and one hidden token."""
    length = len(tokens)
    found = {
        "causal": causal_task(length),
        "masked": masked_task(length, torch.tensor([hidden])),
        "prefix": prefix_task(length, prefix),
    }
    figure, ax = new_figure(11, 4.2, margins=Margins(left=1.0, bottom=1.05, top=0.65))
    ax.imshow(panels(list(found.values())).numpy(), aspect="auto", interpolation="nearest")
    said = []
    for place, (name, task) in enumerate(found.items()):
        start = place * (length + 1)
        rows = task.predicted.nonzero().flatten().tolist()
        ax.plot([start + length - 0.25] * len(rows), rows, "<", color=PREDICTED)
        under = f"{name}: token that may be read"
        ax.text(start - 0.5, -0.2, under, transform=ax.get_xaxis_transform(), va="top")
        which = f"masked ({token_label(tokens[hidden])})" if name == "masked" else name
        said.append(f"{which} {_counted(task)}")
    labels = [token_label(token) for token in tokens]
    ax.set_yticks(range(length), labels)
    places = [p * (length + 1) + column for p in range(3) for column in range(length)]
    ax.set_xticks(places, labels * 3, rotation=90)
    _grid(ax, length)
    title(ax, f"Predicted: {'; '.join(said)}", 10.0)
    for across, words, ink in KEY:
        figure.text(across, 0.03, words, color=ink, size=9)
    return figure


def panels(found: Sequence[Task]) -> Float[Tensor, "T columns rgb"]:
    """Return the tables side by side as one picture, with a white column after each."""
    parts = []
    for task in found:
        cells = torch.ones(len(task.visible), len(task.visible) + 1, 3)
        cells[:, :-1] = torch.tensor(to_rgb(UNSEEN))
        cells[:, :-1][task.visible] = torch.tensor(to_rgb(ONLY_VISIBLE))
        read = task.visible & task.predicted[:, None]
        cells[:, :-1][read] = torch.tensor(to_rgb(SEEN))
        parts.append(cells)
    return torch.cat(parts, dim=1)


def _counted(task: Task) -> str:
    count = int(task.predicted.sum())
    if not count:
        return "no token"
    read = int(task.visible[task.predicted].sum())
    return f"{count} of {len(task.predicted)} tokens from {read / count:.3g} each"


def _grid(ax: Axes, length: int) -> None:
    width = 3 * (length + 1)
    ax.set(ylabel="token to predict")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.hlines([row - 0.5 for row in range(length + 1)], -0.5, width - 0.5, "white", linewidth=1.5)
    ax.vlines([col - 0.5 for col in range(width)], -0.5, length - 0.5, "white", linewidth=1.5)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(length - 0.5, -0.5))
