"""Beam search as a tree: which beams were kept, and which were dropped.

Taught in:        generation
Checked against:  the steps that beam search returns
Shapes:           K beams, N steps
"""

from collections.abc import Sequence

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from course_lib.generation import Beams
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import FAINT, MASKED, OKABE_ITO, Margins, new_figure, title


def beam_paths(beams: Beams) -> list[list[tuple[int, int]]]:
    """Return the path to each beam of the last step: (beam, token) at each step."""
    paths = []
    for last in range(beams.steps[-1].tokens.shape[1]):
        path: list[tuple[int, int]] = []
        beam = last
        for step in reversed(beams.steps):
            path.insert(0, (beam, int(step.tokens[0, beam])))
            beam = int(step.parents[0, beam])
        paths.append(path)
    return paths


def beam_tree(beams: Beams, greedy: Sequence[int], vocabulary: Sequence[str]) -> Figure:
    """Draw a search without stop tokens: a column for each step, a node for each beam kept.

    Beams that lead to a final one are black, dropped ones grey; the best text is orange-red.
    """
    steps = beams.steps
    paths = beam_paths(beams)
    alive = {(n, beam) for path in paths for n, (beam, _) in enumerate(path)}
    best = set(enumerate(beam for beam, _ in paths[0]))
    width = steps[0].tokens.shape[1]
    backing = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    figure, ax = new_figure(11, 0.75 * width + 1.3, margins=Margins(0.2, 0.2, 0.35, 0.62))
    branches: dict[str, list[list[tuple[float, float]]]] = {MASKED: [], "black": []}
    branches[OKABE_ITO.vermillion] = []  # drawn last, above the others
    for n, step in enumerate(steps):
        for beam in range(width):
            parent = int(step.parents[0, beam]) if n else (width - 1) / 2
            here = (n, beam)
            colour = OKABE_ITO.vermillion if here in best else "black" if here in alive else MASKED
            left = n - 1.2 if n else -0.8
            branches[colour].append([(left, parent), (n - 0.62, parent), (n - 0.36, beam)])
            word = token_label(vocabulary[int(step.tokens[0, beam])], 9)
            score = step.scores[0, beam].item()
            ink = colour if colour != MASKED else FAINT
            ax.text(n - 0.34, beam, f"{word}\n{score:.1f}", color=ink, va="center", fontsize=9,
                    zorder=4, bbox=backing)  # fmt: skip
    for layer, (colour, lines) in enumerate(branches.items(), 1):
        ax.add_collection(
            LineCollection(lines, colors=colour, linewidths=1.4, capstyle="projecting",
                           zorder=layer), autolim=False)  # fmt: skip
    ax.text(-0.8, (width - 1) / 2, "prompt", ha="center", va="center", rotation=90, color=FAINT,
            zorder=4, bbox=backing)  # fmt: skip
    ax.set(xlim=(-0.9, len(steps) - 0.35), ylim=(width - 0.4, -0.6))
    ax.axis("off")
    same = [token for _, token in paths[0]] == list(greedy)
    beams_kept = f"{width} beam{'s' if width > 1 else ''}"
    title(ax, f"{beams_kept} after {len(steps)} tokens: the best text "
          f"{'is' if same else 'is not'} the greedy one; {_dropped(alive, steps, width)} of "
          f"{width * len(steps)} nodes were dropped", width=10)  # fmt: skip
    return figure


def _dropped(alive: set[tuple[int, int]], steps: Sequence[object], width: int) -> int:
    return width * len(steps) - len(alive)
