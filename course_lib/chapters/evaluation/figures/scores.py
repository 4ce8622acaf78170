"""Pictures of scores: BLEU term by term, calibration bins, ratings.

Taught in:        evaluation
Checked against:  `bleu_terms`, `calibration_bins`, `elo_ratings` and `bradley_terry`
Shapes:           none
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from course_lib.evaluation import (
    bleu_from,
    bradley_terry,
    calibration_bins,
    elo_ratings,
    expected_calibration_error,
    shuffled,
    words_13a,
)
from course_lib.evaluation import bleu_terms as terms_of
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    probability_axis,
    title,
)


def bleu_terms(hypothesis: str, reference: str, smooth: bool = False) -> Figure:
    """Draw the four precisions and the brevity penalty whose product is BLEU."""
    terms = terms_of([words_13a(hypothesis)], [[words_13a(reference)]])
    figure, ax = new_figure(8, 3.2, margins=Margins(left=0.8, bottom=0.6, top=0.6))
    names = [f"{n}-grams" for n in range(1, 5)] + ["brevity\npenalty"]
    heights = [*terms.precisions, terms.brevity_penalty]
    colours = [OKABE_ITO.blue] * 4 + [OKABE_ITO.orange]
    ax.bar(names, heights, color=colours)
    counts = [f"{m} of {t}" for m, t in zip(terms.matches, terms.totals, strict=True)]
    counts.append(f"{terms.length} words against {terms.reference_length}")
    for place, (height, text) in enumerate(zip(heights, counts, strict=True)):
        ax.text(place, height + 0.03, text, ha="center", fontsize=9)
    probability_axis(ax, "precision, or factor", 1.2)
    title(ax, f"BLEU {bleu_from(terms, smooth):.1f}{', smoothed' if smooth else ''}")
    return figure


def calibration(
    confidences: Sequence[float], right: Sequence[int], bins: int, equal_mass: bool = False
) -> Figure:
    """Draw accuracy over mean confidence, a point for each bin, its area by the items."""
    found = calibration_bins(confidences, right, bins, equal_mass)
    figure, ax = new_figure(6, 4, margins=Margins(left=0.8, bottom=0.6, top=0.6))
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
    for each in found:
        ax.plot([each.confidence] * 2, [each.confidence, each.accuracy], color=OKABE_ITO.orange)
    sizes = [12 + 500 * each.items / len(right) for each in found]
    x, y = [each.confidence for each in found], [each.accuracy for each in found]
    ax.scatter(x, y, s=sizes, color=OKABE_ITO.blue, zorder=3)
    ax.set(xlabel="mean confidence of the bin", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
    error = expected_calibration_error(confidences, right, bins, equal_mass)
    kind = "equal items" if equal_mass else "equal width"
    title(ax, f"ECE {error:.4f} with {bins} bins of {kind}, {len(right):,} predictions")
    return figure


def ratings(wins: Sequence[tuple[str, str, int]], order: int, k: Number = 32) -> Figure:
    """Draw Elo's path over the games in a random order, and Bradley–Terry's ratings."""
    games = [(winner, loser) for winner, loser, count in wins for _ in range(count)]
    played, best = shuffled(games, order), bradley_terry(games)
    figure, ax = new_figure(8, 3.6, margins=Margins(left=0.8, right=0.9, bottom=0.6, top=0.6))
    colours = (OKABE_ITO.blue, OKABE_ITO.vermillion, OKABE_ITO.green)
    paths = [elo_ratings(played[:n], float(k)) for n in range(1, len(played) + 1)]
    for name, colour in zip(best, colours, strict=False):
        ax.plot(range(1, len(paths) + 1), [path.get(name, 1000.0) for path in paths], color=colour)
        ends = 0.0, len(paths) * 1.02
        ax.plot(ends, [best[name]] * 2, color=colour, linestyle=":", linewidth=1.2)
        ax.text(len(paths) * 1.04, best[name], name, color=colour, va="center")
    ax.set(xlabel="games played", ylabel="rating")
    final = ", ".join(f"{name} {paths[-1][name]:.0f} / {best[name]:.0f}" for name in best)
    title(ax, f"Elo after the last game / Bradley–Terry: {final}")
    return figure
