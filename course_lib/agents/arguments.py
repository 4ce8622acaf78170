"""Validation: do the arguments that a model wrote meet the schema of the tool?

Every problem is reported at once, with the path to the value, in words that a model can act on. The
rules are those of JSON Schema: `true` is no number, 3.0 is an integer.

Taught in:        agents
Paper:            JSON Schema, draft 2020-12
Checked against:  the package `jsonschema`
Shapes:           none
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list, tuple),
    "object": (dict, Mapping),
}


class Problem(NamedTuple):
    """What is wrong with one value."""

    path: str  # such as "days" or "cities[2]"
    kind: str  # missing, unknown, type or choice
    message: str


def argument_problems(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Problem]:
    """Return all that is wrong with the arguments; nothing if they are as they should be."""
    return list(_object(arguments, schema, ""))


def is_type(value: Any, kind: str) -> bool:
    """Return whether a value of Python has a type of JSON Schema."""
    if kind not in TYPES:
        raise ValueError(f"a type must be one of {', '.join(TYPES)}; got {kind!r}.")
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind])


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[Problem]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            where = _inside(path, name)
            yield Problem(where, "missing", f"{where} is missing.")
    for name, each in value.items():
        where = _inside(path, str(name))
        if name in properties:
            yield from _value(each, properties[name], where)
        elif schema.get("additionalProperties", True) is False:
            known = ", ".join(properties) or "none"
            yield Problem(where, "unknown", f"{where} is no argument; there are: {known}.")


def _value(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if "anyOf" in schema:
        choices = [list(_value(value, each, path)) for each in schema["anyOf"]]
        if all(choices):
            yield min(choices, key=len)[0]
        return
    if "enum" in schema and not any(_equal(value, each) for each in schema["enum"]):
        yield Problem(path, "choice", f"{path} must be one of {schema['enum']}; got {value!r}.")
    kind = schema.get("type")
    if kind is None:
        return
    if not is_type(value, kind):
        shown = repr(value)[:40]
        yield Problem(path, "type", f"{path} must have the type {kind}; got {shown}.")
    elif kind == "array":
        for place, each in enumerate(value):
            yield from _value(each, schema.get("items", {}), f"{path}[{place}]")
    elif kind == "object":
        yield from _object(value, schema, path)


def _equal(a: Any, b: Any) -> bool:
    """Return whether two values are the same in JSON, where true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
