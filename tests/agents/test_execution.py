"""Tools in processes of their own: whatever they do, there is a short result in time."""

import os
import time

import pytest

from course_lib.agents import Limits, calculator, make_tool, run_tool
from tests.agents import bad_tools


def result(function, limits, **arguments):
    return run_tool(make_tool(function), arguments, limits)


def test_results_come_back(quick):
    found = result(bad_tools.returns_a_dict, quick, name="é")
    assert (found.status, found.text) == ("ok", '{"name": "é", "count": 2}')
    assert found.seen == found.text
    assert result(calculator, quick, expression="2**10").text == "1024"


def test_a_tool_that_raises(quick):
    found = result(bad_tools.raises, quick, text="gone")
    assert (found.status, found.text) == ("error", "KeyError: 'gone'")
    assert found.seen == "error: KeyError: 'gone'"
    assert result(bad_tools.leaves, quick).text == "SystemExit: 3"


def test_a_tool_that_hangs_is_stopped():
    began = time.monotonic()
    found = result(bad_tools.hangs, Limits(seconds=1.5))
    assert found.status == "timeout"
    assert "1.5 seconds" in found.text
    assert time.monotonic() - began < 15


def test_what_a_stopped_tool_has_started_is_stopped(tmp_path):
    late = tmp_path / "late"
    found = result(bad_tools.starts_a_child, Limits(seconds=1.5), path=str(late))
    assert found.status == "timeout"
    time.sleep(3)
    assert not late.exists()


@pytest.mark.parametrize("function", [bad_tools.prints_much, bad_tools.returns_much])
def test_ten_megabytes(function, quick):
    amount = 10 if function is bad_tools.prints_much else 10 * 2**20
    found = run_tool(make_tool(function), {next(iter(function.__annotations__)): amount}, quick)
    assert found.status == "too long"
    assert len(found.text) < 200


def test_a_result_that_is_a_little_too_long_is_cut(quick):
    found = result(bad_tools.returns_much, quick, characters=2_500)
    assert found.status == "ok"
    assert found.text.startswith("y" * 2_000)
    assert "cut after 2000" in found.text


@pytest.mark.parametrize("function", [bad_tools.returns_a_set, bad_tools.returns_nan])
def test_a_result_that_is_no_json(function, quick):
    tool = make_tool(function)
    assert run_tool(tool, {}, quick).status == "invalid"
    here = make_tool(function, isolated=False)
    assert run_tool(here, {}, quick).status == "invalid"


def test_a_process_that_dies(quick):
    found = result(bad_tools.dies, quick)
    assert found.status == "error"
    assert "exit status 7" in found.text


def test_no_secrets_in_the_environment(quick, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "secret")
    assert "MY_API_KEY" not in result(bad_tools.environment, quick).text


@pytest.mark.skipif(os.name != "posix", reason="memory is limited on POSIX only")
def test_memory_is_limited():
    limits = Limits(seconds=20, memory=400 * 2**20)
    assert "MemoryError" in result(bad_tools.allocates, limits, megabytes=2_000).text
    assert result(bad_tools.allocates, limits, megabytes=10).status == "ok"


def test_a_tool_of_a_cell_is_sent_as_its_source(quick, tmp_path, monkeypatch):
    text = "def twice(x: int) -> int:\n    import math\n    return math.prod((2, x))\n"
    import linecache

    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(True), "<cell 1>")
    names = {"__name__": "__main__"}
    exec(compile(text, "<cell 1>", "exec"), names)
    assert result(names["twice"], quick, x=21).text == "42"


def test_an_inner_function_is_rejected_by_name():
    def inner() -> str:
        return ""

    with pytest.raises(ValueError, match="inner"):
        run_tool(make_tool(inner), {})
    assert run_tool(make_tool(inner, isolated=False), {}).status == "ok"


def test_a_tool_here_may_raise():
    def inner() -> str:
        raise OSError("down")

    found = run_tool(make_tool(inner, isolated=False), {})
    assert (found.status, found.text) == ("error", "OSError: down")
