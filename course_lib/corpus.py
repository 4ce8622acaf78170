"""Text without a download: what the running Python says about itself.

A course on language models needs text, and needs to work offline. Every Python carries some 400 kB
of reference documentation (the topics of `help()`), ten megabytes of source, and the docstrings
in it. Nothing of it is copied here; a different Python version has slightly different text, so no
stored result may depend on it letter for letter.

    held out:  first byte of sha256(name of the document) < 26        (a chance of one in ten)

Whole documents are held out, never single lines: neighbouring lines repeat each other, and a model
that has seen one would look better on the other than it is.

Taught in:        tokenization
Checked against:  `pydoc_data.topics`, `ast.get_docstring`
"""

import ast
import functools
import hashlib
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

# One sentence in several languages, in the course's own words, to compare its cost in tokens.
SAMPLES: dict[str, str] = {
    "English": "Every word you read here was first cut into pieces and turned into numbers.",
    "German": "Jedes Wort, das du hier liest, wurde erst in Stücke zerlegt und dann zu Zahlen.",
    "Chinese": "你在这里读到的每个词，都先被切成小块，再变成数字。",
    "Arabic": "كل كلمة تقرؤها هنا قُطِّعت أولًا إلى أجزاء ثم حُوِّلت إلى أرقام.",
    "Hindi": "यहाँ पढ़ा गया हर शब्द पहले टुकड़ों में काटा गया और फिर संख्याओं में बदला गया।",
    "emoji": "📖 ✂️ 🧩 ➡️ 🔢 👩‍💻 👍🏽 🇪🇺 🎉🎉🎉",
    "code": "def pieces(text):\n    for word in split(text):\n        yield ids[word]  # number\n",
}

_SKIPPED_FOLDERS = frozenset(
    {
        "__pycache__",
        "encodings",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
    }
)


class Document(NamedTuple):
    """A text with its name, which decides on which side of the split it is."""

    name: str
    text: str


@functools.cache
def documentation() -> tuple[Document, ...]:
    """Return the topics of Python's reference documentation, in alphabetical order.

    Many topics are excerpts of longer ones. A topic whose every long line was already seen in
    longer topics is left out, or a model would be tested on text that it was trained on.
    """
    from pydoc_data.topics import topics

    kept: list[Document] = []
    seen: set[str] = set()
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        lines = {line.strip() for line in topics[name].splitlines() if len(line) > 40}
        if not lines <= seen:
            kept.append(Document(f"topic/{name}", topics[name]))
        seen |= lines
    return tuple(sorted(kept))


@functools.cache
def library_sources() -> tuple[Document, ...]:
    """Return the source files of the standard library, in the order of their paths."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    kept = sorted(p.as_posix() for p in paths if _SKIPPED_FOLDERS.isdisjoint(p.parts))
    return tuple(
        Document(f"source/{name}", (root / name).read_text("utf-8", errors="replace"))
        for name in kept
    )


@functools.cache
def docstrings() -> tuple[Document, ...]:
    """Return, for each source file that has any, its docstrings one after another."""
    found = (
        Document(source.name.replace("source/", "docstrings/", 1), "\n\n".join(_docstrings(source)))
        for source in library_sources()
    )
    return tuple(document for document in found if document.text)


def _docstrings(source: Document) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


SOURCES: dict[str, Callable[[], tuple[Document, ...]]] = {
    "documentation": documentation,
    "docstrings": docstrings,
    "sources": library_sources,
}


def is_held_out(name: str) -> bool:
    """Say whether the document of this name is held out (about 10 % are)."""
    return hashlib.sha256(name.encode()).digest()[0] < 26


def train_text(characters: int | None = None, source: str = "documentation") -> str:
    """Return the first `characters` of the training documents, or all of them."""
    return _joined(source, characters, held_out=False)


def held_out_text(characters: int | None = None, source: str = "documentation") -> str:
    """Return the first `characters` of the documents that no model may be trained on."""
    return _joined(source, characters, held_out=True)


def _joined(source: str, characters: int | None, *, held_out: bool) -> str:
    if source not in SOURCES:
        raise ValueError(
            f"source must be one of {', '.join(SOURCES)}; got {source!r}. "
            "Choose one of these names."
        )
    if characters is not None and characters < 1:
        raise ValueError(
            f"characters must be at least 1, or there is no text; got {characters}. "
            "Pass a larger number, or None for the whole text."
        )
    texts = (doc.text for doc in SOURCES[source]() if is_held_out(doc.name) == held_out)
    return "\n\n".join(texts)[:characters]
