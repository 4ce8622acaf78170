"""The tool around any search, and the search of the documentation."""

from course_lib.agents import run_tool, search_tool
from course_lib.agents.documentation_search import passages


def test_the_tool_shows_sources_and_takes_any_search():
    asked = []

    def search(question, k):
        asked.append((question, k))
        return [("page", "a passage " * 50)]

    tool = search_tool(search, k=2, shown=20)
    found = run_tool(tool, {"query": "x"})
    assert found.text == "page: " + ("a passage " * 50)[:20]
    assert asked == [("x", 2)]
    assert tool.name == "search"
    assert tool.untrusted
    assert run_tool(search_tool(lambda q, k: []), {"query": "x"}).text == "nothing found."


def test_the_search_without_another_reads_the_pages_of_the_documentation():
    found = passages("recursively copy a directory tree", 3)
    assert "shutil.copytree" in [page for page, _ in found]
    assert all("\n" not in text for _, text in found)
    own = run_tool(search_tool(k=1), {"query": "remove common leading whitespace"})
    assert own.text.startswith("textwrap.dedent: ")
    assert passages("xyzzy") == []
