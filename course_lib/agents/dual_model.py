"""Two models: one that may act and never reads a stranger's text, one that reads it and never acts.

    planner      sees the task, the tools, and symbols such as $1 in place of what was read
    quarantined  sees a stranger's text and one question about it; its answer becomes a symbol, too

The planner passes symbols on, and the program puts the values in at the last moment, when it calls
the tool. An order in a web page reaches only the model that cannot act. What remains is the value
itself: a forged address is still a forged address.

Taught in:        agents
Paper:            Willison 2023, "The dual LLM pattern"; Debenedetti et al. 2025, arXiv:2503.18813
Checked against:  the planted attacks of `attacks`
Shapes:           none
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from course_lib.agents.schemas import Tool, make_tool

Read = Callable[[str, str], str]  # the quarantined model: a text and a question; its answer
_SYMBOL = re.compile(r"\$\d+")


class Quarantine:
    """Keeps what strangers have written, and gives out symbols for it."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.values: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """Keep a text; return its symbol."""
        symbol = f"${len(self.values) + 1}"
        self.values[symbol] = text
        return symbol

    def reveal(self, text: str) -> str:
        """Return a text with its symbols replaced by what they stand for, once."""
        return _SYMBOL.sub(lambda found: self.values.get(found[0], found[0]), text)

    def tools(self, tools: Sequence[Tool]) -> list[Tool]:
        """Return the tools for the planner: results hidden, symbols put in, and `extract`."""
        return [*map(self._wrapped, tools), make_tool(self._extract(), isolated=False)]

    def _wrapped(self, tool: Tool) -> Tool:
        def run(**arguments: Any) -> str:
            result = tool.function(**{name: self._put_in(v) for name, v in arguments.items()})
            return self.hide(str(result)) if tool.untrusted else str(result)

        return replace(tool, function=run, untrusted=False, isolated=False)

    def _put_in(self, value: Any) -> Any:
        return self.reveal(value) if isinstance(value, str) else value

    def _extract(self) -> Callable[..., str]:
        def extract(symbol: str, question: str) -> str:
            """Let another model answer a question about a hidden text; get a symbol for it."""
            if symbol not in self.values:
                raise ValueError(f"a symbol must be one of {list(self.values)}; got {symbol!r}.")
            return self.hide(self.read(self.values[symbol], question))

        return extract
