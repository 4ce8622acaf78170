"""`course class` and the export that it gathers, as they are typed."""

import json
import os
from types import SimpleNamespace

import pytest

from course_lib import class_command, cli, lab_command
from course_lib.study.files import workspace
from course_lib.study.record import progress
from course_lib.study.teaching import hub


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    monkeypatch.setenv("PATH", os.defpath)  # a server that is started extends it


@pytest.fixture
def results(monkeypatch):
    kept = progress.Store(None)
    kept.record_exercise("softmax.stable", "passed")
    kept.record_exercise("rope.rotate", "not yet")
    monkeypatch.setattr(progress, "store", lambda: kept)
    return kept


def test_a_learner_exports_what_they_choose(results, tmp_path, capsys):
    path = tmp_path / "mine.json"
    words = ["progress", "--export", str(path)]
    assert cli.main(words) == 1
    assert "--name" in capsys.readouterr().err
    assert not path.exists()
    assert cli.main([*words, "--name", "Ada", "--only", "4"]) == 0
    printed = capsys.readouterr().out
    assert f"Written: {path}, under the name 'Ada'." in printed
    assert "1 exercise and 0 questions" in printed
    assert list(json.loads(path.read_text(encoding="utf-8"))["exercises"]) == ["softmax.stable"]
    assert cli.main([*words, "--name", "Ada", "--only", "sofmax"]) == 1
    assert "Did you mean 'softmax'?" in capsys.readouterr().err


def test_an_export_and_a_report_may_be_written_together(results, tmp_path, capsys):
    export, report = tmp_path / "mine.json", tmp_path / "mine.html"
    words = ["progress", "--export", str(export), "--name", "Ada", "--report", str(report)]
    assert cli.main(words) == 0
    assert export.exists()
    assert report.exists()
    assert cli.main(["progress", "--only", "4"]) == 1
    assert "add --export FILE.json" in capsys.readouterr().err
    assert cli.main(["progress", "--export", str(tmp_path / "mine.txt"), "--name", "Ada"]) == 1
    assert "ends in .json" in capsys.readouterr().err
    assert {each.name for each in tmp_path.iterdir()} <= {"mine.json", "mine.html", "home"}


def test_in_a_hub_the_name_is_that_of_the_login(results, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    path = tmp_path / "mine.json"
    assert cli.main(["progress", "--export", str(path)]) == 0
    assert json.loads(path.read_text(encoding="utf-8"))["name"] == "ada"


def test_a_teacher_gathers_a_table_a_page_or_both(results, tmp_path, capsys):
    folder = tmp_path / "records"
    folder.mkdir()
    assert cli.main(["progress", "--export", str(folder / "a.json"), "--name", "Ada"]) == 0
    (folder / "b.json").write_text("{", encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["class", "report", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].startswith("Ada ")
    assert "b.json is cut off" in printed
    html, csv = tmp_path / "class.html", tmp_path / "class.csv"
    assert cli.main(["class", "report", str(folder), "--html", str(html), "--csv", str(csv)]) == 0
    said = capsys.readouterr()
    assert said.out == f"Written: {html}\nWritten: {csv}\n"
    assert "b.json is cut off" in said.err
    assert "Ada" in html.read_text(encoding="utf-8")
    assert csv.read_bytes().startswith(b"\xef\xbb\xbflearner,notebook,ability"), "for Excel"


def test_a_folder_without_records_is_an_error(tmp_path, capsys):
    assert cli.main(["class", "report", str(tmp_path)]) == 1
    assert "course progress --export" in capsys.readouterr().err


def test_the_hub_is_explained_with_what_is_missing(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "my class"
    monkeypatch.setattr(hub.shutil, "which", lambda _, path: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert cli.main(["class", "hub", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"cd '{folder}' && " in printed
    assert "pip install" in printed
    assert "npm install -g configurable-http-proxy" in printed
    assert cli.main(["class", "hub", str(folder)]) == 1
    assert "exists" in capsys.readouterr().err


def test_on_windows_there_is_no_hub(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(class_command, "os", SimpleNamespace(name="nt"))
    assert cli.main(["class", "hub", str(tmp_path / "class")]) == 1
    assert "WSL" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_update_that_failed_for_somebody_is_told_by_the_status(monkeypatch, tmp_path, capsys):
    outcomes = {"ada": "up to date", "ben": OSError("disk full")}
    monkeypatch.setattr(hub, "update_class", lambda _: iter(outcomes.items()))
    assert cli.main(["class", "update", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "ada: up to date\nben: disk full\n"
    del outcomes["ben"]
    assert cli.main(["class", "update", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "problem",
    [OSError(28, "cannot be read"), ValueError("cannot be read")],
)
def test_a_server_starts_with_the_notebooks_that_are_there_where_an_update_fails(
    monkeypatch, tmp_path, capsys, problem
):
    def fail(_):
        raise problem

    started = []
    monkeypatch.setattr(workspace, "ensure_workspace", fail)
    monkeypatch.setattr(lab_command, "become", lambda *given: started.append(given) or 0)
    assert cli.main(["class", "server"]) == 1
    assert started == []
    folder = workspace.workspace_path()
    folder.mkdir(parents=True)
    assert cli.main(["class", "server"]) == 0
    assert "cannot be read" in capsys.readouterr().err
    assert started[0][1] == folder
