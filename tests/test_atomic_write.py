"""Files are replaced as a whole: after an error, a kill or a power cut the old one or the new."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from course_lib import atomic_write
from course_lib.atomic_write import write_whole, write_whole_text

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from course_lib.atomic_write import write_whole
path, size = Path(sys.argv[1]), int(sys.argv[2])
def slowly(part):
    with part.open("wb") as file:
        for _ in range(64):
            file.write(letter * (size // 64))
while True:
    for letter in (b"a", b"b"):
        write_whole(path, slowly)
        print(flush=True)
"""
needs_posix = pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_text_is_utf8_with_the_same_line_ends_everywhere(tmp_path):
    write_whole_text(tmp_path / "a.txt", "größer\nals €\n")
    assert (tmp_path / "a.txt").read_bytes() == "größer\nals €\n".encode()
    write_whole_text(tmp_path / "a.txt", "")
    assert (tmp_path / "a.txt").read_bytes() == b""
    assert names(tmp_path) == ["a.txt"]


def test_the_new_file_is_made_in_the_same_folder_and_the_old_one_stays_until_the_end(tmp_path):
    target, seen = tmp_path / "weights.bin", []
    target.write_bytes(b"old")

    def write(part):
        part.write_bytes(b"new")
        seen.append((part.parent, part.name, target.read_bytes()))

    write_whole(target, write)
    ((folder, name, before),) = seen
    assert folder == tmp_path
    assert name.startswith(".weights.bin.")
    assert before == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("bad"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", [b"old", None])
def test_an_error_while_writing_changes_nothing_and_leaves_nothing(tmp_path, error, old):
    target = tmp_path / "config.json"
    if old is not None:
        target.write_bytes(old)

    def half(part):
        part.write_text("ha")
        raise error

    with pytest.raises(type(error)):
        write_whole(target, half)
    assert names(tmp_path) == ([] if old is None else ["config.json"])
    assert old is None or target.read_bytes() == old


def test_a_writer_that_writes_nothing_is_an_error_and_changes_nothing(tmp_path):
    target = tmp_path / "config.json"
    target.write_text("old")
    with pytest.raises(FileNotFoundError):
        write_whole(target, lambda part: None)
    assert target.read_text() == "old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_after_writing_changes_nothing_either(tmp_path, monkeypatch, step):
    target = tmp_path / "config.json"
    target.write_text("old")

    def fail(*_):
        raise OSError(f"no {step}")

    monkeypatch.setattr(atomic_write.os, step, fail)
    with pytest.raises(OSError, match=f"no {step}"):
        write_whole_text(target, "new")
    assert names(tmp_path) == ["config.json"]
    assert target.read_text() == "old"


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    target, done = tmp_path / "config.json", []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(number):
        done.append(("fsync", os.fstat(number).st_size, target.exists()))
        fsync(number)

    def noting_replace(part, path):
        done.append(("replace", os.stat(part).st_size, target.exists()))
        replace(part, path)

    monkeypatch.setattr(atomic_write.os, "fsync", noting_fsync)
    monkeypatch.setattr(atomic_write.os, "replace", noting_replace)
    write_whole_text(target, "four")
    assert done == [("fsync", 4, False), ("replace", 4, False)]


@needs_posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o444])
def test_permissions_stay_those_of_the_old_file(tmp_path, mode):
    target = tmp_path / "notes.ipynb"
    target.write_text("old")
    target.chmod(mode)
    write_whole_text(target, "new")
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == mode


@needs_posix
def test_a_first_file_has_the_permissions_of_any_new_file(tmp_path):
    write_whole_text(tmp_path / "whole", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


@needs_posix
def test_a_link_is_replaced_and_what_it_pointed_to_stays(tmp_path):
    (tmp_path / "shared").write_text("of others")
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    write_whole_text(tmp_path / "link", "mine")
    assert not (tmp_path / "link").is_symlink()
    assert [(tmp_path / name).read_text() for name in ("shared", "link")] == ["of others", "mine"]


def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole_text(tmp_path / "typo" / "config.json", "x")
    assert names(tmp_path) == []


def test_two_writers_at_once_do_not_mix(tmp_path):
    target, texts = tmp_path / "a.txt", [letter * 200_000 for letter in "ab"]

    def write_often(text):
        for _ in range(20):
            write_whole_text(target, text)

    writers = [threading.Thread(target=write_often, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert target.read_text() in texts
    assert names(tmp_path) == ["a.txt"]


@needs_posix
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path):
    target, size = tmp_path / "weights.bin", 6_400_000
    for number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(target), str(size)], stdout=subprocess.PIPE
        )
        process.stdout.readline()  # the first file is there: from now on it is being replaced
        for _ in range(number):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        content = target.read_bytes()
        assert len(content) == size
        assert content in (b"a" * size, b"b" * size)
    assert all(name.startswith(".weights.bin.") for name in names(tmp_path)[:-1])
    write_whole_text(target, "after the kills")
    assert target.read_text() == "after the kills"
