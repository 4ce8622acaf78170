"""The report beside the peers: ratios turned the right way, and nothing told that is not stored."""

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.contests import CONTESTS, Contest
from benchmarks.timing import HALF, exponent, ratio, ratio_of

ROOT = Path(__file__).parents[2]
ROWS = [
    {"contestant": "ours", "size": 1, "times ours": 1.0, HALF: [1.0, 1.0]},
    {"contestant": "peer", "size": 1, "times ours": 2.0, HALF: [1.6, 2.5]},
    {"contestant": "peer", "size": 2, "times ours": 0.5, HALF: [0.4, 0.8]},
]


def test_a_ratio_is_the_median_of_the_rounds_and_keeps_their_middle_half():
    rounds = [{"a": 2.0 * k, "b": 2.0} for k in (1, 2, 3, 4, 5)]
    assert ratio("times b", rounds, "a", "b") == {"times b": 3.0, HALF: [2.0, 4.0]}
    assert ratio_of("times b", [1.25]) == {"times b": 1.25, HALF: [1.25, 1.25]}


def test_rows_are_found_by_what_they_hold():
    contest = Contest("work", "peer", "b", "times ours", {"contestant": "peer"}, about=("size",))
    gains = contest.gains(ROWS)
    assert gains == [(2.0, 1.6, 2.5, "size 1"), (0.5, 0.4, 0.8, "size 2")]
    assert contest.gains([{"contestant": "peer"}]) == []


def test_a_ratio_of_the_other_direction_is_turned_around_with_its_half():
    contest = Contest("work", "peer", "b", "times ours", {"contestant": "peer"}, True)
    assert contest.gains(ROWS)[0] == (0.5, 0.4, 0.625, "")


def test_the_half_belongs_to_the_column_before_it():
    row = {"contestant": "tiled", "against standard": 0.5, "against torch": 2.0, HALF: [1.0, 4.0]}
    here = Contest("work", "torch", "b", "against torch", {"contestant": "tiled"})
    other = Contest("work", "standard", "b", "against standard", {"contestant": "tiled"})
    assert here.gains([row])[0][:3] == (2.0, 1.0, 4.0)
    assert other.gains([row])[0][:3] == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("contest", CONTESTS, ids=lambda each: f"{each.what}-{each.peer}")
def test_every_contest_has_been_measured(contest):
    rows = report.stored_results()[contest.benchmark]["rows"]
    gains = contest.gains(rows)
    assert gains, "no stored row belongs to it"
    assert len({gain.subject for gain in gains}) == len(gains), "two rows cannot be told apart"
    assert all(0 < gain.low <= gain.middle <= gain.high for gain in gains)


def test_everything_that_can_be_told_is_told_once():
    results = report.stored_results()
    assert set(results) == set(report.RUNS)
    text = report.report(results)
    for contest, gains in report.found(results):
        assert text.count(f"### {contest.what}, beside {contest.peer}\n") == 1
        assert all(f"{gain.middle:.2f}" in text for gain in gains)
    assert text == (ROOT / "benchmarks" / "results" / "report.md").read_text(encoding="utf-8")


def test_measuring_everything_takes_less_than_its_limit():
    results = report.stored_results()
    assert [name for name, result in results.items() if "seconds" not in result] == []
    assert sum(result["seconds"] for result in results.values()) < report.LONGEST


@pytest.mark.parametrize("name", report.RUNS)
def test_each_benchmark_says_what_it_measures_and_knows_its_options(name):
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    assert "    progress(" in source
    assert ("claims_alone()" in source) == ("--claims" in report.RUNS[name])


def test_the_readme_tells_what_is_stored():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.with_section(readme, report.section(report.stored_results())) == readme


def test_a_missing_peer_is_told_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: name != "faiss" or None)
    monkeypatch.setattr(report.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(ValueError, match=r"faiss cannot.*\.\[test,graphs\]"):
        report.measure()
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setenv("LLAMA_CPP_PYTHON", "/nowhere/python")
    with pytest.raises(ValueError, match=r"'/nowhere/python'.*llama_cpp_peer"):
        report.measure()
    monkeypatch.delenv("LLAMA_CPP_PYTHON")
    with pytest.raises(ValueError, match=r"got None\."):
        report.measure()


def test_without_its_marks_the_readme_is_left_alone():
    with pytest.raises(ValueError, match="lines"):
        report.with_section("# A page", "text")


def test_the_picture_counts_the_comparisons():
    results = report.stored_results()
    gains = [gain for _, each in report.found(results) for gain in each]
    faster = sum(gain.middle >= 1 for gain in gains)
    (ax,) = report.ratio_figure(results).axes
    assert f"in {faster} of {len(gains)} comparisons" in ax.get_title("left").replace("\n", " ")
    assert len(ax.lines) == 2 * len(gains) + 1


def test_the_exponent_is_that_of_the_long_texts():
    lengths = (16, 1024, 2048, 4096)
    rows = [{"contestant": "ours", "tokens": n, "ms": 3 * n**2 + (n < 1024) * 1e9} for n in lengths]
    rows += [{"contestant": "peer", "tokens": n, "ms": 5.0 * n} for n in lengths]
    assert exponent(rows, "ours", "ms", 1024) == pytest.approx(2)
    assert exponent(rows, "peer", "ms", 1024) == pytest.approx(1)
    assert exponent(rows, "ours", "ms", 16) < 1, "what is short counts only where it is asked for"
