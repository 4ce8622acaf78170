"""The exercise on validation: what is wrong with the arguments of a call?"""

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "share": {"type": "number"},
        "now": {"type": "boolean"},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city", "days"],
}


def _fits(value, schema):
    if "enum" in schema:
        return value in schema["enum"]
    if isinstance(value, bool):
        return schema["type"] == "boolean"
    if isinstance(value, int):
        return schema["type"] in ("integer", "number")
    if isinstance(value, float):
        whole = value.is_integer()
        return schema["type"] == "number" or (schema["type"] == "integer" and whole)
    return isinstance(value, str) and schema["type"] == "string"


def _found(arguments, schema, fits=_fits, absent=lambda arguments, name: name not in arguments):
    known, found = schema["properties"], []
    found += [(name, "missing") for name in schema["required"] if absent(arguments, name)]
    for name, value in arguments.items():
        if name not in known:
            found.append((name, "unknown"))
        elif not fits(value, known[name]):
            found.append((name, "choice" if "enum" in known[name] else "type"))
    return sorted(found)


def _by_table(arguments, schema):
    classes = {"string": {str}, "integer": {int}, "number": {int, float}, "boolean": {bool}}
    known = schema["properties"]
    missing = {(name, "missing") for name in set(schema["required"]) - set(arguments)}
    unknown = {(name, "unknown") for name in set(arguments) - set(known)}
    wrong = set()
    for name in set(arguments) & set(known):
        value, wanted = arguments[name], known[name]
        if "enum" in wanted:
            if value not in wanted["enum"]:
                wrong.add((name, "choice"))
            continue
        whole = type(value) is float and value == int(value) and wanted["type"] == "integer"
        if type(value) not in classes[wanted["type"]] and not whole:
            wrong.add((name, "type"))
    return sorted(missing | unknown | wrong)


def _of_one(name, arguments, schema):
    if name not in arguments:
        return "missing" if name in schema["required"] else None
    if name not in schema["properties"]:
        return "unknown"
    wanted = schema["properties"][name]
    if _fits(arguments[name], wanted):
        return None
    return "choice" if "enum" in wanted else "type"


def _by_name(arguments, schema):
    names = sorted({*arguments, *schema["properties"]})
    kinds = [(name, _of_one(name, arguments, schema)) for name in names]
    return [pair for pair in kinds if pair[1]]


def _by_cases(arguments, schema):
    found = []
    for name in {*arguments, *schema["required"]}:
        match (name in arguments, name in schema["properties"]):
            case (False, _):
                found.append((name, "missing"))
            case (_, False):
                found.append((name, "unknown"))
            case _:
                kind = _of_one(name, arguments, schema)
                found += [(name, kind)] if kind else []
    return sorted(found)


def _bool_is_int(value, schema):
    if "enum" not in schema and schema["type"] in ("integer", "number") and value is not None:
        return _fits(int(value) if isinstance(value, bool) else value, schema)
    return _fits(value, schema)


def _no_whole_floats(value, schema):
    return _fits(value, schema) and not (
        isinstance(value, float) and schema.get("type") == "integer"
    )


def _no_ints(value, schema):
    return _fits(value, schema) and not (type(value) is int and schema.get("type") == "number")


def _converted(value, schema):
    if isinstance(value, str) and schema.get("type") in ("integer", "number"):
        return value.lstrip("-").isdigit()
    return _fits(value, schema)


def _unchecked_choice(value, schema):
    return True if "enum" in schema else _fits(value, schema)


def _mistake(name, explanation, **changes):
    return Misconception(
        name, lambda arguments, schema: _found(arguments, schema, **changes), explanation
    )


ARGUMENTS = Exercise(
    id="agents.arguments",
    title="Arguments against a schema",
    minutes=14,
    difficulty=2,
    statement=(
        "`arguments` is a dict of JSON values; `schema` has `properties` (each {'type': ...} with "
        "string, integer, number or boolean, or {'enum': [...]} with strings) and `required`, a "
        "list of some of their names. Return the problems as a sorted list of pairs (name, kind): "
        "'missing' for a required name that is not there, 'unknown' for a name that is not in "
        "properties, 'choice' for a value that is not in its enum, 'type' for a value of the wrong "
        "type. True and False are boolean only; 3.0 is an integer as well as a number; None (null) "
        "and lists are none of these types."
    ),
    solution=answers.named_problems,
    reference=_by_table,
    generator=generators.arguments,
    probes=(
        Probe(
            "all is well",
            lambda: call({"city": "Oslo", "days": 3, "share": 0.5, "unit": "C"}, SCHEMA),
            "Nothing to report: [].",
        ),
        Probe(
            "missing and unknown",
            lambda: call({"town": "Oslo", "days": 3}, SCHEMA),
            "Two problems at once.",
        ),
        Probe("nothing given", lambda: call({}, SCHEMA), "What is not required may be missing."),
        Probe(
            "a number in a string",
            lambda: call({"city": "Oslo", "days": "3"}, SCHEMA),
            "'3' is a string.",
        ),
        Probe(
            "truth values",
            lambda: call({"city": "Oslo", "days": True, "share": False, "now": True}, SCHEMA),
            "true is not a number in JSON.",
        ),
        Probe(
            "whole and half numbers",
            lambda: call({"city": "x", "days": 3.0, "share": 2}, SCHEMA),
            "3.0 is an integer, and 2 is a number.",
        ),
        Probe("a half day", lambda: call({"city": "x", "days": 1.5}, SCHEMA), "1.5 is not."),
        Probe(
            "null",
            lambda: call({"city": None, "days": 1, "now": 1}, SCHEMA),
            "null is there, but has none of the types; 1 is not a boolean.",
        ),
        Probe(
            "a choice",
            lambda: call({"city": "x", "days": 1, "unit": "K"}, SCHEMA),
            "K is not in the enum.",
        ),
        Probe(
            "everything at once",
            lambda: call({"zone": 1, "days": None, "unit": "c", "now": "no"}, SCHEMA),
            "All problems, sorted by name.",
        ),
    ),
    misconceptions=(
        _mistake(
            "true is 1",
            "isinstance(True, int) is true in Python. In JSON a boolean is not a number: check for "
            "bool first.",
            fits=_bool_is_int,
        ),
        _mistake(
            "3.0 is no integer",
            "In JSON Schema, 3.0 is an integer, written differently.",
            fits=_no_whole_floats,
        ),
        _mistake("2 is no number", "Every integer is a number, too.", fits=_no_ints),
        _mistake(
            "texts converted",
            "'3' is a string. If you convert it here, the tool still gets the string.",
            fits=_converted,
        ),
        _mistake(
            "choices not checked",
            "The value of an enum must be in its list.",
            fits=_unchecked_choice,
        ),
        _mistake(
            "null taken for missing",
            "A name with the value null is there. Its type is wrong.",
            absent=lambda arguments, name: arguments.get(name) is None,
        ),
        Misconception(
            "only the first problem",
            lambda arguments, schema: _found(arguments, schema)[:1],
            "Report all of them at once. Otherwise the model needs a turn for each.",
        ),
        Misconception(
            "unknown names ignored",
            lambda arguments, schema: [
                each for each in _found(arguments, schema) if each[1] != "unknown"
            ],
            "A name that the tool does not have would raise a TypeError in the call.",
        ),
        Misconception(
            "everything required",
            lambda arguments, schema: _found(
                arguments, {**schema, "required": list(schema["properties"])}
            ),
            "Only the names in `required` must be there.",
        ),
    ),
    alternatives=(
        Alternative("a table of classes", _by_table),
        Alternative("name by name", _by_name),
        Alternative("by cases", _by_cases),
    ),
    hints=(
        "Three steps: required names that are not in arguments; names that are not in properties; "
        "and the values of the others.",
        "Check isinstance(value, bool) before anything else. A float is an integer if "
        "value.is_integer().",
    ),
)
