"""Pages are put in place as a whole, by one build at a time, or a sentence says why not."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_lib.authoring.edition import publishing, write_edition
from course_lib.authoring.edition.publishing import alone_in, publish, require_fonts

PAGES = {"index.html": "new index é", "a.html": "new a"}


def listing(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_pages_replace_older_ones_and_leave_other_files(tmp_path):
    (tmp_path / "a.html").write_text("old a")
    (tmp_path / "CNAME").write_text("kept")
    assert publish(tmp_path, PAGES) == [tmp_path / "index.html", tmp_path / "a.html"]
    assert listing(tmp_path) == {**PAGES, "CNAME": "kept"}


def test_a_full_disk_changes_nothing_and_says_what_is_needed(tmp_path, monkeypatch):
    publish(tmp_path, dict.fromkeys(PAGES, "old"))
    write = Path.write_text

    def full(self, text, **options):
        if self.name == "a.html":
            write(self, text[:2])
            monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    with pytest.raises(
        OSError, match=r"No space left.*3 MB are free; nothing there has been changed"
    ):
        publish(tmp_path, PAGES)
    monkeypatch.undo()
    assert listing(tmp_path) == dict.fromkeys(PAGES, "old")


def test_a_second_build_is_told_of_the_first_before_it_draws(tmp_path):
    with (
        alone_in(tmp_path / "pages") as held,
        pytest.raises(ValueError, match=r"another build.*build\.lock.*has ended"),
    ):
        write_edition(held)
    assert listing(held) == {}
    with alone_in(held):
        publish(held, PAGES)
    assert listing(held) == PAGES


def test_a_second_program_is_told_of_the_first(tmp_path):
    code = (
        "import pathlib\n"
        "from course_lib.authoring.edition.publishing import alone_in\n"
        f"with alone_in(pathlib.Path({str(tmp_path)!r})): pass\n"
    )
    with alone_in(tmp_path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another build is writing to" in done.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert listing(tmp_path) == {}


def test_a_build_that_is_killed_leaves_the_old_pages_and_the_next_one_goes_on(tmp_path, capsys):
    publish(tmp_path, dict.fromkeys(PAGES, "old"))
    code = (
        "import os, pathlib\n"
        "from course_lib.authoring.edition.publishing import alone_in, publish\n"
        "class Pages(dict):\n"
        "    def items(self):\n"
        "        yield 'index.html', 'new'\n"
        "        os._exit(9)\n"
        f"with alone_in(pathlib.Path({str(tmp_path)!r})) as held: publish(held, Pages())\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert {path.name: path.read_text() for path in tmp_path.glob("*.html")} == dict.fromkeys(
        PAGES, "old"
    )
    (left,) = tmp_path.glob(".pages-*")
    assert (tmp_path / ".build.lock").exists()
    with alone_in(tmp_path):
        publish(tmp_path, PAGES)
    assert f"was stopped; what it left in {left} is removed" in capsys.readouterr().out
    assert listing(tmp_path) == PAGES
    with alone_in(tmp_path):
        assert listing(tmp_path).keys() == {*PAGES, ".build.lock"}
    assert capsys.readouterr().out == ""


def test_a_missing_font_is_named(tmp_path, monkeypatch):
    require_fonts()
    monkeypatch.setattr(publishing, "MONOSPACED", "No Such Font")
    with pytest.raises(ValueError, match=r"'No Such Font'.*Install matplotlib again"):
        write_edition(tmp_path / "pages", moving=())
    assert list(tmp_path.iterdir()) == [], "it is said before anything is made"
