"""Ratios as a newcomer reads them: right way round, and no slower row left out or dressed up."""

import re
from pathlib import Path
from statistics import median

import pytest

from benchmarks import in_words, report
from benchmarks.contests import Gain


def gains(*ratios):
    return [Gain(ratio, ratio, ratio, str(ratio)) for ratio in ratios]


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ((2.0,), "2.0 times as fast"),
        ((0.5,), "slower: it takes 2.0 times as long"),
        ((1.05,), "about as fast"),
        ((0.92, 1.08), "about as fast"),
        ((0.5, 1.0, 2.0), "about as fast (0.5 to 2.0)"),
        ((1.5, 2.0, 3.0), "2.0 times as fast (1.5 to 3.0)"),
        ((0.02, 0.025, 0.04), "slower: it takes 40 times as long (25 to 50)"),
        ((0.5, 0.8, 1.25), "slower: it takes 1.2 times as long (0.8 to 2.0)"),
        ((9.0, 100.0, 12.0), "12 times as fast (9.0 to 100)"),
    ],
)
def test_a_ratio_is_told_in_words(ratios, said):
    assert in_words.verdict(gains(*ratios)) == said


def test_every_task_was_measured_and_the_slower_ones_are_told():
    results = report.stored_results()
    rows = in_words.table(results).splitlines()[2:]
    assert len(rows) == len(in_words.TASKS) == len(set(rows))
    told = {row.split(" | ")[0].strip("| "): row for row in rows}
    for name, _, (what, peer) in in_words.TASKS:
        (each,) = (g for c, g in report.found(results) if (c.what, c.peer) == (what, peer))
        middle = median(gain.middle for gain in each)
        assert ("slower" in told[name]) == (middle < 1 / in_words.ALIKE), name


def test_the_readme_counts_what_the_report_holds():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    found = re.search(r"slower in (\d+) of (\d+) measurements", " ".join(readme.split()))
    ratios = [gain.middle for _, each in report.found(report.stored_results()) for gain in each]
    assert found is not None
    assert (int(found[1]), int(found[2])) == (sum(ratio < 1 for ratio in ratios), len(ratios))
