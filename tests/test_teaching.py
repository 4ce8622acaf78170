"""The page for teachers and the image: every command, path and version in them exists."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from benchmarks import classroom
from benchmarks.record import RESULTS
from benchmarks.report import with_section
from course_lib import SYLLABUS, cli

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
IMAGE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FENCED = re.findall(r"```(?:yaml|python)?\n(.*?)```", PAGE, re.DOTALL)


def instructions():
    """Return the instructions of the Dockerfile, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", IMAGE, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def arguments(name):
    return [rest for word, rest in instructions() if word == name]


def accepted(words):
    """Say whether the course's command line accepts these words."""
    given, _ = cli._split(list(words))
    return cli._parser().parse_args(given).run is not None


def course_commands():
    """Return what the page tells a reader to type, as the words after `course`."""
    lines = [line for block in FENCED for line in block.splitlines()]
    words = [shlex.split(line) for line in lines if re.match(r"(\S*/)?course ", line)]
    return [each[1:] for each in words]


def test_every_command_of_the_page_is_understood():
    commands = course_commands()
    assert len(commands) >= 4
    assert all(accepted(each) for each in commands)
    with pytest.raises(SystemExit):
        accepted(["class", "unknown"])


def test_the_page_names_only_what_exists():
    links = re.findall(r"\]\(#([\w-]+)\)", PAGE)
    heads = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert links
    assert set(links) <= {head.lower().replace(" ", "-") for head in heads}
    assert "(docs/teaching.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    extras = set(re.findall(r"\.\[(\w+)\]", PAGE + IMAGE))
    assert extras
    assert extras <= set(PROJECT["optional-dependencies"])


def test_the_page_tells_what_is_stored():
    stored = json.loads((RESULTS / "classroom.json").read_text(encoding="utf-8"))
    section = classroom.section(stored)
    assert with_section(PAGE, section, classroom.BEGIN) == PAGE
    assert {row["learners"] for row in stored["rows"]} == {30}
    assert all(f"{row['seconds, p99']:.2f}" in section for row in stored["rows"] if "times" in row)


def test_the_values_for_a_cluster_fit_the_image():
    (values,) = (yaml.safe_load(block) for block in FENCED if block.startswith("singleuser:"))
    learner = values["singleuser"]
    program, *words = learner["cmd"]
    assert program == "course"
    assert accepted(words)
    assert learner["defaultUrl"] == f"/lab/tree/{SYLLABUS[0].stem}.ipynb"
    assert str(learner["uid"]) in arguments("USER")
    home = learner["storage"]["homeMountPath"]
    assert f"COURSE_HOME={home}/" in IMAGE
    assert f"COURSE_WORKSPACE={home}/" in IMAGE


def test_the_image_is_made_of_files_that_exist_and_that_its_context_lets_through():
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_through[0] == "*"
    sources = []
    for line in arguments("COPY"):
        *given, _ = line.split()
        if not given[0].startswith("--from="):
            sources += given
    assert {"course_lib", "notebooks", "setup.py"} <= set(sources)
    for name in sources:
        assert (ROOT / name).exists()
        assert f"!{name}" in let_through
    assert set(PROJECT["license-files"]) | {"README.md"} <= set(sources), "the build needs them"


def test_the_image_uses_a_python_that_the_project_accepts():
    bases = [line.split()[0] for line in arguments("FROM")]
    assert len(set(bases)) == 1
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", bases[0])[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)


def test_the_image_runs_a_command_of_the_course_without_privileges():
    words = [word for word, _ in instructions()]
    assert words.index("USER") < words.index("CMD")
    assert arguments("USER") not in (["root"], ["0"])
    assert f"--uid {arguments('USER')[0]} " in " ".join(arguments("RUN"))
    program, *given = json.loads(arguments("CMD")[0])
    assert program in PROJECT["scripts"]
    assert accepted(given)
    assert given[1:] == ["--ip=0.0.0.0", "--no-browser"]
