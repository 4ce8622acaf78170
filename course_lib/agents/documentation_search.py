"""A search tool around any function `search(question, k)`, and a plain word search of our own.

Taught in:        agents
Checked against:  passages found by hand
Shapes:           none
"""

import functools
import importlib
import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from course_lib.agents.schemas import Tool, make_tool

Search = Callable[[str, int], Sequence[tuple[str, str]]]  # question, k: pairs of source and text
MODULES = (
    "base64", "bisect", "collections", "copy", "csv", "datetime", "difflib", "fractions",
    "functools", "glob", "hashlib", "heapq", "itertools", "json", "math", "operator", "os",
    "os.path", "pathlib", "pickle", "random", "re", "shutil", "statistics", "string", "struct",
    "subprocess", "tempfile", "textwrap", "time", "urllib.parse", "zlib",
)  # fmt: skip
SHOWN = 300  # characters of a passage


def word_search(question: str, k: int = 3) -> list[tuple[str, str]]:
    """Return the docstrings that share the rarest words with a question, as (source, text)."""
    entries, rarity = _entries()
    asked = set(_words(question))
    scored = [
        (sum(rarity[word] for word in asked & found), -place)
        for place, (_, _, found) in enumerate(entries)
    ]
    best = sorted(scored, reverse=True)[:k]
    return [entries[-place][:2] for score, place in best if score > 0]


def search_tool(search: Search = word_search, k: int = 3, shown: int = SHOWN) -> Tool:
    """Return a tool `search` around a search; others wrote the text that it returns."""

    def run(query: str) -> str:
        """Search the documentation of Python and return passages with their sources."""
        found = search(query, k)
        return "\n".join(f"{source}: {text[:shown]}" for source, text in found) or "nothing found."

    run.__name__ = "search"
    return make_tool(run, untrusted=True, isolated=False)


@functools.cache
def _entries() -> tuple[list[tuple[str, str, frozenset[str]]], dict[str, float]]:
    """Return each public name with the first paragraph of its docstring, and how rare words are."""
    entries = [
        (source, text, frozenset(_words(source.rpartition(".")[2])) | frozenset(_words(text)))
        for source, text in _docstrings()
    ]
    counts = Counter(word for _, _, found in entries for word in found)
    return entries, {word: math.log(len(entries) / n) + 0.1 for word, n in counts.items()}


def _docstrings() -> Iterator[tuple[str, str]]:
    for name in MODULES:
        module = importlib.import_module(name)
        for own in sorted(vars(module)):
            value = getattr(module, own)
            text = inspect.getdoc(value) if callable(value) and own[0] != "_" else None
            if text and getattr(value, "__doc__", None):
                yield f"{name}.{own}", " ".join(text.partition("\n\n")[0].split())


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
