"""Records in a folder: one learner each, whatever else lies there."""

import json
import os
import sys
from datetime import UTC, datetime

import pytest

from course_lib.study.record.export import as_json, exported
from course_lib.study.record.progress import Store
from course_lib.study.teaching import gather as gathering
from course_lib.study.teaching.gather import gather

DAY = datetime(2031, 5, 4, tzinfo=UTC)


class Handed:
    """A folder into which learners hand their records."""

    def __init__(self, folder):
        self.folder = folder
        self.stores = {}

    def work(self, who, *passed, question=None):
        """Let somebody pass some exercises and answer a question."""
        results = self.stores.setdefault(who, Store(None))
        for name in passed:
            results.record_exercise(name, "not yet", "dim ignored")
            results.record_exercise(name, "passed")
        if question:
            results.record_question(question, True)

    def hand(self, file, who, name=None, day=4, only=()):
        """Write an export of somebody's work into the folder."""
        export = exported(self.stores[who], name or who, only, DAY.replace(day=day))
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_json(export), encoding="utf-8")


@pytest.fixture
def handed(tmp_path):
    (tmp_path / "in").mkdir()
    return Handed(tmp_path / "in")


def names(found):
    return [each.name for each in found.learners]


def passed(learner):
    return sum(each.evidence.exercises.done for each in learner.chapters)


def test_each_file_is_a_learner_sorted_without_their_marks(handed):
    for who in ("Zoë", "Özlem", "anna", "Oskar"):
        handed.work(who, "softmax.stable")
        handed.hand(f"{who}/record.json", who)
    found = gather(handed.folder)
    assert names(found) == ["anna", "Oskar", "Özlem", "Zoë"]
    assert found.notes == ()
    assert found.span == (DAY, DAY)
    assert all(passed(each) == 1 for each in found.learners)


def test_of_two_records_of_one_learner_the_newest_counts(handed):
    handed.work("Ada", "softmax.stable")
    handed.hand("later name/first.json", "Ada", day=1)
    handed.work("Ada", "softmax.log", question="softmax.shift")
    handed.hand("second.json", "Ada", "ADA", day=2)
    found = gather(handed.folder)
    assert names(found) == ["ADA"]
    assert passed(found.learners[0]) == 2
    (note,) = found.notes
    assert "one learner in later name/first.json, second.json" in note


def test_of_notebooks_handed_in_one_by_one_each_counts(handed):
    handed.work("Ada", "softmax.stable", "rope.rotate")
    handed.hand("1.json", "Ada", day=1, only=["rope"])
    handed.hand("2.json", "Ada", day=2, only=["softmax"])
    (learner,) = gather(handed.folder).learners
    assert [each.notebook.slug for each in learner.chapters] == ["softmax", "rope"]
    assert set(learner.record.runs) == {"softmax.stable", "rope.rotate"}


def test_two_people_with_one_name_stay_two(handed):
    handed.work("a", "softmax.stable")
    handed.work("b", "softmax.log")
    handed.hand("a.json", "a", "Anna", day=1)
    handed.hand("b.json", "b", "Anna", day=2)
    found = gather(handed.folder)
    assert names(found) == ["Anna (a.json)", "Anna (b.json)"]
    (note,) = found.notes
    assert "a.json; b.json contradict" in note


def test_what_is_no_record_is_named_with_the_reason(handed):
    handed.work("Ada", "softmax.stable")
    handed.hand("ada.json", "Ada")
    text = (handed.folder / "ada.json").read_text(encoding="utf-8")
    (handed.folder / "cut.json").write_text(text[:200], encoding="utf-8")
    (handed.folder / "new.json").write_text(
        json.dumps({**json.loads(text), "version": 9}), encoding="utf-8"
    )
    (handed.folder / "other.json").write_text("{}", encoding="utf-8")
    (handed.folder / "bytes.JSON").write_bytes(b"\xff\xfe\x00")
    (handed.folder / "progress.sqlite").write_bytes(b"SQLite")
    (handed.folder / "photo.png").write_bytes(b"")
    found = gather(handed.folder)
    assert names(found) == ["Ada"]
    said = {note.split()[0]: note for note in found.notes}
    assert "damaged" in said["cut.json"]
    assert "newer version" in said["new.json"]
    assert "no record of this course" in said["other.json"]
    assert "UTF-8" in said["bytes.JSON"]
    assert "ask for an export" in said["progress.sqlite"]
    assert "left alone: 1." in said["Files"]


def test_a_file_that_is_far_too_large_is_not_read(handed, monkeypatch):
    handed.work("Ada", "softmax.stable")
    handed.hand("ada.json", "Ada")
    monkeypatch.setattr(gathering, "LARGEST", 100)
    with pytest.raises(ValueError, match=r"ada\.json has [\d,]+ bytes"):
        gather(handed.folder)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named(handed):
    handed.work("Ada", "softmax.stable")
    handed.hand("ada.json", "Ada")
    handed.hand("closed.json", "Ada")
    (handed.folder / "closed.json").chmod(0)
    assert "closed.json cannot be read" in gather(handed.folder).notes[0]


def test_a_folder_that_the_system_does_not_open_is_named(handed, monkeypatch):
    handed.work("Ada", "softmax.stable")
    handed.hand("ada.json", "Ada")
    handed.hand("closed/ben.json", "Ada", "Ben")
    real = os.scandir

    def scandir(place):
        if os.path.basename(place) == "closed":
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return real(place)

    monkeypatch.setattr("os.scandir", scandir)
    found = gather(handed.folder)
    assert (names(found), found.notes) == (["Ada"], ("closed cannot be read: Permission denied",))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_a_name_that_an_archive_spoilt_does_not_end_the_report(handed):
    handed.work("Ada", "softmax.stable")
    handed.hand("ada.json", "Ada")
    spoilt = os.fsencode(handed.folder) + b"/M\xfcller\x1b[2J.json"
    with open(spoilt, "wb") as file:
        file.write(b"{")
    (note,) = gather(handed.folder).notes
    assert note.startswith("M\ufffdller\ufffd[2J.json is cut off")
    note.encode()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_what_is_no_ordinary_file_is_not_opened(handed):
    handed.work("Ada", "softmax.stable")
    handed.hand("ada.json", "Ada")
    os.mkfifo(handed.folder / "pipe.json")  # to read it would wait for ever
    (note,) = gather(handed.folder).notes
    assert note == "pipe.json is no ordinary file, and is left alone."


def test_a_name_that_looks_like_another_learner_hides_nobody(handed):
    for who, name in (("a", "Anna"), ("b", "Anna"), ("c", "Anna (b.json)")):
        handed.work(who, f"softmax.{'stable' if who == 'a' else 'log'}")
        handed.hand(f"{who}.json", who, name, day=ord(who) - 96)
    found = gather(handed.folder)
    assert names(found) == ["Anna (a.json)", "Anna (b.json)", "Anna (b.json)"]


def test_without_a_record_it_says_how_one_is_made(handed):
    with pytest.raises(ValueError, match="course progress --export"):
        gather(handed.folder)
    (handed.folder / "x.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.json is cut off"):
        gather(handed.folder)
    with pytest.raises(ValueError, match="is no folder"):
        gather(handed.folder / "x.json")


def test_entries_that_the_course_does_not_know_are_counted_and_left_out(handed):
    handed.work("Ada", "softmax.stable", "softmax.invented", "softmax.unheard_of")
    handed.hand("ada.json", "Ada")
    found = gather(handed.folder)
    assert passed(found.learners[0]) == 1
    assert "'softmax.invented', left out: 2" in found.notes[0]
