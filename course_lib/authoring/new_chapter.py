"""Start a chapter: `course new SLUG` writes a small working one, to be filled in and replaced.

A chapter is a folder, a subject module and a notebook, with their tests and a line of the
catalogue. What is written here runs as it is; every sentence that only its author can write is
marked `FILL:`, and no check of the course passes while such a mark is left.

    course_lib/SLUG.py               tests/test_SLUG.py
    course_lib/chapters/SLUG/        tests/chapters/SLUG/
    notebooks/source/NN_SLUG.py      a line of SYLLABUS, a row of the README's map
"""

import keyword
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import Template

from course_lib import SYLLABUS, Notebook, find_notebook
from course_lib.atomic_write import write_whole_text

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).with_name("chapter_template")
MARK = "FILL:"
MINUTES = 90
MAP = re.compile(r"(?<=\|---\|---\|---\|---\|\n)(?:\| \d\d \|.*\n)+")
_LINK = re.compile(r"\((\d\d)_(\w+)\.ipynb")
_HEADING = re.compile(r"^# # \d\d · ", re.MULTILINE)

FILES = {
    "subject": "course_lib/{slug}.py",
    "package": "course_lib/chapters/{slug}/__init__.py",
    "abilities": "course_lib/chapters/{slug}/abilities.py",
    "exercises": "course_lib/chapters/{slug}/exercises.py",
    "questions": "course_lib/chapters/{slug}/questions.py",
    "figures": "course_lib/chapters/{slug}/figures.py",
    "explorers": "course_lib/chapters/{slug}/explorers.py",
    "notebook": "notebooks/source/{stem}.py",
    "test_subject": "tests/test_{slug}.py",
    "test_figures": "tests/chapters/{slug}/test_figures.py",
}


@dataclass(frozen=True)
class Plan:
    """Everything that a new chapter writes, prepared before anything is written."""

    written: dict[Path, str]  # new files, and files with another text
    renamed: dict[Path, Path]  # notebooks that get a new number, old to new


def new_chapter(slug: str, after: str | None = None, root: Path = ROOT) -> list[Path]:
    """Write the skeleton of a chapter after the named one, or at the end; return the new files."""
    _check_slug(slug)
    place = find_notebook(after).number + 1 if after else len(SYLLABUS)
    title = slug.replace("_", " ").capitalize()
    entry = Notebook(place, slug, title, f"{MARK} What does it answer?", MINUTES, (slug,))
    files = _skeleton(entry, root)
    there = [path for path in files if path.exists()]
    if there:
        raise ValueError(
            f"a new chapter writes files that are not there yet; {there[0].relative_to(root)} is. "
            "Choose another name, or move that file away."
        )
    plan = _plan(entry, files, root)
    _carry_out(plan)
    return list(files)


def _check_slug(slug: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug) or keyword.iskeyword(slug):
        raise ValueError(
            f"a chapter is named by a word that Python can import; got {slug!r}. Use small "
            "letters, digits and underscores, such as `beam_search`."
        )
    taken = {each.slug for each in SYLLABUS} | {m for each in SYLLABUS for m in each.modules}
    if slug in taken:
        raise ValueError(f"a chapter needs a name of its own; {slug!r} is taken. Choose another.")


def _skeleton(entry: Notebook, root: Path) -> dict[Path, str]:
    """Return the chapter's files with their texts."""
    words = {
        "slug": entry.slug,
        "title": entry.title,
        "question": entry.question,
        "minutes": str(entry.minutes),
        "number": f"{entry.number:02d}",
    }
    return {
        root / place.format(slug=entry.slug, stem=entry.stem): Template(
            (TEMPLATES / f"{name}.py.txt").read_text(encoding="utf-8")
        ).substitute(words)
        for name, place in FILES.items()
    }


def _plan(entry: Notebook, files: dict[Path, str], root: Path) -> Plan:
    """Return the new files, and what changes in the others because numbers move."""
    later = {each: Notebook(each.number + 1, *_rest(each)) for each in SYLLABUS[entry.number :]}
    catalogue = [*SYLLABUS[: entry.number], entry, *later.values()]
    written = dict(files)
    package, readme = root / "course_lib" / "__init__.py", root / "README.md"
    written[package] = _with_line(package.read_text(encoding="utf-8"), entry)
    written[readme] = with_map(readme.read_text(encoding="utf-8"), catalogue)
    stems = {old.stem: new.stem for old, new in later.items()}
    for each in SYLLABUS:
        old = root / "notebooks" / "source" / f"{each.stem}.py"
        text = old.read_text(encoding="utf-8")
        moved = later.get(each)
        changed = _LINK.sub(lambda m: f"({stems.get(m[0][1:-6], m[0][1:-6])}.ipynb", text)
        if moved:
            changed = _HEADING.sub(f"# # {moved.number:02d} · ", changed, count=1)
        if changed != text:
            written[old.with_name(f"{moved.stem}.py") if moved else old] = changed
    folders = (("notebooks/source", ".py"), ("notebooks", ".ipynb"))
    renamed = {
        root / folder / f"{old}{ending}": root / folder / f"{new}{ending}"
        for old, new in sorted(stems.items(), reverse=True)
        for folder, ending in folders
    }
    return Plan(written, {old: new for old, new in renamed.items() if old.exists()})


def _rest(entry: Notebook) -> tuple[str, str, str, int, tuple[str, ...]]:
    return entry.slug, entry.title, entry.question, entry.minutes, entry.modules


def _with_line(catalogue: str, entry: Notebook) -> str:
    """Return the text of the catalogue with the new chapter's line in its place."""
    line = f'    ("{entry.slug}", "{entry.title}", "{entry.question}", {entry.minutes}, '
    line += f'("{entry.slug}",)),\n'
    if entry.number < len(SYLLABUS):
        mark = f'    (\n        "{SYLLABUS[entry.number].slug}",\n'
        short = f'    ("{SYLLABUS[entry.number].slug}", '
        mark = mark if mark in catalogue else short
    else:
        mark = ")\n\nSYLLABUS"
    if catalogue.count(mark) != 1:
        raise ValueError(
            f"the catalogue in course_lib/__init__.py has no single place before {mark.strip()!r}. "
            "Put its lines back into the form that `ruff format` gives them."
        )
    return catalogue.replace(mark, line + mark)


def with_map(readme: str, catalogue: list[Notebook]) -> str:
    """Return the README with the map of these notebooks, in as many tables as it has.

    A table goes on up to the chapter that opens the next one.
    """
    titles = [each.title for each in catalogue]
    opening = [titles.index(table.split(" | ")[1]) for table in MAP.findall(readme)]
    rows = [
        f"| {each.number:02d} | {each.title} | {each.question} | {each.minutes} |\n"
        for each in catalogue
    ]
    tables = iter(["".join(rows[a:b]) for a, b in pairwise([*opening, len(rows)])])
    return MAP.sub(lambda _: next(tables), readme)


def _carry_out(plan: Plan) -> None:
    """Rename and write; if that fails, restore what was there."""
    touched = {*plan.written, *plan.renamed, *plan.renamed.values()}
    before = {path: path.read_bytes() if path.exists() else None for path in touched}
    try:
        for old, new in plan.renamed.items():
            old.rename(new)
        for path, text in plan.written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole_text(path, text)
    except OSError:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        raise
