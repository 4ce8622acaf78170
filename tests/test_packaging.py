"""Hold pyproject.toml, constraints.txt, the environments, the workflows and the list of changes."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib import SYLLABUS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SYSTEMS = ("linux", "darwin", "win32")
PYTHONS = ("3.11.2", "3.11.9", "3.12.4", "3.13.1")


def requirements() -> list[Requirement]:
    lines = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        lines += [line for line in extra if not line.startswith(PROJECT["name"])]
    return [Requirement(line) for line in lines]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def applies(requirement: Requirement, system: str, python: str) -> bool:
    if requirement.marker is None:
        return True
    names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    return requirement.marker.evaluate(
        {
            "sys_platform": system,
            "platform_system": names[system],
            "python_full_version": python,
            "python_version": ".".join(python.split(".")[:2]),
        }
    )


def pinned(system: str, python: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pin in pins():
        if applies(pin, system, python):
            (only,) = pin.specifier
            assert only.operator == "==", pin
            found.setdefault(canonicalize_name(pin.name), []).append(only.version)
    return found


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_one_pin_within_its_range(system: str, python: str) -> None:
    versions = pinned(system, python)
    assert {name: found for name, found in versions.items() if len(found) != 1} == {}
    for requirement in requirements():
        if applies(requirement, system, python):
            (version,) = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), (requirement, version)


def test_pins_name_no_machine_and_no_build() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or not re.search(r"\+|/|@", line), line


def test_what_is_installed_beside_the_dependencies_is_pinned_too() -> None:
    """Follow the requirements of everything that is installed; each must have a pin."""
    from importlib import metadata

    seen: set[str] = set()
    waiting = [canonicalize_name(each.name) for each in requirements()]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        for each in map(Requirement, lines):
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(each.name))
    assert len(seen) > 100
    assert seen - {canonicalize_name(pin.name) for pin in pins()} == set()


def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_takes_python_only_and_the_rest_from_this_project() -> None:
    *conda, pip = environment()["dependencies"]
    assert [re.split("[=<>]", each)[0] for each in conda] == ["python", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e ."]}
    assert environment()["name"] == PROJECT["name"]


def test_conda_and_the_workflow_use_a_python_that_the_project_accepts() -> None:
    accepted = SpecifierSet(PROJECT["requires-python"])
    (conda,) = (d for d in environment()["dependencies"] if str(d).startswith("python="))
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    tested = yaml.safe_load(workflow)["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert conda.removeprefix("python=") in tested
    assert all(accepted.contains(version) for version in tested)
    assert not accepted.contains("3.10.14")


def test_launcher_and_project_agree_on_the_oldest_python() -> None:
    source = (ROOT / "start.py").read_text(encoding="utf-8")
    oldest = re.search(r"^OLDEST = \((\d+), (\d+)\)$", source, re.MULTILINE)
    assert oldest is not None
    assert PROJECT["requires-python"] == f">={oldest[1]}.{oldest[2]}"
    assert Version(f"{oldest[1]}.{oldest[2]}") <= min(map(Version, PYTHONS))


def test_both_licences_are_there() -> None:
    for name in PROJECT["license-files"]:
        assert (ROOT / name).stat().st_size > 500
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in (ROOT / "LICENSE-TEXT").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0 AND CC-BY-4.0"


def test_ci_runs_the_command_of_the_launcher() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in script
    assert "python3 start.py test" in script


def test_readme_maps_every_chapter_with_its_question():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for chapter in SYLLABUS:
        assert f"| {chapter.number:02d} | {chapter.title} | {chapter.question} |" in readme


def test_the_newest_changes_are_those_of_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (.+)$", changes, re.MULTILINE)
    assert versions[0] == PROJECT["version"]
    assert versions == sorted(versions, key=Version, reverse=True)


def test_a_release_is_tagged_checked_installed_and_trusted() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    release = yaml.safe_load(text)
    assert release[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    build, publish = release["jobs"]["build"], release["jobs"]["publish"]
    commands = [step.get("run", "") for step in build["steps"]]
    wanted = ("GITHUB_REF_NAME", "-m build", "twine check --strict", "course doctor")
    places = [next(at for at, run in enumerate(commands) if each in run) for each in wanted]
    assert places == sorted(places)
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}, "it needs no password"
    assert release["permissions"] == {"contents": "read"}


def test_binder_keeps_the_pytorch_without_gpu_and_pins_the_rest() -> None:
    binder = yaml.safe_load((ROOT / "binder/environment.yml").read_text(encoding="utf-8"))
    python, pip, torch = binder["dependencies"]
    assert [python, pip] == environment()["dependencies"][:2]
    (needed,) = (each for each in requirements() if each.name == "torch")
    assert torch == f"pytorch-cpu{needed.specifier}"
    script = (ROOT / "binder/postBuild").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -v '(.*)' constraints.txt", script)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split("==")[0] for line in lines if re.match(pattern, line)} == {"torch"}


def test_the_source_archive_holds_what_the_wheel_is_built_from() -> None:
    listed = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").split()
    assert {"notebooks", "constraints.txt", "start.py", "tests", "docs"} <= set(listed)
    assert all((ROOT / name).exists() for name in listed[1 : listed.index("graft")])


def test_every_workflow_uses_the_same_version_of_an_action() -> None:
    used = {
        each
        for path in (ROOT / ".github/workflows").glob("*.yml")
        for each in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    }
    names = [each.partition("@")[0] for each in used]
    assert len(names) > 5
    assert sorted(names) == sorted(set(names)), sorted(used)
