"""The report on a class: what the records say, as findings, table, file and page."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.study.chapter_parts import all_exercises
from course_lib.study.record.answers import QuestionResult
from course_lib.study.record.evidence import chapters
from course_lib.study.record.export import Export
from course_lib.study.record.progress import ExerciseRecord
from course_lib.study.teaching.class_page import class_page, write_class_page
from course_lib.study.teaching.findings import ability_findings, exercise_findings, shown_count
from course_lib.study.teaching.gather import ClassRecord, Learner
from course_lib.study.teaching.tables import class_csv, class_table
from tests.study.written_page import WrittenPage

DAY = datetime(2031, 5, 4, tzinfo=UTC)
COLDER = "change the temperature and predict what happens to the distribution and to its entropy"


def run(tries=1, passed=DAY, hints=0, **mistakes):
    return ExerciseRecord(
        tries, passed is not None, passed, tries=tries, hints=hints, mistakes=mistakes
    )


def right(at=DAY):
    return QuestionResult(1, 1, True, at)


def learner(name, runs=(), answers=(), slugs=("softmax",)):
    record = Export(name, DAY, "1", tuple(slugs), dict(runs), dict(answers))
    return Learner(name, record, tuple(e for e in chapters(record) if e.notebook.slug in slugs))


def some_class():
    cold = {"softmax.temperature": right(), "softmax.cold": right(DAY + timedelta(days=3))}
    ada = {"softmax.temperature": run(), "softmax.stable": run(2, dim=1), "softmax.log": run(3)}
    ben = {"softmax.stable": run(9, None, 2, dim=4, keep=1), "softmax.temperature": run(1)}
    return ClassRecord(
        (
            learner("Ada <b>", ada, cold, ("softmax", "rope")),
            learner("=Ben", ben),
            learner("陈", slugs=("rope",)),
        ),
        ("x & y.json is cut off",),
    )


def test_an_ability_is_shown_by_those_with_all_its_evidence_on_the_day_of_the_last():
    found = {each.text: each for each in ability_findings(some_class().learners)}
    colder = found[COLDER]
    assert colder.shown == (("Ada <b>", DAY + timedelta(days=3)),)
    assert colder.begun == ("=Ben",)
    assert [name for name, _ in colder.evidence] == ["Ada <b>", "=Ben"], "陈 exported no softmax"
    slugs = [each.notebook.slug for each in found.values()]
    assert set(slugs) == {"softmax", "rope"}
    assert slugs == sorted(slugs, key=["softmax", "rope"].index)


def test_exercises_are_sorted_by_what_they_cost():
    found = exercise_findings(some_class().learners)
    assert [each.id for each in found] == ["softmax.stable", "softmax.log", "softmax.temperature"]
    stable = found[0]
    assert (stable.tries, stable.middle, stable.passed, stable.hints) == ((2, 9), 5.5, 1, 1)
    assert stable.mistakes == (("dim", 2), ("keep", 1)), "once for each learner"


def test_who_only_asked_for_a_hint_has_not_tried():
    hinted = learner("a", {"softmax.stable": ExerciseRecord(hints=1)})
    assert exercise_findings([hinted]) == ()


def test_shown_abilities_are_counted_in_what_was_exported():
    ada, ben, chen = some_class().learners
    assert shown_count(ada, "softmax")[0] == shown_count(ada)[0] == 1
    assert shown_count(ada)[1] > shown_count(ada, "softmax")[1] == shown_count(ben)[1] > 0
    assert shown_count(chen, "softmax") == (0, 0)


def test_the_table_lines_up_whatever_the_names_are():
    lines = class_table(some_class()).splitlines()
    assert lines[0].startswith("learner  ")
    assert [line.split()[0] for line in lines[1:4]] == ["Ada", "=Ben", "陈"]
    column = lines[0].index("notebooks")
    assert lines[1][column] == "2"
    assert lines[3][column - 1] == "1", "a Chinese character takes two columns"
    assert "Records written from 2031-05-04 to 2031-05-04: 3." in lines
    assert lines[-1] == "x & y.json is cut off"


def test_the_file_for_a_spreadsheet_runs_no_formula():
    rows = list(csv.DictReader(io.StringIO(class_csv(some_class()))))
    assert {row["learner"] for row in rows} == {"Ada <b>", "'=Ben", "陈"}
    (colder,) = (r for r in rows if r["learner"] == "Ada <b>" and r["ability"] == COLDER)
    assert (colder["evidence"], colder["last result"]) == ("shown", "2031-05-07")
    assert (colder["exercises passed"], colder["exercises"]) == ("1", "1")
    assert (colder["questions right"], colder["questions"]) == ("2", "2")
    assert not [row for row in rows if row["learner"] == "陈" and row["notebook"] == "softmax"]


def test_the_page_asks_for_nothing_and_shows_names_as_they_are():
    html = class_page(some_class())
    page = WrittenPage(html)
    assert page.open == []
    assert "default-src 'none'" in html
    assert not re.search(r"https?://|url\(|@import|<script|<link|src=|href=", html)
    text = "".join(page.text)
    assert "Ada <b>" in text
    assert "x & y.json is cut off" in text
    assert "3 learners; records written on 2031-05-04." in text
    assert ("html", {"lang": "en"}) in page.tags


def test_a_name_is_no_markup():
    odd = "*Ada* `b` <i>"
    found = ClassRecord((learner(odd, some_class().learners[0].record.runs),), ())
    html = class_page(found)
    shown = "*Ada* `b` &lt;i&gt;"
    assert html.count(shown) >= 3, "as a learner, in the matrix, and with an ability"
    assert "<em>Ada</em>" not in html


def test_every_table_has_headings_and_a_name_and_can_be_reached_by_keyboard():
    page = WrittenPage(class_page(some_class()))
    tables = [tag for tag, _ in page.tags].count("table")
    regions = [given for _, given in page.tags if "wide" in given.get("class", "")]
    assert len(regions) == tables >= 4
    assert all(given["tabindex"] == "0" and given["aria-label"] for given in regions)
    assert {given["scope"] for tag, given in page.tags if tag == "th"} == {"col", "row"}


def row_of(html, name):
    """Return the cells of the first row with this heading."""
    found = re.search(rf'<th scope="row">{re.escape(name)}</th>(.*?)</tr>', html)
    return re.findall(r"<td[^>]*>(.*?)</td>", found[1])


def test_the_page_says_who_has_shown_what_and_what_was_hard():
    html = class_page(some_class())
    assert row_of(html, COLDER) == ["1 of 2", "Ada &lt;b&gt; (2031-05-07)", "=Ben"]
    title = next(each.title for each in all_exercises() if each.id == "softmax.stable")
    cost = re.search(rf"{re.escape(title)}.*?</tr>", html)[0]
    cells = re.findall(r"<td>(.*?)</td>", cost)
    assert cells == ["5.5", "9", "1 of 2", "1", "dim (2), keep (1)"]
    matrix = html[html.index("Abilities shown in each notebook") :]
    known = shown_count(some_class().learners[0], "softmax")[1]
    assert row_of(matrix, "Ada &lt;b&gt;")[0] == f"1/{known}"
    assert row_of(matrix, "陈")[0] == "–"


def test_exercises_beyond_the_first_twenty_are_folded():
    runs = {each.id: run() for each in all_exercises()[:23]}
    html = class_page(ClassRecord((learner("a", runs),), ()))
    assert "The other 3 exercises" in html
    assert "<details>" not in class_page(some_class())
    assert "No exercise was run." in class_page(ClassRecord((learner("a"),), ()))
    assert "About the files" not in html


def test_of_many_mistakes_the_most_frequent_are_named():
    several = learner("a", {"softmax.stable": run(8, **dict.fromkeys("abcdefg", 1))})
    once_more = learner("b", {"softmax.stable": run(2, g=1)})
    html = class_page(ClassRecord((several, once_more), ()))
    assert "<td>g (2), a (1), b (1), c (1), d (1), 2 more</td>" in html


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "class.html"
    assert write_class_page(path, some_class()) == path
    before = path.read_text(encoding="utf-8")
    assert before.startswith("<!doctype html>")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_class_page(path, ClassRecord((learner("a"),), ()))
    assert path.read_text(encoding="utf-8") == before
    assert [each.name for each in tmp_path.iterdir()] == ["class.html"]
