"""A grammar of turns: plain words, or calls of the tools at hand with arguments that fit.

With this mask a model cannot write a call of a tool that does not exist, an argument that is no
JSON, or half a call. It can still write a wrong number: the grammar knows the form, not the world.

Taught in:        agents
Paper:            Willard and Louf 2023, arXiv:2307.09702
Checked against:  `parse_reply` and `argument_problems` on texts that the grammar allows
Shapes:           none
"""

from collections.abc import Sequence

from course_lib.agents.calls import CLOSE, OPEN
from course_lib.agents.schemas import Tool
from course_lib.serving import Grammar, schema_grammar
from course_lib.serving.json_grammar import Rules, literal, one_of


def turn_grammar(tools: Sequence[Tool], most_calls: int = 4) -> Grammar:
    """Return the grammar of a turn with these tools."""
    if not tools:
        raise ValueError("a grammar of calls needs at least one tool; got none.")
    calls = {"anyOf": [_call_schema(tool) for tool in tools]}
    inner = schema_grammar(calls)
    block = (*literal(f"{OPEN}\n"), inner.first, *literal(f"\n{CLOSE}"))
    rules: Rules = {name: list(each) for name, each in inner.rules.items()}
    rules["more calls 0"] = [()]
    for left in range(1, most_calls):
        rules[f"more calls {left}"] = [(), (*literal("\n"), *block, f"more calls {left - 1}")]
    rules["words"] = [(), ("word", "words")]
    rules["word"] = [(one_of((0x20, 0x3B), (0x3D, 0x7E), "\n"),), *inner.rules["character"][2:]]
    first = one_of((0x21, 0x3B), (0x3D, 0x7E))
    rules["turn"] = [(first, "words"), (*block, f"more calls {most_calls - 1}")]
    return Grammar(rules, "turn")


def _call_schema(tool: Tool) -> dict[str, object]:
    properties = {"name": {"const": tool.name}, "arguments": dict(tool.parameters)}
    return {"type": "object", "properties": properties, "required": ["name", "arguments"]}
