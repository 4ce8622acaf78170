"""The hub's configuration: folders that stay apart, and commands that exist."""

import json
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from course_lib import cli, lab_command
from course_lib.study.files.workspace import ensure_workspace
from course_lib.study.teaching import hub
from course_lib.study.teaching.hub_files import CONFIG, write_hub_files


@pytest.fixture(autouse=True)
def proxy(monkeypatch):
    """Let every machine seem to have the proxy; return the function that really looks for it."""
    really = hub.shutil.which
    monkeypatch.setattr(hub.shutil, "which", lambda name, path: f"/usr/bin/{name}")
    return really


def configured(folder):
    c = Config()
    hub.configure(c, folder)
    return c


def test_what_is_kept_lies_in_the_folder_of_the_class(tmp_path):
    c = configured(tmp_path)
    assert c.JupyterHub.db_url == f"sqlite:///{tmp_path}/jupyterhub.sqlite"
    assert Path(c.JupyterHub.cookie_secret_file).parent == tmp_path
    assert c.JupyterHub.spawner_class == "simple"
    assert c.Spawner.default_url.endswith("00_start_here.ipynb")
    assert c.Spawner.environment["OMP_NUM_THREADS"] == "1", "whichever spawner is put in its place"


def test_the_hub_starts_a_command_that_the_course_has(tmp_path, monkeypatch):
    python, dash, module, *words = configured(tmp_path).Spawner.cmd
    assert (python, dash, module) == (sys.executable, "-m", "course_lib")
    started = []
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "mine"))
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(lab_command, "become", lambda *given: started.append(given) or 0)
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr("course_lib.study.files.workspace.ensure_workspace", lambda folder: "made")
    assert cli.main([*words, "--debug"]) == 0
    ((command, folder),) = started
    assert folder == tmp_path / "mine"
    assert command[:3] == [sys.executable, "-m", "jupyterhub.singleuser"]
    assert f"--ServerApp.root_dir={folder}" in command
    assert set(lab_command.OFFLINE) < set(command)
    assert command[-1] == "--debug"


def spawner_of(name):
    return SimpleNamespace(user=SimpleNamespace(name=name), environment={"A": "1"}, home_dir="")


def test_each_learner_gets_a_folder_that_others_cannot_read(tmp_path):
    prepare = configured(tmp_path).Spawner.pre_spawn_hook
    ada, ben = spawner_of("ada"), spawner_of("ben")
    prepare(ada)
    prepare(ben)
    homes = [Path(each.home_dir) for each in (ada, ben)]
    assert homes == [tmp_path / "learners" / name for name in ("ada", "ben")]
    for home, spawner in zip(homes, (ada, ben), strict=True):
        assert spawner.environment["A"] == "1"
        for name in ("COURSE_HOME", "COURSE_WORKSPACE"):
            place = Path(spawner.environment[name])
            assert place.parent == home
            assert place.is_dir()
            if os.name != "nt":
                assert stat.S_IMODE(place.stat().st_mode) == 0o700
    prepare(ada)  # again, when the server starts anew


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "../ada", "a\\b", "C:", "a\x00b", "~root", "a.b"]
)
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    home = hub.learner_folder(tmp_path, name)
    assert home.parent == tmp_path / "learners"
    assert home.name not in ("", ".", "..")
    assert not set(home.name) & set("/\\.:\x00~")


def test_different_names_have_different_folders(tmp_path):
    names = ["a/b", "a%2Fb", "a.b", "ab", "müller", "mu\u0308ller", "muller"]
    folders = {hub.learner_folder(tmp_path, name) for name in names}
    assert len(folders) == len(names) - 1, "only the two spellings of ü are one"
    with pytest.raises(ValueError, match="a name to log in"):
        hub.learner_folder(tmp_path, "")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "learners").write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError, match=r"learners.ada.* cannot be made \(.+\)\. Let the user"):
        configured(tmp_path).Spawner.pre_spawn_hook(spawner_of("ada"))


def program(folder, mode=0o755):
    """Put a program with the proxy's name into a new folder, and return its path."""
    folder.mkdir()
    path = folder / hub.PROXY
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(mode)
    return str(path)


def test_a_missing_proxy_is_named_with_the_remedy(tmp_path, monkeypatch, proxy):
    monkeypatch.setattr(hub.shutil, "which", proxy)
    monkeypatch.setattr(hub.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="npm install -g configurable-http-proxy"):
        hub.proxy_command()
    with pytest.raises(ValueError, match="npm install -g configurable-http-proxy"):
        configured(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="JupyterHub does not run on Windows")
def test_the_proxy_is_found_beside_python_or_else_on_the_path(tmp_path, monkeypatch, proxy):
    monkeypatch.setattr(hub.shutil, "which", proxy)
    monkeypatch.setattr(hub.sys, "executable", str(tmp_path / "python" / "python3"))
    on_path = program(tmp_path / "npm")
    monkeypatch.setenv("PATH", str(tmp_path / "npm"))
    assert hub.proxy_command() == on_path
    assert configured(tmp_path).ConfigurableHTTPProxy.command == [on_path]
    beside = program(tmp_path / "python")
    assert hub.proxy_command() == beside
    Path(beside).chmod(0o644)
    assert hub.proxy_command() == on_path, "what cannot be run is passed over"


def test_the_configuration_is_written_once_and_can_be_loaded(tmp_path):
    python = "/opt/mein Kürs/C:\\Users/bin/python"
    path = write_hub_files(tmp_path / "Kürs", python)
    assert path == tmp_path / "Kürs" / CONFIG
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    c = Config()
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    names = {"get_config": lambda: c, "__file__": str(path)}
    exec(code, names)
    assert f"    '{python}' -m jupyterhub\n" in names["__doc__"]
    assert c.Authenticator.allow_all is True, "JupyterHub lets nobody in by itself"
    assert str(path.parent) in c.JupyterHub.db_url
    passwords = (
        c.SharedPasswordAuthenticator.user_password,
        c.SharedPasswordAuthenticator.admin_password,
    )
    assert len(passwords[0]) >= 8
    assert len(passwords[1]) >= 32
    with pytest.raises(ValueError, match="exists"):
        write_hub_files(path.parent, sys.executable)
    again = write_hub_files(tmp_path / "other", sys.executable).read_text(encoding="utf-8")
    assert passwords[0] not in again, "every class has passwords of its own"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written"):
        write_hub_files(tmp_path / "file" / "class", sys.executable)
    with pytest.raises(ValueError, match=r"file is a file\. Name another folder"):
        write_hub_files(tmp_path / "file", sys.executable)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_leaves_no_half_of_a_configuration(tmp_path, monkeypatch):
    real = os.fdopen

    def full(handle, *given, **more):
        os.close(handle)
        return real(os.open("/dev/full", os.O_WRONLY), *given, **more)

    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(OSError, match="No space left"):
        write_hub_files(tmp_path, sys.executable)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A course with one notebook."""
    folder = tmp_path / "shipped"
    folder.mkdir()

    def ship(text):
        cell = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": text}
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (folder / "04_softmax.ipynb").write_text(json.dumps(notebook), encoding="utf-8")

    monkeypatch.setattr("course_lib.study.files.workspace.shipped_notebooks", lambda: folder)
    ship("# One")
    return ship


def test_an_update_reaches_every_learner_and_passes_over_a_broken_folder(tmp_path, shipped):
    for name in ("ada", "zoe"):
        hub.make_learner_folder(hub.learner_folder(tmp_path, name))
        ensure_workspace(tmp_path / "learners" / name / "notebooks")
    (tmp_path / "learners" / "ben").mkdir()
    (tmp_path / "learners" / "ben" / "notebooks").write_text("a file", encoding="utf-8")
    shipped("# Two")
    done = dict(hub.update_class(tmp_path))
    assert list(done) == ["ada", "ben", "zoe"]
    assert isinstance(done["ben"], OSError)
    for name in ("ada", "zoe"):
        assert list(done[name].updated) == ["04_softmax"]
        text = (tmp_path / "learners" / name / "notebooks" / "04_softmax.ipynb").read_text("utf-8")
        assert "# Two" in text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners")
def test_another_user_s_folder_is_not_filled_with_files_that_its_learner_cannot_change(
    tmp_path, shipped, monkeypatch
):
    hub.make_learner_folder(hub.learner_folder(tmp_path, "ada"))
    me = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: me + 1)
    ((_, problem),) = hub.update_class(tmp_path)
    assert "ada belongs to another user" in str(problem)
    assert list((tmp_path / "learners" / "ada" / "notebooks").iterdir()) == []


def test_an_update_of_another_folder_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match="learners"):
        list(hub.update_class(tmp_path))
