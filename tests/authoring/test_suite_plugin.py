"""What pytest does as a step of the suite, in a small folder of tests of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.authoring import machine_speed, suite, suite_record

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "tests/test_good.py": (
        "def test_one(): pass\ndef test_two(): assert sum(n * n for n in range(4 * 10**6))\n"
    ),
    "tests/test_bad.py": "def test_one(): pass\ndef test_two(): assert 0\n",
    "tests/test_long.py": (
        "import pytest\n"
        "def limit(request): return request.node.get_closest_marker('timeout').args[0]\n"
        "def test_usual(request): assert limit(request) == 30 * 2.5\n"
        "@pytest.mark.timeout(7)\n"
        "def test_own(request): assert limit(request) == 7 * 2.5\n"
    ),
    suite_record.APART[0]: (
        "import pytest\n"
        "@pytest.mark.parametrize('slug', ['a', 'b', 'c'])\n"
        "def test_slug(slug): assert slug != 'b'\n"
    ),
    "pytest.ini": "[pytest]\ntimeout = 30\naddopts = --import-mode=importlib\n",
    "tests/seconds.tsv": "tests/test_long.py\t900.0\ntests/test_bad.py\t1.0\n",
}
APART = suite_record.APART[0] + "::test_slug"
NOT_NEEDED = ("hypothesispytest", "anyio")  # they take seconds to load


@pytest.fixture
def run(tmp_path: Path):
    """Return a function that runs pytest as a step, and returns its output and the record."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    record = tmp_path / "record.tsv"

    def run_step(*options: str) -> tuple[str, dict[str, float]]:
        passed = suite_record.read_seconds(record)
        variables = suite.environment(tmp_path, record, 1.0, passed)
        variables |= {machine_speed.PATIENCE: "2.5", "PYTHONPATH": str(ROOT)}
        variables["PYTEST_ADDOPTS"] = " ".join(f"-p no:{name}" for name in NOT_NEEDED)
        command = [sys.executable, "-m", "pytest", "tests", "-v", "-p", "tests.suite_plugin"]
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True
        )
        assert done.returncode == 1, done.stdout.decode()
        return done.stdout.decode(), suite_record.read_seconds(record)

    return run_step


@pytest.mark.parametrize(
    "options", [(), ("-n", "2", "--dist=loadfile", "--no-loadscope-reorder")], ids=["one", "two"]
)
def test_what_passed_is_recorded_and_left_out_next_time(run, options: tuple[str, ...]) -> None:
    output, record = run(*options)
    assert "2 failed, 7 passed" in output
    passed = {"tests/test_good.py", "tests/test_long.py", f"{APART}[a]", f"{APART}[c]"}
    assert set(record) == passed
    assert record["tests/test_good.py"] > 0
    output, again = run(*options)
    assert "2 failed, 1 passed" in output
    assert again == record
    assert "test_good.py" not in output


def test_the_longest_runs_first(run) -> None:
    output, _ = run()
    order = [output.index(f"{name}::") for name in ("tests/test_long.py", "tests/test_good.py")]
    assert order[0] < order[1] < output.index("tests/test_bad.py::")
