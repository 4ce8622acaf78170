"""A class on one machine: how long feedback takes while all answer at once, and the memory used.

    python -m benchmarks.classroom                thirty learners, in about five minutes
    python -m benchmarks.classroom --learners 8

Needs the extra `class` and the proxy of JupyterHub. A hub is started as `course class hub` sets it
up; learners log in, open a kernel, run the first cell of a notebook, and answer its exercises, with
right answers and with known mistakes. Everything goes through the hub's proxy to the kernels, as
from a browser. Seconds count from sending a cell until its feedback arrives.

"all at once" has everybody send a cell at the same moment, again and again: the worst that a class
can do. The first right answer in a kernel makes PyTorch load a part of itself; it is told apart.
"as in class" has each learner answer at a moment of their own within a minute. Memory is
the proportional set size: what several processes share counts once, in parts. The share of the
processors that other programs used meanwhile is recorded too.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.classroom_hub import Hub, Learner, running_hub
from benchmarks.record import RESULTS, print_tables, record
from benchmarks.report import with_section

NOTEBOOK = "04_softmax"
ROUNDS, MINUTE = 6, 60.0
PAGE = Path(__file__).parents[1] / "docs" / "teaching.md"
BEGIN = "<!-- measured: written by `python -m benchmarks.classroom` -->"
ANSWERS = (  # an exercise, a signature, what is returned, and the outcome that is due
    ("stable", "x, dim=-1", "x.exp() / x.exp().sum(dim, keepdim=True)", "not yet"),
    ("stable", "x, dim=-1", "(x - x.logsumexp(dim, keepdim=True)).exp()", "passed"),
    ("log", "x, dim=-1", "torch.softmax(x, dim).log()", "not yet"),
    ("log", "x, dim=-1", "x - x.logsumexp(dim, keepdim=True)", "passed"),
    ("temperature", "x, temperature, dim=-1", "(x * temperature).softmax(dim)", "not yet"),
    ("temperature", "x, temperature, dim=-1", "(x / temperature).softmax(dim)", "passed"),
)
FIRST = 1  # a right answer: the first one of a kernel loads more of PyTorch
Row = dict[str, Any]
Work = Callable[[Learner], Awaitable[Any]]


async def answered(learner: Learner, turn: int) -> float:
    """Send one answer; return the seconds until its feedback, which must be the right one."""
    name, signature, returned, due = ANSWERS[turn % len(ANSWERS)]
    cell = f'@exercise("softmax.{name}")\ndef answer({signature}):\n    return {returned}\n'
    seconds, outcome = await learner.run(cell)
    if seconds is None or outcome != due:
        raise RuntimeError(f"{learner.name}: the feedback on\n{cell}is {outcome}, not {due}")
    return seconds


async def together(learners: Sequence[Learner], work: Work) -> list[Any]:
    """Let all learners do the same at the same moment, and wait for all of them."""
    return await asyncio.gather(*(timed(work, each) for each in learners))


async def timed(work: Work, learner: Learner) -> Any:
    """Return what a learner's work measured itself, or else the seconds that it took."""
    begin = time.monotonic()
    measured = await work(learner)
    return time.monotonic() - begin if measured is None else measured


async def at_once(learners: Sequence[Learner]) -> list[float]:
    found: list[float] = []
    for turn in range(ROUNDS):
        places = {each.name: turn + place for place, each in enumerate(learners)}
        found += await together(learners, lambda each, at=places: answered(each, at[each.name]))
    return found


async def as_in_class(learners: Sequence[Learner]) -> list[float]:
    rng = random.Random(0)
    moments = {each.name: rng.uniform(0, MINUTE) for each in learners}

    async def one(learner: Learner) -> float:
        await asyncio.sleep(moments[learner.name])
        return await answered(learner, rng.randrange(len(ANSWERS)))

    return await together(learners, one)


def spread(measured: str, seconds: Sequence[float]) -> Row:
    """Return a row of times: the median, the 99th percentile, and the longest."""
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    return {
        "measured": measured,
        "times": len(seconds),
        "seconds, median": round(statistics.median(seconds), 2),
        "seconds, p99": round(p99, 2),
        "seconds, longest": round(max(seconds), 2),
    }


def memory_rows(hub: Hub, learners: int) -> list[Row]:
    """Return the memory of each kind of process, in megabytes."""
    sizes = {
        kind: [each.memory_full_info().pss / 1e6 for each in some]
        for kind, some in hub.parts().items()
    }
    whole = sum(sum(each) for each in sizes.values())
    rows = [
        {"measured": f"memory of {what}", "MB": round(sum(sizes[kind]) / count)}
        for kind, what, count in (
            ("kernel", "a learner's kernel", learners),
            ("server", "a learner's server", learners),
            ("hub", "the hub and its proxy", 1),
        )
    ]
    return [*rows, {"measured": "memory of everything", "MB": round(whole)}]


def spent(hub: Hub) -> tuple[float, float]:
    """Return the processor seconds that all programs have used, and those of the class."""
    assert hub.process is not None
    times = psutil.cpu_times()
    everything = sum(times) - times.idle - getattr(times, "iowait", 0.0)
    ours = 0.0
    for each in (psutil.Process(), hub.process, *hub.process.children(recursive=True)):
        own = each.cpu_times()
        ours += own.user + own.system
    return everything, ours


async def prepared(learner: Learner, code: str) -> None:
    await learner.run(code)


async def measured(hub: Hub, count: int) -> list[Row]:
    """Return the rows of a class of this size."""
    learners = [Learner(hub, f"learner-{number:02d}") for number in range(1, count + 1)]
    await hub.ask("/hub/api/users", "POST", {"usernames": [each.name for each in learners]})
    begin, before = time.monotonic(), spent(hub)
    rows = [spread("all log in", await together(learners, Learner.start_server))]
    imports = await learners[0].imports(NOTEBOOK)
    rows.append(spread("all open a kernel", await together(learners, Learner.start_kernel)))
    first = await together(learners, lambda each: prepared(each, imports))
    rows.append(spread("all run the first cell", first))
    first = await together(learners, lambda each: answered(each, FIRST))
    rows.append(spread("first feedback, all at once", first))
    rows.append(spread("feedback, all at once", await at_once(learners)))
    rows.append(spread("feedback, as in class", await as_in_class(learners)))
    rows += memory_rows(hub, count)
    used, ours = (after - then for after, then in zip(spent(hub), before, strict=True))
    passed = (time.monotonic() - begin) * (os.cpu_count() or 1)
    rows.append(
        {
            "measured": "processors",
            "share of the class": round(ours / passed, 2),
            "share of other programs": round(max(0.0, used - ours) / passed, 2),
        }
    )
    return [{"learners": count, **row} for row in rows]


async def run(count: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="class-") as folder:
        async with running_hub(Path(folder) / "hub") as hub:
            return await measured(hub, count)


def section(stored: Mapping[str, Any]) -> str:
    """Return what the page for teachers says about a measurement."""
    rows = stored["rows"]
    lines = [
        f"| {rows[0]['learners']} learners | seconds, median | 99th percentile | longest |",
        "|---|---|---|---|",
    ]
    for row in (row for row in rows if "times" in row):
        numbers = (row[f"seconds, {which}"] for which in ("median", "p99", "longest"))
        shown = " | ".join(f"{number:.2f}" for number in numbers)
        lines.append(f"| {row['measured']} | {shown} |")
    lines += ["", "| memory | MB |", "|---|---|"]
    for row in (row for row in rows if "MB" in row):
        lines.append(f"| {row['measured'].removeprefix('memory of ')} | {row['MB']:,} |")
    others = rows[-1]["share of other programs"]
    return "\n".join(
        [
            *lines,
            "",
            f"Measured on {stored['date']}, {stored['processor']}, {stored['cores']} cores, Python "
            f"{stored['python']}, torch {stored['versions']['torch']}; meanwhile other programs "
            f"used {100 * others:.0f} percent of the processors.",
        ]
    )


def tell() -> None:
    """Write the section of the page for teachers from what is stored."""
    stored = json.loads((RESULTS / "classroom.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_section(page, section(stored), BEGIN), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a class on this machine.")
    parser.add_argument("--learners", type=int, default=30, metavar="N", help="30 without")
    count = parser.parse_args().learners
    if count < 2:
        parser.error(f"a class has two learners or more; got --learners {count}")
    rows = asyncio.run(run(count))
    if count == parser.get_default("learners"):
        record("classroom", rows)
        tell()
    else:
        print_tables(rows)


if __name__ == "__main__":
    main()
