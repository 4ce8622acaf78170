"""The compiled program is kept for the next process, and no accident makes it run a wrong file."""

import os
import shutil
import subprocess
import sys
import threading
from subprocess import CalledProcessError

import pytest

from course_lib.model import program_file
from course_lib.model.program_file import compiled_program, program_folder

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="tried with gcc on Linux"
)


@pytest.fixture
def compiled(monkeypatch):
    """Return a list of the commands that compile."""
    run, commands = subprocess.run, []

    def noting(command, **options):
        if "-o" in command:
            commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(program_file.subprocess, "run", noting)
    return commands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    found = tmp_path / "cache" / "programs"
    monkeypatch.setattr(program_file, "program_folder", lambda: found)
    return found


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "program.c"
    path.write_text("int answer(void) { return 42; }\n")
    return path


def answer(source, included=()):
    return compiled_program(source, included).answer()


def test_the_second_process_compiles_nothing(source, folder, compiled):
    assert [answer(source) for _ in range(3)] == [42, 42, 42]
    assert len(compiled) == 1
    (kept,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert kept.stat().st_mode & 0o777 == 0o600


def test_another_source_option_compiler_or_processor_has_a_program_of_its_own(
    source, folder, compiled, monkeypatch, tmp_path
):
    header = tmp_path / "number.c"
    header.write_text("enum { NUMBER = 1 };\n")
    source.write_text('#include "number.c"\nint answer(void) { return NUMBER; }\n')
    assert answer(source, [header]) == 1
    header.write_text("enum { NUMBER = 2 };\n")
    assert answer(source, [header]) == 2
    source.write_text('#include "number.c"\nint answer(void) { return NUMBER + 1; }\n')
    assert answer(source, [header]) == 3
    monkeypatch.setattr(program_file, "FLAGS", (*program_file.FLAGS, "-O2"))
    assert answer(source, [header]) == 3
    monkeypatch.setattr(program_file, "_processor", lambda: b"another one")
    assert answer(source, [header]) == 3
    assert len(compiled) == len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("harm", ["cut off", "changed", "emptied"])
def test_a_file_that_does_not_match_its_name_is_not_loaded(source, folder, compiled, harm):
    answer(source)
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    changed = whole.replace(b"answer", b"banana")
    kept.write_bytes(
        {"cut off": whole[: len(whole) // 2], "changed": changed, "emptied": b""}[harm]
    )
    assert answer(source) == 42
    assert len(compiled) == 2
    assert answer(source) == 42  # by then the file is whole again
    assert len(compiled) == 2


def test_what_another_user_could_have_planted_is_not_run(source, folder, compiled, monkeypatch):
    answer(source)
    (kept,) = folder.iterdir()
    for path in (folder, kept):
        for mode in (0o702, 0o720):
            path.chmod(mode)
            assert answer(source) == 42
            path.chmod(0o700)
    assert len(compiled) == 5
    assert answer(source) == 42
    assert len(compiled) == 5  # with the old rights it is used again
    other = os.getuid() + 1
    monkeypatch.setattr(program_file.os, "getuid", lambda: other)
    assert answer(source) == 42
    assert len(compiled) == 6


def test_a_link_is_not_followed(source, folder, compiled, tmp_path):
    answer(source)
    (kept,) = folder.iterdir()
    kept.rename(tmp_path / "elsewhere.so")
    kept.symlink_to(tmp_path / "elsewhere.so")
    assert answer(source) == 42
    assert len(compiled) == 2
    shutil.rmtree(folder)
    (tmp_path / "planted").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "planted")
    assert answer(source) == 42
    assert not list((tmp_path / "planted").iterdir())


@pytest.mark.parametrize("trouble", ["no folder", "a file is there", "full"])
def test_where_nothing_can_be_kept_it_is_compiled_each_time(
    source, folder, compiled, trouble, monkeypatch
):
    if trouble == "no folder":
        monkeypatch.setattr(program_file, "program_folder", lambda: None)
    elif trouble == "a file is there":
        folder.parent.write_text("")
    else:
        monkeypatch.setattr(program_file, "write_whole", raises(OSError("no space left")))
    assert [answer(source), answer(source)] == [42, 42]
    assert len(compiled) == 2


def test_two_processes_may_compile_at_once(source, folder, monkeypatch):
    together, load = threading.Barrier(2), program_file._compiled

    def at_once(*given):
        together.wait(timeout=60)  # both have found nothing
        return load(*given)

    monkeypatch.setattr(program_file, "_compiled", at_once)
    found = []
    threads = [threading.Thread(target=lambda: found.append(answer(source))) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [42, 42]
    assert answer(source) == 42  # without a second thread, compiling would fail
    assert {path.suffix for path in folder.iterdir()} == {".so"}


def test_the_folder_is_in_the_cache_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert program_folder() == tmp_path / "llm-insides" / "programs"
    monkeypatch.setattr("platformdirs.user_cache_dir", raises(RuntimeError("no home")))
    assert program_folder() is None
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: "~/.cache/llm-insides")
    assert program_folder() is None


def raises(error):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize("trouble", ["no compiler", "an error", "no folder to compile in"])
def test_without_a_compiler_there_is_no_program(trouble, source, folder, monkeypatch):
    found = None if trouble == "no compiler" else "/usr/bin/cc"
    monkeypatch.setattr(program_file.shutil, "which", lambda _: found)
    if trouble == "no folder to compile in":
        monkeypatch.setattr(program_file.tempfile, "mkdtemp", raises(FileNotFoundError("none")))
    else:
        monkeypatch.setattr(program_file.subprocess, "run", raises(CalledProcessError(1, "cc")))
    assert compiled_program(source) is None


def test_where_one_compiler_fails_another_is_tried(source, folder, monkeypatch):
    run = subprocess.run

    def only_the_second(command, **options):
        if command[0] == "broken":
            raise CalledProcessError(1, "broken")
        return run([compiler, *command[1:]], **options)

    compiler = shutil.which("gcc")
    names = {"gcc": "broken", "clang": "whole"}
    monkeypatch.setattr(program_file.shutil, "which", names.__getitem__)
    monkeypatch.setattr(program_file.subprocess, "run", only_the_second)
    assert answer(source) == 42


def test_parts_are_not_run_together_in_a_hash():
    assert program_file._hash(b"ab", b"c") != program_file._hash(b"a", b"bc")
    assert len({program_file._hash(), program_file._hash(b""), program_file._hash(b"", b"")}) == 3


def test_the_processor_is_told_apart_by_its_instructions():
    found = program_file._processor()
    assert b"flags" in found or b"Features" in found
    assert b"MHz" not in found  # it changes from one moment to the next
