"""The report: one file, no request, and only what was recorded."""

import re
from datetime import UTC, datetime

import pytest

from course_lib.study.chapter_parts import exercises_of, questions_of
from course_lib.study.record.progress import Store
from course_lib.study.record.report import html_report, write_report
from tests.study.written_page import WrittenPage

AT = datetime(2031, 5, 4, tzinfo=UTC)


@pytest.fixture
def results(tmp_path):
    return Store(tmp_path / "p.sqlite")


def cells(html, name):
    """Return the cells after the first one of the row that begins with this name."""
    row = re.search(rf"<td>{re.escape(name)}</td>(.*?)</tr>", html)
    return re.findall(r"<td>(.*?)</td>", row[1])


def test_it_is_one_file_that_asks_for_nothing(results):
    html = html_report(results, AT)
    page = WrittenPage(html)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "default-src 'none'" in html
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)


def test_it_says_so_when_nothing_is_recorded(results):
    html = html_report(results, AT)
    assert "Nothing is recorded yet: no exercise passed, no question answered." in html
    assert "No exercise was run." in html
    assert "Recorded from" not in html
    known = f"0 of {len(exercises_of('softmax'))}", f"0 of {len(questions_of('softmax'))}"
    assert cells(html, "04 Softmax") == [*known, "–", "–", "no evidence yet"]


def test_it_states_what_was_recorded(results):
    results.record_exercise("softmax.stable", "not yet", "wrong <axis>")
    results.record_hint("softmax.stable", 1)
    results.record_exercise("softmax.stable", "passed")
    results.record_exercise("softmax.log", "not yet", "wrong <axis>")
    results.record_hint("softmax.online", 1)
    results.record_question("softmax.shift", True, (3, 4))
    results.record_question("softmax.cold", False)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    html = html_report(results, AT)
    exercises, asked = len(exercises_of("softmax")), len(questions_of("softmax"))
    assert cells(html, "04 Softmax") == [
        f"1 of {exercises}", f"1 of {asked}", "1", today, "begun"
    ]  # fmt: skip
    assert cells(html, "all together")[2] == "1"
    assert f"Recorded from {today} to {today}." in html
    assert "Written on 2031-05-04." in html
    text = "".join(WrittenPage(html).text)
    assert f"(softmax.stable){today}21" in text, "first passed, runs, hints"
    assert "(softmax.log)not passed yet10" in text
    assert "(softmax.online)" not in text, "a hint alone is no run"
    assert "2 questions are due now: softmax.cold, softmax.shift." in text
    assert "softmax.log (wrong <axis>)." in text


def test_an_ability_is_shown_once_all_its_evidence_is_there(results):
    results.record_exercise("softmax.temperature", "passed")
    results.record_question("softmax.temperature", True)
    line = "change the temperature and predict what happens to the distribution and to its entropy"
    assert cells(html_report(results, AT), line)[-1] == "begun"
    results.record_question("softmax.cold", True)
    assert cells(html_report(results, AT), line)[-1] == "shown"


def test_the_file_is_written_as_utf8(results, tmp_path):
    path = write_report(tmp_path / "mein Bericht.html", results)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert f"Written on {datetime.now(UTC):%Y-%m-%d}" in path.read_text(encoding="utf-8")
