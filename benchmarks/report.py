"""All measurements of one machine, gathered: a table, a picture, and the README's words on it.

    python -m benchmarks.report             measure everything anew, then gather
    python -m benchmarks.report --stored    gather what is stored

Measuring takes less than twenty minutes on two cores that do nothing else; each result stores how
many seconds it took, and a test adds them up. One benchmark runs after the other, since two at once
disturb each other. Each leaves out what the report does not tell (`--claims`), and a race stops
when its medians are known (see `timing`). LLAMA_CPP_PYTHON names a Python that has llama.cpp (see
`llama_cpp_peer`).

Every number is a ratio within one run: how many times as fast as its peer the course was, on the
same data, in turns. Above 1 the course was faster. Where half of the rounds lay is drawn as a line
through the dot, so that a lucky round can be told from a difference.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from benchmarks import in_words
from benchmarks.contests import CONTESTS, Contest, Gain
from benchmarks.record import RESULTS
from course_lib.study.display.plotting import FAINT, OKABE_ITO, new_figure, png_bytes, title

Results = Mapping[str, Mapping[str, Any]]
RUNS: dict[str, tuple[str, ...]] = {  # what is measured, and with which options
    "tokenization": ("--claims",),
    "tokenization_two": (),
    "language_models": ("--claims",),
    "blocks": (),
    "attention": (),
    "flash_attention": (),
    "model": ("--claims",),
    "checkpoint": (),
    "training": ("--claims",),
    "generation": ("--compiled", "--claims"),
    "front_door": (),
    "rewards": (),
    "retrieval": (),
    "compression": (),
    "real_size": (),  # beside llama.cpp too, of which LLAMA_CPP_PYTHON tells
    "serving": ("--claims",),
    "parallel": (),
}
LONGEST = 20 * 60  # seconds for all of them
PEERS = ("bm25s", "faiss", "hnswlib", "rank_bm25", "tiktoken", "tokenizers", "transformers")
README = Path(__file__).parents[1] / "README.md"
LEGEND = "A dot is the median of the rounds; the line through it holds the middle half of them."
BEGIN, END = "<!-- measured: written by `python -m benchmarks.report` -->", "<!-- /measured -->"


def stored_results() -> dict[str, dict[str, Any]]:
    """Return the stored measurements by the name of their benchmark."""
    return {
        name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in RUNS
        if (RESULTS / f"{name}.json").exists()
    }


def found(results: Results) -> list[tuple[Contest, list[Gain]]]:
    """Return the contests that were measured, with their gains."""
    rows = {name: result["rows"] for name, result in results.items()}
    gains = [(contest, contest.gains(rows.get(contest.benchmark, ()))) for contest in CONTESTS]
    return [(contest, each) for contest, each in gains if each]


def conditions(results: Results) -> str:
    """Return one sentence for each date and machine on which something was measured."""
    told: dict[str, list[str]] = {}
    for name, result in results.items():
        versions = ", ".join(f"{key} {value}" for key, value in result["versions"].items())
        machine = f"{result.get('processor', result['machine'])}, {result['cores']} cores"
        told.setdefault(
            f"on {result['date']}, {machine}, Python {result['python']}, {versions}", []
        ).append(name)
    return " ".join(f"Measured {where}: {', '.join(names)}." for where, names in told.items())


def summary(results: Results) -> str:
    """Return one line for each contest: the slowest, the middle and the fastest of its rows."""
    lines = [
        "| what | beside | rows | slowest | middle | fastest |",
        "|---|---|---|---|---|---|",
    ]
    for contest, gains in found(results):
        middles = sorted(gain.middle for gain in gains)
        numbers = (middles[0], median(middles), middles[-1])
        shown = " | ".join(f"{number:.2f}" for number in numbers)
        lines.append(f"| {contest.what} | {contest.peer} | {len(gains)} | {shown} |")
    return "\n".join(lines)


def details(results: Results) -> str:
    """Return every single ratio, contest by contest."""
    parts = []
    for contest, gains in found(results):
        lines = [
            f"### {contest.what}, beside {contest.peer}\n",
            "| | times as fast | half of the rounds between |",
            "|---|---|---|",
        ]
        for gain in gains:
            half = f"{gain.low:.2f} and {gain.high:.2f}" if gain.low < gain.high else ""
            lines.append(f"| {gain.subject} | {gain.middle:.2f} | {half} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def bits(result: Mapping[str, Any]) -> str:
    """Return the bits per byte of models and compressors on the held-out text, best first."""
    scored = [row for row in result["rows"] if "bits per byte" in row]
    lines = ["| | bits per byte |", "|---|---|"]
    for row in sorted(scored, key=lambda row: row["bits per byte"]):
        lines.append(f"| {row['contestant']} | {row['bits per byte']:.2f} |")
    return "\n".join(lines)


def ratio_figure(results: Results) -> Figure:
    """Draw each ratio as a dot on the line of its contest; right of 1 the course is faster."""
    contests = found(results)
    figure, ax = new_figure(10, 1.4 + 0.34 * len(contests))
    faster = total = 0
    for place, (_, gains) in enumerate(contests):
        for number, gain in enumerate(sorted(gains)):
            # Dots of one line are set apart a little, in the order of their size.
            height = place + 0.5 * ((number + 0.5) / len(gains) - 0.5)
            colour = OKABE_ITO.blue if gain.middle >= 1 else OKABE_ITO.vermillion
            ax.plot([gain.low, gain.high], [height, height], color=colour, linewidth=1, alpha=0.5)
            ax.plot(gain.middle, height, "o", color=colour, markersize=3.5)
            faster, total = faster + (gain.middle >= 1), total + 1
    ax.axvline(1, color=FAINT, linewidth=1)
    ax.set_xscale("log", base=2)
    ticks = [2.0**power for power in range(-2, 5)]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    names = [f"{contest.what}  ·  {contest.peer}" for contest, _ in contests]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(contests) - 0.4, -0.6)
    ax.set_xlabel("times as fast as the peer, logarithmic")
    title(ax, f"At least as fast in {faster} of {total} comparisons")
    return figure


def gather() -> None:
    """Write the table, the picture and the README's section from what is stored."""
    results = stored_results()
    (RESULTS / "report.png").write_bytes(png_bytes(ratio_figure(results)))
    (RESULTS / "report.md").write_text(report(results), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(with_section(text, section(results)), encoding="utf-8")


def report(results: Results) -> str:
    """Return the whole report as Markdown."""
    parts = [
        "# Measured beside the peers",
        "Times as fast as the peer, on the same data, in turns within one run; above 1 the course "
        "is faster. The course is Python with PyTorch and NumPy, and one small C program of its "
        "own, which computes all blocks for a new token, and products with few vectors. The HNSW "
        "graph, for example, is walked step by step in Python; hnswlib is C++. "
        + conditions(results),
        f"![Every ratio as a dot](report.png)\n\n{LEGEND}",
        "## In short",
        summary(results),
        "## Every ratio",
        details(results),
    ]
    if "language_models" in results:
        parts += ["## Bits per byte of held-out documentation", bits(results["language_models"])]
    return "\n\n".join(parts) + "\n"


def section(results: Results) -> str:
    """Return what the README says about it."""
    gains = [gain for _, each in found(results) for gain in each]
    slower = sum(gain.middle < 1 for gain in gains)
    dates = sorted({result["date"] for result in results.values()})
    return (
        f"{in_words.table(results)}\n\nIn brackets: the least and the most, over models and sizes. "
        f"Both did the same work on the same data, in turns, {machines(results)}, on "
        f"{' and '.join(dates)}; a GPU is not measured here. These are {len(in_words.TASKS)} of "
        f"{len(found(results))} comparisons. In all of them together the course was slower in "
        f"{slower} of {len(gains)} measurements: [the whole report](benchmarks/results/report.md) "
        "has every one, with the versions of all libraries."
    )


def machines(results: Results) -> str:
    """Return on which processors everything was measured."""
    each = {(one.get("processor", one["machine"]), one["cores"]) for one in results.values()}
    return " and ".join(f"on {cores} cores of an {name}" for name, cores in sorted(each))


def with_section(page: str, text: str, begin: str = BEGIN) -> str:
    """Return a page, such as the README, with this text between its two marks."""
    before, _, rest = page.partition(begin)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page must hold the lines {begin!r} and {END!r}, in this order.")
    return f"{before}{begin}\n\n{text}\n\n{END}{after}"


def require_peers() -> None:
    """Raise an error now if a library is missing, and not after a quarter of an hour."""
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"every peer must be installed; {', '.join(missing)} cannot be imported. Install the "
            'course with its extras: python -m pip install -e ".[test,graphs]"'
        )
    if not Path(os.environ.get("LLAMA_CPP_PYTHON", "")).is_file():
        raise ValueError(
            "LLAMA_CPP_PYTHON must be the Python of an environment that has llama-cpp-python; got "
            f"{os.environ.get('LLAMA_CPP_PYTHON')!r}. `llama_cpp_peer` says how to make one."
        )


def measure() -> None:
    """Run every benchmark, and say how far it is."""
    require_peers()
    last = {name: result.get("seconds") for name, result in stored_results().items()}
    begin = time.perf_counter()
    for number, (name, options) in enumerate(RUNS.items(), start=1):
        before = f", {last[name]} seconds last time" if last.get(name) else ""
        print(f"== {name}, {number} of {len(RUNS)}{before} ==", flush=True)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True)
        now = time.perf_counter()
        print(
            f"took {now - start:.0f} seconds; {(now - begin) / 60:.1f} minutes so far", flush=True
        )


def main() -> None:
    if "--stored" not in sys.argv[1:]:
        measure()
    gather()


if __name__ == "__main__":
    main()
