"""The exercise on schemas: what a model is told about a function."""

import inspect
import typing

from course_lib import agents
from course_lib.chapters.agents.exercises import generators
from course_lib.chapters.agents.exercises.generators import made_function
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _kind(kind):
    items = typing.get_args(kind)
    return {"type": "array", "items": _kind(items[0])} if items else {"type": NAMES[kind]}


def _about(function):
    doc = inspect.getdoc(function) or ""
    return " ".join(doc.split("\n\n")[0].split())


def _whole(function, properties, required):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return {
        "name": function.__name__,
        "description": _about(function),
        "parameters": parameters,
    }


def _by_spec(function):
    spec = inspect.getfullargspec(function)
    defaults = dict(zip(spec.args[::-1], (spec.defaults or ())[::-1], strict=False))
    properties = {}
    for name in spec.args:
        properties[name] = _kind(spec.annotations[name])
        if name in defaults:
            properties[name]["default"] = defaults[name]
    return _whole(function, properties, [name for name in spec.args if name not in defaults])


def _by_signature(function):
    properties, required = {}, []
    for name, parameter in inspect.signature(function).parameters.items():
        properties[name] = _kind(parameter.annotation)
        if parameter.default is parameter.empty:
            required.append(name)
        else:
            properties[name] |= {"default": parameter.default}
    return _whole(function, properties, required)


def _by_code(function):
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    first = len(names) - len(defaults)
    properties = {name: _kind(function.__annotations__[name]) for name in names}
    for name, value in zip(names[first:], defaults, strict=True):
        properties[name]["default"] = value
    return _whole(function, properties, list(names[:first]))


def _by_hints(function):
    hints = typing.get_type_hints(function)
    del hints["return"]
    bound = inspect.signature(function)
    given = {n: p.default for n, p in bound.parameters.items() if p.default is not p.empty}
    properties = {
        name: {**_kind(kind), **({"default": given[name]} if name in given else {})}
        for name, kind in hints.items()
    }
    return _whole(function, properties, [name for name in hints if name not in given])


def _changed(function, change):
    found = _by_spec(function)
    change(found, found["parameters"], function)
    return found


def _all_required(found, parameters, function):
    parameters["required"] = list(parameters["properties"])


def _optional_required(found, parameters, function):
    every = parameters["properties"]
    parameters["required"] = [name for name in every if name not in parameters["required"]]


def _truthy(found, parameters, function):
    for name, each in parameters["properties"].items():
        if "default" in each and not each["default"]:
            del each["default"]
            parameters["required"].append(name)


def _none_is_no_default(found, parameters, function):
    for name, each in parameters["properties"].items():
        if "default" in each and each["default"] is None:
            del each["default"]
            parameters["required"].append(name)


def _with_return(found, parameters, function):
    parameters["properties"]["return"] = {"type": "string"}


def _python_names(found, parameters, function):
    back = {word: kind.__name__ for kind, word in NAMES.items()} | {"array": "list"}
    for each in parameters["properties"].values():
        each["type"] = back[each["type"]]


def _no_items(found, parameters, function):
    for each in parameters["properties"].values():
        each.pop("items", None)


def _bool_is_int(found, parameters, function):
    for each in parameters["properties"].values():
        if each["type"] == "boolean":
            each["type"] = "integer"


def _whole_docstring(found, parameters, function):
    found["description"] = inspect.getdoc(function) or ""


def _no_default(found, parameters, function):
    for each in parameters["properties"].values():
        each.pop("default", None)


def _mistake(name, change, explanation):
    return Misconception(name, lambda function: _changed(function, change), explanation)


SCHEMA = Exercise(
    id="agents.schema",
    title="A schema from a signature",
    minutes=12,
    difficulty=2,
    statement=(
        "Each parameter of `function` has a name, an annotation (str, int, float, bool, or a list "
        "of one of these, such as list[int]) and perhaps a default. Return a dict with the name of "
        "the function, its description (the docstring up to the first empty line, on one line with "
        "single spaces; '' without one) and its parameters, in the form given in the notebook."
    ),
    solution=agents.tool_schema,
    reference=_by_spec,
    generator=generators.schema,
    probes=(
        Probe(
            "two parameters",
            lambda: call(made_function("look", "city: str, days: int", "Look.")),
            "Both are required, in the order of the signature.",
        ),
        Probe(
            "a default",
            lambda: call(made_function("look", "city: str, days: int = 3", "Look.")),
            "A parameter with a default is not required, and the schema says the default.",
        ),
        Probe(
            "a default that is false",
            lambda: call(made_function("f", "a: int = 0, b: str = '', c: bool = False", "F.")),
            "0, '' and False are defaults like any other.",
        ),
        Probe(
            "a default of None",
            lambda: call(made_function("f", "a: int, b: str = None", "F.")),
            "None is a default, too.",
        ),
        Probe(
            "all types",
            lambda: call(made_function("f", "a: float, b: bool, c: list[str]", "F.")),
            "JSON's words for Python's types; a list says what is in it.",
        ),
        Probe(
            "a long docstring",
            lambda: call(made_function("f", "", "Look\n    closely.\n\n    Never mind how.")),
            "Only the first paragraph, in one line.",
        ),
        Probe("no docstring", lambda: call(made_function("f", "a: int", None)), "Then it is ''."),
    ),
    misconceptions=(
        _mistake(
            "everything required",
            _all_required,
            "A parameter with a default may be left out, so it is not in `required`.",
        ),
        _mistake(
            "the others required",
            _optional_required,
            "You list the parameters that have a default. Required are those without one.",
        ),
        _mistake(
            "a false default",
            _truthy,
            "You check whether the default is truthy. 0, '' and False are defaults; compare with "
            "inspect.Parameter.empty.",
        ),
        _mistake(
            "a default of None overlooked",
            _none_is_no_default,
            "None may be a default. Compare with inspect.Parameter.empty, which means that there "
            "is none.",
        ),
        _mistake(
            "the return value as a parameter",
            _with_return,
            "The annotations of a function also hold its return type, under 'return'. Go through "
            "inspect.signature(function).parameters.",
        ),
        _mistake(
            "Python's names",
            _python_names,
            "JSON Schema says string, integer, number, boolean and array.",
        ),
        _mistake(
            "a list of anything",
            _no_items,
            "Say what is in the list: {'type': 'array', 'items': {'type': 'integer'}}.",
        ),
        _mistake(
            "bool as integer",
            _bool_is_int,
            "bool is a subclass of int in Python, but JSON Schema has a separate type: boolean.",
        ),
        _mistake(
            "the whole docstring",
            _whole_docstring,
            "Everything costs tokens in every prompt. Take the first paragraph, as one line.",
        ),
        _mistake(
            "the default left out",
            _no_default,
            "The model should know what happens if it leaves an argument out: add 'default'.",
        ),
    ),
    alternatives=(
        Alternative("the signature", _by_signature),
        Alternative("the code object", _by_code),
        Alternative("type hints", _by_hints),
    ),
    hints=(
        "inspect.signature(function).parameters gives each parameter with its annotation and its "
        "default; without one, the default is inspect.Parameter.empty.",
        "typing.get_args(list[int]) is (int,), and typing.get_args(int) is ().",
        "' '.join((inspect.getdoc(function) or '').partition('\\n\\n')[0].split())",
    ),
)
