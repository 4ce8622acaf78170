"""From a JSON Schema to a grammar: which texts are JSON of the wanted form.

Texts are written without line breaks, with at most one space after a colon or comma. Properties
come in the order of the schema, and only those that it lists. A keyword that is not understood
raises an error: ignoring it would let wrong texts pass as right ones.

    type (object, array, string, integer, number, boolean, null), properties, required,
    additionalProperties, items, minItems, maxItems, minLength, maxLength, enum, const, anyOf, $ref

Taught in:        serving
Paper:            JSON, RFC 8259; JSON Schema, draft 2020-12
Checked against:  Python's json module, jsonschema
Shapes:           none
"""

import json
from collections.abc import Mapping
from typing import Any

from course_lib.serving.json_grammar import Grammar, Rules, Stack, literal, one_of

_DIGIT, _FIRST_DIGIT = one_of("0123456789"), one_of("123456789")
_MORE = one_of((0x80, 0xBF))  # a byte that continues a character of UTF-8
_CHARACTER: list[Stack] = [
    (one_of((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E)),),
    (*literal("\\"), one_of('"\\/bfnrt')),
    (one_of((0xC2, 0xDF)), _MORE),
    (one_of((0xE0, 0xE0)), one_of((0xA0, 0xBF)), _MORE),
    (one_of((0xE1, 0xEC), (0xEE, 0xEF)), _MORE, _MORE),
    (one_of((0xED, 0xED)), one_of((0x80, 0x9F)), _MORE),
    (one_of((0xF0, 0xF0)), one_of((0x90, 0xBF)), _MORE, _MORE),
    (one_of((0xF1, 0xF3)), _MORE, _MORE, _MORE),
    (one_of((0xF4, 0xF4)), one_of((0x80, 0x8F)), _MORE, _MORE),
]
_ANYTHING: Rules = {
    "space": [(), literal(" ")],
    "comma": [(*literal(","), "space")],
    "colon": [(*literal(":"), "space")],
    "character": _CHARACTER,
    "characters": [(), ("character", "characters")],
    "string": [(*literal('"'), "characters", *literal('"'))],
    "digits": [(), (_DIGIT, "digits")],
    "whole": [literal("0"), (_FIRST_DIGIT, "digits")],
    "integer": [("whole",), (*literal("-"), "whole")],
    "fraction": [(), (*literal("."), _DIGIT, "digits")],
    "exponent": [(), (one_of("eE"), "sign", _DIGIT, "digits")],
    "sign": [(), (one_of("+-"),)],
    "number": [("integer", "fraction", "exponent")],
    "boolean": [literal("true"), literal("false")],
    "null": [literal("null")],
    "value": [(name,) for name in ("object", "array", "string", "number", "boolean", "null")],
    "object": [literal("{}"), (*literal("{"), "member", "members", *literal("}"))],
    "member": [("string", "colon", "value")],
    "members": [(), ("comma", "member", "members")],
    "array": [literal("[]"), (*literal("["), "value", "values", *literal("]"))],
    "values": [(), ("comma", "value", "values")],
}
_SILENT = {"title", "description", "$schema", "$defs", "definitions", "default", "examples", "$id"}
_KEYWORDS = {  # of each type
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "integer": set(),
    "number": set(),
    "boolean": set(),
    "null": set(),
}
_LONGEST = 1_000  # of a counted array or string: each place is a rule of its own


def any_object() -> Grammar:
    """Return the grammar of all JSON objects."""
    return Grammar(_ANYTHING, "object")


def schema_grammar(schema: Mapping[str, Any]) -> Grammar:
    """Return the grammar of the JSON texts that meet this schema."""
    compiler = _Compiler(schema)
    return Grammar(compiler.rules, compiler.rule(schema, "the schema"))


class _Compiler:
    """Collects the rules of one schema; `where` names the part of it, for messages."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.rules: Rules = dict(_ANYTHING)
        self.references: dict[str, str] = {}

    def new(self, *alternatives: Stack) -> str:
        name = f"rule {len(self.rules)}"
        self.rules[name] = list(alternatives)
        return name

    def rule(self, schema: Any, where: str) -> str:
        """Return the name of the rule for this part of the schema."""
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, Mapping):
            raise ValueError(f"a schema is an object; got {schema!r} as {where}.")
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if "enum" in schema or "const" in schema:
            return self._constants(schema, where)
        if "anyOf" in schema:
            self._only(schema, {"anyOf"}, where)
            choices = _list(schema, "anyOf", where)
            return self.new(*((self.rule(each, f"anyOf of {where}"),) for each in choices))
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list) and kind:
            return self.new(*((self.rule({**schema, "type": k}, where),) for k in kind))
        if not isinstance(kind, str) or kind not in _KEYWORDS:
            raise ValueError(
                f"type must be one of {', '.join(_KEYWORDS)}; got {kind!r} in {where}."
            )
        self._only(schema, {"type", *_KEYWORDS[kind]}, where)
        build = {"object": self._object, "array": self._array, "string": self._string}.get(kind)
        return build(schema, where) if build else kind

    def _only(self, schema: Mapping[str, Any], known: set[str], where: str) -> None:
        unknown = sorted(set(schema) - known - _SILENT)
        if unknown:
            raise ValueError(
                f"the keyword {unknown[0]!r} is not supported in {where}, which has "
                f"{sorted(set(schema) & known)}. Leave it out, and check the answer yourself."
            )

    def _reference(self, path: Any) -> str:
        if path not in self.references:
            target: Any = self.schema
            for part in str(path).removeprefix("#").strip("/").split("/"):
                if part and (not isinstance(target, Mapping) or part not in target):
                    raise ValueError(f"$ref must lead to a part of the schema; got {path!r}.")
                target = target[part] if part else target
            self.references[path] = self.new()  # known before its content, which may refer to it
            self.rules[self.references[path]].append((self.rule(target, str(path)),))
        return self.references[path]

    def _constants(self, schema: Mapping[str, Any], where: str) -> str:
        self._only(schema, {"enum", "const", "type"}, where)
        values = [schema["const"]] if "const" in schema else _list(schema, "enum", where)
        return self.new(*(literal(json.dumps(value, ensure_ascii=False)) for value in values))

    def _string(self, schema: Mapping[str, Any], where: str) -> str:
        least, most = _bounds(schema, "minLength", "maxLength", where)
        rest = "characters" if most is None else self.new(())
        for place in range(most or least, 0, -1):
            longer: Stack = ("character", rest)
            rest = self.new(longer) if place <= least else self.new((), longer)
        return self.new((*literal('"'), rest, *literal('"')))

    def _array(self, schema: Mapping[str, Any], where: str) -> str:
        least, most = _bounds(schema, "minItems", "maxItems", where)
        item = self.rule(schema.get("items", True), f"items of {where}")
        rest = self.new(())
        if most is None:
            self.rules[rest].append(("comma", item, rest))
        for place in range(most or max(least, 1), 1, -1):
            longer: Stack = ("comma", item, rest)
            rest = self.new(longer) if place <= least else self.new((), longer)
        full: Stack = (*literal("["), item, rest, *literal("]"))
        choices = [literal("[]")] if least == 0 else []
        return self.new(*choices, *([] if most == 0 else [full]))

    def _object(self, schema: Mapping[str, Any], where: str) -> str:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        unknown = sorted(set(required) - set(properties))
        if unknown:
            raise ValueError(
                f"each required property needs an entry in properties; {unknown[0]!r} of {where} "
                f"has none, so no text can meet it. There are: {', '.join(properties) or 'none'}."
            )
        others = schema.get("additionalProperties", True)
        if not properties and others is not False:
            return self._map(others, where)
        # Two rules for what follows each property: with and without one before it.
        first = later = self.new(literal("}"))
        for name, part in reversed(properties.items()):
            value = self.rule(part, f"{name!r} of {where}")
            member: Stack = (*literal(json.dumps(name, ensure_ascii=False)), "colon", value, later)
            skip_first, skip_later = ([], []) if name in required else ([(first,)], [(later,)])
            first = self.new(member, *skip_first)
            later = self.new(("comma", *member), *skip_later)
        return self.new((*literal("{"), first))

    def _map(self, value: Any, where: str) -> str:
        member: Stack = ("string", "colon", self.rule(value, f"additionalProperties of {where}"))
        more = self.new(())
        self.rules[more].append(("comma", *member, more))
        return self.new(literal("{}"), (*literal("{"), *member, more, *literal("}")))


def _list(schema: Mapping[str, Any], name: str, where: str) -> list[Any]:
    values = schema[name]
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name} must list at least one choice; got {values!r} in {where}.")
    return values


def _bounds(schema: Mapping[str, Any], low: str, high: str, where: str) -> tuple[int, int | None]:
    least, most = schema.get(low, 0), schema.get(high)
    for name, bound in ((low, least), (high, most)):
        if bound is not None and (type(bound) is not int or not 0 <= bound <= _LONGEST):
            raise ValueError(f"{name} is a number from 0 to {_LONGEST}; got {bound!r} in {where}.")
    if most is not None and least > most:
        raise ValueError(f"no text meets {where}: {low} {least} is more than {high} {most}.")
    return least, most
