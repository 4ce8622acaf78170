import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel as an installer does, from a copy without what lies around."""
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
        "from course_lib.study.workspace import shipped_notebooks as s; import course_lib; "
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
