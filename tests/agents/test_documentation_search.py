"""The word search, and the tool around any search."""

from course_lib.agents import run_tool, search_tool, word_search
from course_lib.agents.mcp_command import passages


def test_passages_are_found():
    assert word_search("remove common leading whitespace", 1)[0][0] == "textwrap.dedent"
    assert word_search("dedent", 1)[0][0] == "textwrap.dedent"
    assert len(word_search("the greatest common divisor of numbers", 2)) == 2
    assert word_search("xyzzy") == []


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


def test_the_served_search_reads_the_pages_of_the_documentation():
    found = passages("recursively copy a directory tree", 3)
    assert "shutil.copytree" in [page for page, _ in found]
    assert all("\n" not in text for _, text in found)
