"""The documentation of the running Python as pages, each with the name that `help` knows it by.

A page is a topic of the language reference, or what is written about one module, class, function
or method. Nothing is copied into the course: the text is read from the Python that runs it, so a
different version has slightly different pages.

    topic:assert           help("assert")
    textwrap.wrap          help("textwrap.wrap")

Sources are parsed, not imported, since importing a module may do anything. Only what has no source
in Python (built-in types, `math`, `itertools`, ...) is asked for its docstrings.

Taught in:        retrieval
Checked against:  `inspect.getdoc` and `pydoc_data.topics`
"""

import ast
import functools
import importlib
import inspect
import pydoc
from collections.abc import Iterator
from typing import NamedTuple

from course_lib import corpus

# Large, and seldom what a question is about: a quarter of all docstrings are those of tkinter.
LEFT_OUT = frozenset({"distutils", "ensurepip", "pydoc", "tkinter", "turtledemo"})
WITHOUT_SOURCE = ("math", "itertools", "time", "sys", "zlib", "binascii", "gc", "array")
BUILTIN_TYPES = (str, bytes, list, tuple, dict, set, int, float)
SHORTEST = 15  # characters: "See the class." helps nobody

_Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Page(NamedTuple):
    """One page of the documentation, and the document that it comes from."""

    name: str
    text: str
    document: str  # as `course_lib.corpus` calls it, which decides whether it is held out


@functools.cache
def documentation_pages() -> tuple[Page, ...]:
    """Return all pages, in the order of their names."""
    found = {page.name: page for page in (*_builtin_pages(), *_source_pages(), *_topic_pages())}
    return tuple(found[name] for name in sorted(found))


@functools.cache
def _pages_by_name() -> dict[str, Page]:
    return {page.name: page for page in documentation_pages()}


def find_page(name: str) -> Page:
    """Return the page of this name."""
    pages = _pages_by_name()
    if name not in pages:
        raise ValueError(
            f"a page is one of the {len(pages)} names in documentation_pages(); got {name!r}. "
            "Names look like 'textwrap.wrap' and 'topic:assert'."
        )
    return pages[name]


def help_name(page: str) -> str | None:
    """Return what to pass to `help`, or to `python -m pydoc`, to see a page; None if nothing is.

    Topics have names of their own there: `topic:execmodel` is EXECUTION.
    """
    topic = page.removeprefix("topic:")
    if topic == page:
        return page
    named = {**pydoc.Helper.keywords, **pydoc.Helper.topics}
    return next((name for name, of in named.items() if of[:1] == (topic,)), None)


def _topic_pages() -> Iterator[Page]:
    for document in corpus.documentation():
        yield Page(f"topic:{document.name.removeprefix('topic/')}", document.text, document.name)


def _source_pages() -> Iterator[Page]:
    for document in corpus.library_sources():
        name = document.name.removeprefix("source/").removesuffix(".py").replace("/", ".")
        name = name.removesuffix(".__init__")
        parts = name.split(".")
        if parts[0] in LEFT_OUT or any(part.startswith("_") for part in parts):
            continue
        tree = ast.parse(document.text)
        if len(text := ast.get_docstring(tree) or "") >= SHORTEST:
            yield Page(name, f"module {name}\n\n{text}", document.name)
        yield from _defined_in(tree, name, document.name)


def _defined_in(parent: ast.AST, prefix: str, document: str) -> Iterator[Page]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.If | ast.Try):  # a definition for some systems only
            yield from _defined_in(node, prefix, document)
        if not isinstance(node, _Documented) or node.name.startswith("_"):
            continue
        name = f"{prefix}.{node.name}"
        if len(text := ast.get_docstring(node) or "") >= SHORTEST:
            yield Page(name, f"{_signature(node, name)}\n\n{text}", document)
        if isinstance(node, ast.ClassDef):
            yield from _defined_in(node, name, document)


def _signature(node: _Documented, name: str) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {name}"
    taken = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    taken += [f"*{node.args.vararg.arg}"] if node.args.vararg else []
    taken += [a.arg for a in node.args.kwonlyargs]
    taken += [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
    return f"{name}({', '.join(each for each in taken if each not in ('self', 'cls'))})"


def _builtin_pages() -> Iterator[Page]:
    import builtins

    yield from _members(builtins, "", "builtins")
    for kind in BUILTIN_TYPES:
        yield from _members(kind, f"{kind.__name__}.", "builtins")
    for name in WITHOUT_SOURCE:
        yield from _members(importlib.import_module(name), f"{name}.", name)


def _members(owner: object, prefix: str, document: str) -> Iterator[Page]:
    for name, member in sorted(vars(owner).items()):
        if name.startswith("_") or not (callable(member) or inspect.isclass(member)):
            continue
        if len(text := inspect.getdoc(member) or "") >= SHORTEST:
            yield Page(f"{prefix}{name}", f"{prefix}{name}\n\n{text}", f"builtin/{document}")
