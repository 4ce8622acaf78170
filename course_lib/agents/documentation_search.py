"""A search tool around any function `search(question, k)`; without one, the search of `retrieval`.

Taught in:        agents
Checked against:  passages found by hand
Shapes:           none
"""

from collections.abc import Callable, Sequence

from course_lib.agents.schemas import Tool, make_tool

Search = Callable[[str, int], Sequence[tuple[str, str]]]  # question, k: pairs of source and text
SHOWN = 300  # characters of a passage


def passages(question: str, k: int = 3) -> list[tuple[str, str]]:
    """Return the best passages of Python's documentation, each after the name of its page."""
    from course_lib.retrieval import search  # brings torch, which the start need not wait for

    return [(hit.page, " ".join(hit.text.split())) for hit in search(question, k)]


def search_tool(search: Search = passages, k: int = 3, shown: int = SHOWN) -> Tool:
    """Return a tool `search` around a search; others wrote the text that it returns."""

    def run(query: str) -> str:
        """Search the documentation of Python and return passages with their sources."""
        found = search(query, k)
        return "\n".join(f"{source}: {text[:shown]}" for source, text in found) or "nothing found."

    run.__name__ = "search"
    return make_tool(run, untrusted=True, isolated=False)
