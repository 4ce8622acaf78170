import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
OF_AN_OLDER_BUILD = ("course_lib/notebooks/04_gone.ipynb", "course_lib/gone.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel as an installer does, from a copy in which an older one has been built."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if name.startswith(("tests/", "benchmarks/")) or not (ROOT / name).is_file():
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    for name in OF_AN_OLDER_BUILD:
        (source / "build/lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (source / "build/lib" / name).write_text("{}", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(folder), str(source)]
    built = subprocess.run(pip, capture_output=True, text=True)
    if built.returncode and "onnection" in built.stderr:
        pytest.skip("building a wheel fetches setuptools, and there is no network")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def test_wheel_carries_notebooks_and_data_and_finds_them(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "from course_lib.study.files.workspace import shipped_notebooks as s; import course_lib; "
        "print(course_lib.__file__); print(*sorted(p.name for p in s().glob('*.ipynb')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    place, names = found.stdout.splitlines()
    assert place.startswith(str(tmp_path))
    assert names.split() == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    data = {path.name for path in (ROOT / "course_lib").rglob("*.safetensors")}
    packed = {Path(name).name for name in zipfile.ZipFile(wheel).namelist()}
    assert data <= packed


def test_what_an_older_build_left_is_not_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert set(OF_AN_OLDER_BUILD).isdisjoint(archive.namelist())


def test_wheel_is_small_and_switches_the_save_hook_on(wheel):
    assert wheel.stat().st_size <= 30_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (settings,) = (name for name in names if "jupyter_server_config.d" in name)
        assert settings.endswith("data/etc/jupyter/jupyter_server_config.d/llm-insides.json")
        assert b"course_lib.study.display.saving" in archive.read(settings)
        (facts,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = archive.read(facts).decode()
        notebook = archive.read("course_lib/notebooks/04_softmax.ipynb").decode()
    cells = nbformat.reads(notebook, as_version=4).cells
    assert len(cells) > 50
    assert not any(cell.get("outputs") for cell in cells), "learners get none"
    links = re.findall(r"\]\(([^)]+)\)", said)
    assert len(links) > 10
    assert all(link.startswith("https://") for link in links), "they lead somewhere from anywhere"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel in an environment of its own, beside the packages that are here already."""
    venv = tmp_path_factory.mktemp("wheel") / "mein Kürs 学习"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own, others = (
        subprocess.run([str(each), "-c", ask], capture_output=True, text=True, check=True).stdout
        for each in (python, sys.executable)
    )
    Path(own.strip(), "others.pth").write_text(others, encoding="utf-8")
    return python


USE = """
import nbformat
from course_lib.authoring import replay
from course_lib.study.files import workspace
from course_lib.study.files.doctor import requirements

assert any(line.startswith("transformers") for line in requirements())
folder = workspace.workspace_path()
made = workspace.ensure_workspace(folder).created
notebook = nbformat.read(folder / "00_start_here.ipynb", as_version=4)
where = "import course_lib; print(course_lib.__file__)"
notebook.cells.append(nbformat.v4.new_code_cell(where))
replay.execute(notebook, folder)  # ends with an exception at a cell that raises
shown = [each for cell in notebook.cells for each in cell.get("outputs", [])]
print(len(made), len(shown))
print(shown[-1].text.strip())
print(*(each.text for each in shown if "parameters, " in each.get("text", "")))
"""


def test_an_installed_wheel_makes_the_notebooks_and_runs_one(installed, tmp_path):
    done = elsewhere([installed, "-c", USE], tmp_path)
    assert done.returncode == 0, done.stderr
    counts, place, model = done.stdout.splitlines()[:3]
    made, shown = map(int, counts.split())
    assert made == len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert shown > 10
    assert place.startswith(str(installed.parents[1])), "not the course of this folder"
    assert int(model.split()[0].replace(",", "")) > 1_000_000, "the course's own model is there"


def test_an_installed_wheel_has_the_command(installed, tmp_path):
    done = elsewhere([installed.with_name("course"), "update"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Your notebooks are in {tmp_path / 'my hôme' / 'workspace'}." in done.stdout


def elsewhere(command, folder):
    """Run a command in another folder, with a home of its own."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**variables, "COURSE_HOME": str(folder / "my hôme"), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
