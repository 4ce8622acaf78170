"""Tool schemas: what a model is told about a function, made from the function itself.

    def forecast(city: str, days: int = 3) -> str:
        "Return the weather of the next days."

    {"name": "forecast", "description": "Return the weather of the next days.",
     "parameters": {"type": "object",
                    "properties": {"city": {"type": "string"},
                                   "days": {"type": "integer", "default": 3}},
                    "required": ["city"], "additionalProperties": false}}

The signature is the only place where the arguments are described, so schema and code cannot
disagree. A parameter without an annotation raises an error: a model would have to guess.

Taught in:        agents
Paper:            JSON Schema, draft 2020-12
Checked against:  pydantic's schemas of the same signatures
Shapes:           none
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

SIMPLE: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class Tool:
    """A function that a model may call, and what has to be known to let it."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # a JSON Schema of the arguments
    function: Callable[..., Any]
    effect: bool = False  # whether it changes or sends something
    untrusted: bool = False  # whether strangers can write into its results
    isolated: bool = True  # whether it runs in a process of its own
    foreign: bool = False  # whether strangers have written its description

    def described(self) -> dict[str, Any]:
        """Return the description as OpenAI's API and chat templates have it."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}


def tool_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the name, the description and the schema of the arguments of a function."""
    hints = get_type_hints(function)
    properties: dict[str, Any] = {}
    required = []
    for parameter in inspect.signature(function).parameters.values():
        _check_parameter(function, parameter, hints)
        properties[parameter.name] = type_schema(hints[parameter.name], parameter.name)
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
        else:
            properties[parameter.name]["default"] = parameter.default
    return {
        "name": function.__name__,
        "description": first_paragraph(function),
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
    }


def make_tool(
    function: Callable[..., Any],
    *,
    effect: bool = False,
    untrusted: bool = False,
    isolated: bool = True,
) -> Tool:
    """Return a function as a tool, described by its own signature."""
    return Tool(
        **tool_schema(function),
        function=function,
        effect=effect,
        untrusted=untrusted,
        isolated=isolated,
    )


def first_paragraph(function: Callable[..., Any]) -> str:
    """Return the docstring up to its first empty line, as one line."""
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())


def type_schema(kind: Any, name: str) -> dict[str, Any]:
    """Return the schema of an annotation: the simple types, lists, dicts, Literal and X | None."""
    if kind in SIMPLE:
        return {"type": SIMPLE[kind]}
    if kind is type(None):
        return {"type": "null"}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (list, typing.Sequence) and inner:
        return {"type": "array", "items": type_schema(inner[0], name)}
    if kind is dict or origin is dict:
        return {"type": "object"}
    if origin in (Union, types.UnionType):
        return {"anyOf": [type_schema(each, name) for each in inner]}
    raise ValueError(
        f"the type of {name!r} must be str, int, float, bool, list[...], dict, Literal[...] or a "
        f"union of these; got {kind!r}. A model can only write JSON."
    )


def _check_parameter(
    function: Callable[..., Any], parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> None:
    where = f"{parameter.name!r} of {function.__name__}"
    if parameter.kind not in NAMED:
        raise ValueError(
            f"arguments of a tool are passed by name; got {parameter}, {where}. Name each one."
        )
    if parameter.name not in hints:
        raise ValueError(
            f"each argument of a tool needs a type, from which its schema is made; got none for "
            f"{where}. Annotate it, as in `{parameter.name}: str`."
        )
