"""What a tokenizer costs: text per token against vocabulary size, and by language.

Taught in:        tokenization
Paper:            Petrov et al. 2023, arXiv:2305.15425
Checked against:  the lengths that are drawn
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title
from course_lib.tokenization.cost import Length

COLOURS = (
    OKABE_ITO.blue,
    OKABE_ITO.orange,
    OKABE_ITO.green,
    OKABE_ITO.vermillion,
    OKABE_ITO.purple,
    OKABE_ITO.sky,
    OKABE_ITO.black,
)


def compression(
    sizes: Sequence[int], lengths: Mapping[str, Sequence[Length]], chosen: str, size: int
) -> Figure:
    """Draw bytes per token against vocabulary size for each text, and the saving of a doubling."""
    if chosen not in lengths or size not in sizes:
        raise ValueError(
            f"the text must be one of {', '.join(lengths)} and the size one of "
            f"{', '.join(map(str, sizes))}; got {chosen!r} and {size}. Choose from these."
        )
    figure, ax = new_figure(8.5, 4.0, margins=Margins(right=1.55, top=0.65))
    ends = {name: row[-1].bytes_per_token for name, row in lengths.items()}
    for (name, row), colour in zip(lengths.items(), COLOURS, strict=False):
        heights = [each.bytes_per_token for each in row]
        bold = name == chosen
        ax.plot(sizes, heights, "o-", color=colour, linewidth=2.8 if bold else 1.2, markersize=4)
    _name_curves(ax, sizes[-1] * 1.06, ends, chosen)
    row = lengths[chosen]
    here = sizes.index(size)
    ax.plot([size], [row[here].bytes_per_token], "o", color="black", markersize=9, zorder=5)
    ax.set(xscale="log", xlabel="vocabulary size", ylabel="bytes per token", ylim=(0, None))
    ax.set_xticks(sizes, [str(each) for each in sizes])
    ax.minorticks_off()
    said = f"{chosen}, {size} tokens: {row[here].bytes_per_token:.2f} bytes per token"
    if here:
        saved = 1 - row[here].tokens / row[here - 1].tokens
        said += f", {saved:.0%} fewer tokens than with {sizes[here - 1]}"
    title(ax, said)
    return figure


def _name_curves(ax: Axes, x: float, ends: Mapping[str, float], chosen: str) -> None:
    """Write the names where the curves end; curves that end together share one label."""
    gap = 0.065 * max(ends.values())
    groups: list[list[str]] = []
    for name in sorted(ends, key=lambda name: ends[name]):
        if groups and ends[name] - ends[groups[-1][0]] < gap:
            groups[-1].append(name)
        else:
            groups.append([name])
    for group in groups:
        height = sum(ends[name] for name in group) / len(group)
        weight, ink = ("bold", "black") if chosen in group else ("normal", FAINT)
        label = ", ".join(group)
        ax.text(x, height, label, va="center", size=9, weight=weight, color=ink)


def fertility(lengths: Mapping[str, Length], thought: Sequence[str], base: str) -> Figure:
    """Draw bytes per token for each text, and for texts with the same meaning the ratio of tokens.

    `thought` names the texts with the same meaning, `base` the one they are compared with.
    """
    figure, (left, right) = new_figure(
        10, 3.6, cols=2, margins=Margins(left=0.8, top=0.65, across=1.0)
    )
    ratios = {name: lengths[name].tokens / lengths[base].tokens for name in thought}
    colours = [OKABE_ITO.orange if name == base else OKABE_ITO.blue for name in ratios]
    _bars(left, ratios, colours, "×{:.1f}")
    left.axvline(1, color=FAINT, linestyle=":", linewidth=1.3)
    left.set(xlabel=f"tokens for the same sentence, {base} = 1")
    longest = max(ratios, key=lambda name: ratios[name])
    title(left, f"{longest} needs {ratios[longest]:.1f} times as many tokens as {base}")
    covered = {name: each.bytes / each.tokens for name, each in lengths.items()}
    _bars(right, covered, [OKABE_ITO.sky] * len(covered), "{:.2f}")
    right.set(xlabel="bytes per token")
    best = max(covered, key=lambda name: covered[name])
    worst = min(covered, key=lambda name: covered[name])
    found = f"A token covers {covered[best]:.1f} bytes of {best}, {covered[worst]:.1f} of {worst}"
    if covered[best] == covered[worst]:
        found = f"In every text a token covers {covered[best]:.1f} bytes"
    title(right, found)
    return figure


def _bars(ax: Axes, values: Mapping[str, float], colours: Sequence[str], pattern: str) -> None:
    places = range(len(values))
    drawn = ax.barh(places, list(values.values()), color=list(colours), height=0.7)
    ax.bar_label(drawn, [pattern.format(each) for each in values.values()], padding=3, fontsize=9)
    ax.set_yticks(places, list(values))
    ax.invert_yaxis()
    ax.set_xlim(0, 1.18 * max(values.values()))
    ax.tick_params(axis="y", length=0)
