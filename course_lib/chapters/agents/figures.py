"""The pictures of this chapter: a run, a context, a learning curve, attacks, and what turns cost.

Taught in:        agents
Checked against:  the events, messages, records and counts that they are drawn from
Shapes:           none
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from course_lib.agents import Attack, Defence, tokens_read
from course_lib.agents.attacks import attacked
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    new_figure,
    readable_on,
    title,
)

LANES = ("user", "model", "tool", "end")
LANE_OF = {"started": 0, "reply": 1, "failed": 1, "begun": 2, "result": 2, "ended": 3}
HUES = (OKABE_ITO.green, OKABE_ITO.blue, OKABE_ITO.orange, OKABE_ITO.purple)
SHOWN = 46  # characters of an event
SHORT = {"system": "sys", "user": "user", "assistant": "model", "tool": "tool"}


def run(events: Sequence[Mapping[str, Any]], shown: int) -> Figure:
    """Draw the first events of a run, each in the lane of whoever acted."""
    margins = Margins(left=0.7, right=0.15, bottom=0.45, top=0.5)
    figure, ax = new_figure(9.5, 0.36 * len(events) + 1.1, margins=margins)
    for place, event in enumerate(events[:shown]):
        lane = LANE_OF[str(event["event"])]
        ax.plot(lane, place, "o", color=HUES[lane], markersize=8)
        text = _about(event)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        ax.text(lane + 0.12, place, text, va="center", fontsize=8, bbox=box)
    ax.set(xlim=(-0.3, 5.2), ylim=(len(events) - 0.4, -0.6), ylabel="event")
    ax.set_xticks(range(len(LANES)), LANES)
    ax.set_yticks(range(len(events)), [str(number) for number in range(1, len(events) + 1)])
    for lane in range(len(LANES)):
        ax.axvline(lane, color=FAINT, linewidth=0.6, zorder=0)
    title(ax, _finding(events[:shown]))
    return figure


def _about(event: Mapping[str, Any]) -> str:
    match event["event"]:
        case "started":
            text = str(event["task"])
        case "reply":
            names = ", ".join(call["name"] for call in event["calls"])
            text = f"calls {names}" if names else event["text"] or "; ".join(event["errors"])
        case "begun":
            text = f"{event['id']} begins"
        case "result":
            text = f"{event['id']}: {event['text']}"
        case "failed":
            text = str(event["error"])
        case _:
            text = f"ended: {event['state']}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _finding(events: Sequence[Mapping[str, Any]]) -> str:
    count = {kind: sum(event["event"] == kind for event in events) for kind in LANE_OF}
    open_calls = count["begun"] - sum(
        event["event"] == "result" and event["status"] not in REFUSED for event in events
    )
    left = f"; {_counted(open_calls, 'call')} without a result" if open_calls > 0 else ""
    return f"{_counted(count['reply'], 'turn')}, {_counted(count['result'], 'result')}{left}"


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


REFUSED = ("unknown tool", "bad arguments", "refused", "duplicate")


def context(roles: Sequence[str], sizes: Sequence[int], kept: Sequence[int], budget: int) -> Figure:
    """Draw the messages of a conversation in a row, those that stay in colour."""
    margins = Margins(left=0.2, right=0.2, bottom=0.5, top=0.5)
    figure, ax = new_figure(9, 1.9, margins=margins)
    colours = dict(zip(("user", "assistant", "tool", "system"), HUES, strict=True))
    start = 0
    for place, (role, size) in enumerate(zip(roles, sizes, strict=True)):
        inside = place in kept
        colour = colours[role] if inside else "#e6e6e6"
        ink = readable_on(colour) if inside else FAINT
        ax.barh(0, size, left=start, color=colour, edgecolor="white", linewidth=1.5)
        ax.text(start + size / 2, 0, SHORT[role], ha="center", va="center", fontsize=8, color=ink)
        start += size
    ax.set(yticks=[], xlim=(0, start), xlabel="tokens of the whole conversation")
    used = sum(sizes[place] for place in kept)
    title(ax, f"{len(kept)} of {len(roles)} messages stay: {used} of {budget} tokens")
    return figure


def learning(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the share of right answers while the assistant learns to use tools."""
    figure, ax = new_figure(7.5, 3.4)
    names = [name for name in records[0] if name not in ("step", "seconds", "loss", "rate")]
    steps = [record["step"] for record in records]
    for name, colour in zip(names, (*HUES, OKABE_ITO.vermillion, OKABE_ITO.sky), strict=False):
        ax.plot(steps, [record[name] for record in records], label=name, color=colour)
    ax.set(xlabel="training step", ylabel="share of right answers", ylim=(-0.03, 1.03))
    ax.legend(fontsize=8, frameon=False, ncols=2)
    first = next((r["step"] for r in records if r["sum 3x3"] >= 0.5), None)
    said = f"half of the sums are right by step {first}" if first else "no sum is right yet"
    title(ax, f"Copying comes late: {said}")
    return figure


def defended(attacks: Sequence[Attack], defences: Sequence[Defence]) -> Figure:
    """Draw which attack each defence stops."""
    margins = Margins(left=1.0, right=0.2, bottom=1.5, top=0.5)
    figure, ax = new_figure(9, 0.42 * len(defences) + 2.1, margins=margins)
    stopped = [[not attacked(attack, each) for attack in attacks] for each in defences]
    for row, line in enumerate(stopped):
        for column, good in enumerate(line):
            colour = OKABE_ITO.blue if good else OKABE_ITO.vermillion
            ax.barh(row, 0.9, left=column, height=0.85, color=colour)
            ax.text(column + 0.45, row, "stops" if good else "fails", ha="center", va="center",
                    color=readable_on(colour), fontsize=8)  # fmt: skip
    ax.set_yticks(range(len(defences)), [each.name for each in defences])
    places = [column + 0.45 for column in range(len(attacks))]
    names = [f"{attack.name} ({attack.place})" for attack in attacks]
    ax.set_xticks(places, names, rotation=45, ha="right", fontsize=7)
    ax.set(xlim=(0, len(attacks)), ylim=(len(defences) - 0.5, -0.5))
    best = max(range(len(defences)), key=lambda row: sum(stopped[row]))
    title(ax, f"{defences[best].name} stops {sum(stopped[best])} of {len(attacks)} attacks")
    return figure


def growth(base: int, per_turn: int, turns: int) -> Figure:
    """Draw how many tokens a run reads in all, with and without a prefix cache."""
    margins = Margins(left=0.95, right=0.15, bottom=0.6, top=0.5)
    figure, ax = new_figure(7, 3.3, margins=margins)
    numbers = range(1, turns + 1)
    for cached, colour in ((False, OKABE_ITO.vermillion), (True, OKABE_ITO.blue)):
        read = [tokens_read(base, per_turn, n, cached) for n in numbers]
        name = f"{'with' if cached else 'without'} a prefix cache"
        ax.plot(numbers, read, color=colour, label=name)
    ax.set(xlabel="turns of the model", ylabel="tokens read in all")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.legend(fontsize=8, frameon=False)
    all_of, new = (tokens_read(base, per_turn, turns, cached) for cached in (False, True))
    title(ax, f"{turns} turns read {all_of:,} tokens, {all_of / new:.1f} times what is new")
    return figure
