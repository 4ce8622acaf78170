"""The rules of the house: who may import whom, what imports cost, one catalogue for everything."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from course_lib import SYLLABUS

PACKAGE = Path(__file__).parents[1] / "course_lib"
NOTEBOOKS = PACKAGE.parent / "notebooks"
ORDER = [module for notebook in SYLLABUS for module in notebook.modules]
SLUGS = [notebook.slug for notebook in SYLLABUS]
OUTSIDE = {
    "__init__",
    "__main__",
    "cli",
    "chat_command",
    "ask_command",
    "check_command",
    "class_command",
    "cli_help",
    "cli_options",
    "lab_command",
    "record_command",
    "train_command",
    "atomic_write",
}  # of neither part
ANYWHERE = {"atomic_write"}  # needs nothing but Python, and everything may need it
CLASSROOM = {"study", "chapters", "authoring"}
STUDY = PACKAGE / "study"
LOOKS_AHEAD = {
    "start_here": {"softmax"},  # the tour shows every stage before any of them is taught
    "attention": {"rope"},  # the toy whose heads look back needs positions, which 06 explains
}
PARTS = {"abilities", "data", "exercises", "explorers", "figures", "questions"}


def files_of(module):
    folder = PACKAGE / module
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{module}.py"]


def executed(tree):
    """Yield the nodes of a file that run; what stands under TYPE_CHECKING never does."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from executed(node)


def imported(path):
    """Yield the dotted names that a file imports."""
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def course_imports(path):
    """Yield what a file imports of the course, as the names after `course_lib`."""
    for name in imported(path):
        if name.startswith("course_lib."):
            yield name.split(".")[1:]


def course_parts(path):
    """Return the parts of the package that a file imports, by the name after `course_lib`."""
    return {names[0] for names in course_imports(path)} - {"SYLLABUS", "Notebook", "find_notebook"}


def taught_up_to(slug):
    """Return the subject modules of this chapter and of those before it."""
    number = next(each.number for each in SYLLABUS if each.slug == slug)
    return {m for each in SYLLABUS if each.number <= number for m in each.modules}


def test_every_module_is_in_the_catalogue_once():
    there = {path.stem for path in PACKAGE.glob("*.py")} - OUTSIDE
    there |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - CLASSROOM
    assert sorted(there) == sorted(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_what_stands_above_it(module):
    allowed = {*ORDER[: ORDER.index(module) + 1], *ANYWHERE}
    for path in files_of(module):
        assert course_parts(path) <= allowed, path


def test_the_classroom_imports_no_chapter_and_no_author_tool():
    for path in STUDY.rglob("*.py"):
        assert course_parts(path) <= {*ORDER, *ANYWHERE, "study"}, path


def test_no_file_of_the_classroom_names_a_chapter():
    for path in STUDY.rglob("*.py"):
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        # "attention" and "mlp" are parts of every model too; a slug of two words is only a slug.
        assert not strings & {slug for slug in SLUGS if "_" in slug}, path
        assert not [each for each in strings if "course_lib.chapters." in each], path


def test_widgets_are_imported_only_where_a_kernel_may_lack_them():
    """Others ask `live`; the cards of a quiz are loaded once it has found them."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for folder in ("study", "chapters")
        for path in (PACKAGE / folder).rglob("*.py")
        if {name.partition(".")[0] for name in imported(path)} & {"ipywidgets", "anywidget"}
    }
    assert found == {"study/display/live.py", "study/ask/card.py", "study/ask/card_kinds.py"}


def folder_in_study(names):
    """Return the folder of `study` that a dotted name belongs to, or the module at its root."""
    return names[1] if len(names) > 1 else ""


def test_the_folders_of_the_classroom_form_no_cycle():
    needs = {}
    for path in STUDY.rglob("*.py"):
        own = path.relative_to(STUDY).with_suffix("").parts[0]
        if own in ("__init__", "desk"):  # what notebooks import gathers names from everywhere
            continue
        used = {folder_in_study(names) for names in course_imports(path) if names[0] == "study"}
        needs.setdefault(own, set()).update(used - {own, ""})
    assert set(needs) == {
        *("ask", "check", "display", "exhibits", "files", "record", "teaching"),
        *("chapter_parts", "outcomes"),
    }
    order = list(TopologicalSorter(needs).static_order())  # raises where there is a cycle
    assert order.index("display") < order.index("check")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_chapter_imports_itself_the_classroom_and_what_was_taught(slug):
    allowed = taught_up_to(slug) | LOOKS_AHEAD.get(slug, set()) | ANYWHERE
    allowed |= {"study", "SYLLABUS", "Notebook"}
    for path in (PACKAGE / "chapters" / slug).rglob("*.py"):
        for names in course_imports(path):
            if names[0] == "chapters":
                assert names[1] == slug, path
            else:
                assert names[0] in allowed, (path, names)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_chapter_holds_known_parts_and_modules_of_its_own(slug):
    folder = PACKAGE / "chapters" / slug
    there = {path.stem for path in folder.iterdir()} - {"__init__", "__pycache__"}
    assert {"abilities", "exercises", "questions"} <= there
    modules = {path.stem for path in folder.glob("*.py")}
    assert there - PARTS <= modules


def test_there_is_a_folder_for_each_chapter_and_for_nothing_else():
    there = {path.parent.name for path in (PACKAGE / "chapters").glob("*/__init__.py")}
    assert there == set(SLUGS)


def documents():
    """Yield every text of the course that authors write, with its path."""
    root = PACKAGE.parent
    for folder in ("course_lib", "tests", "benchmarks", "notebooks/source"):
        for path in (root / folder).rglob("*.py"):
            yield path, path.read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md"):
        yield root / name, (root / name).read_text(encoding="utf-8")


def test_no_blank_of_a_new_chapter_is_left():
    speak_of_it = ("new_chapter.py", "test_new_chapter.py", "test_architecture.py")
    left = [path for path, text in documents() if "FILL: " in text and path.name not in speak_of_it]
    assert not left, " ".join(str(path.relative_to(PACKAGE.parent)) for path in left)


def test_chapters_are_named_by_slug_and_linked_by_file():
    stems = {each.stem for each in SYLLABUS}
    for path, text in documents():
        assert set(re.findall(r"\((\d\d_\w+)\.ipynb", text)) <= stems, path
        if path.suffix == ".py" and "tests" not in path.parts:
            numbered = re.findall(r"\b(?:[Nn]otebook|[Cc]hapter)s? \d\d\b(?! and keeps)", text)
            assert not [each for each in numbered if path.name != "cli.py"], (path, numbered)


def test_headers_name_the_chapter_that_teaches_a_module():
    for notebook in SYLLABUS:
        for module in notebook.modules:
            for path in files_of(module):
                found = re.search(r"^Taught in: +(.+)$", path.read_text("utf-8"), re.MULTILINE)
                named = re.split(r", (?:and )?", found[1]) if found else [notebook.slug]
                # A file of a package may be taught after the package itself, never before.
                own_or_later = SLUGS[notebook.number :]
                assert named[0] in (*own_or_later, "every notebook", "none"), path
                assert {each for each in named if each.isidentifier()} - {"none"} <= set(SLUGS)


@pytest.mark.parametrize("notebook", SYLLABUS[1:], ids=lambda each: each.slug)
def test_a_notebook_uses_only_what_was_taught_and_its_own_chapter(notebook):
    source = NOTEBOOKS / "source" / f"{notebook.stem}.py"
    for names in course_imports(source):
        if names[0] == "chapters":
            assert names[1] == notebook.slug
        else:
            assert names[0] in {"study", *taught_up_to(notebook.slug)}, names


def test_catalogue_is_ordered_and_matches_the_files():
    numbers = [each.number for each in SYLLABUS]
    assert numbers == sorted(set(numbers))
    stems = {each.stem for each in SYLLABUS}
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == stems
    assert {path.stem for path in (NOTEBOOKS / "source").glob("*.py")} == stems


@pytest.mark.parametrize(
    ("statement", "must_not_load"),
    [
        ("import course_lib", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.cli", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.atomic_write", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.study.record.progress", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.softmax", {"transformers", "triton", "matplotlib", "ipywidgets"}),
        (
            "from course_lib.study import exercise, figures, quiz, reveal, show",
            {"transformers", "tokenizers", "triton", "ipywidgets"},
        ),
        ("import course_lib.tokenization", {"torch", "tokenizers", "tiktoken", "transformers"}),
        ("import course_lib.training", {"transformers", "tokenizers", "safetensors", "regex"}),
    ],
)
def test_imports_cost_no_more_than_they_must(statement, must_not_load):
    code = f"import sys; {statement}; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert must_not_load & set(out.stdout.split()) == set()
