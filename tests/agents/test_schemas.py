"""Schemas from signatures, beside pydantic's and a validator's."""

from typing import Literal

import jsonschema
import pytest
from pydantic import TypeAdapter

from course_lib.agents import make_tool, tool_schema


def forecast(city: str, days: int = 3, unit: Literal["C", "F"] = "C") -> str:
    """Return the weather
    of the next days.

    Not for sailors.
    """
    return f"{city} {days} {unit}"


def everything(
    a: str,
    b: int,
    c: float,
    d: bool,
    e: list[int],
    f: dict,
    g: str | None,
    *,
    h: list[str] = [],  # noqa: B006
) -> None:
    """Take all kinds."""


def test_by_hand():
    assert tool_schema(forecast) == {
        "name": "forecast",
        "description": "Return the weather of the next days.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "default": 3},
                "unit": {"enum": ["C", "F"], "default": "C"},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


@pytest.mark.parametrize("kind", [str, int, float, bool, list[int], str | None, list[list[str]]])
def test_types_are_described_as_pydantic_does(kind):
    def tool(x):
        """Take x."""

    tool.__annotations__["x"] = kind
    ours = tool_schema(tool)["parameters"]["properties"]["x"]
    assert ours == TypeAdapter(kind).json_schema()


def test_the_schema_is_one():
    schema = tool_schema(everything)["parameters"]
    jsonschema.Draft202012Validator.check_schema(schema)
    good = {"a": "x", "b": 1, "c": 1.5, "d": True, "e": [1], "f": {}, "g": None}
    jsonschema.validate(good, schema)
    for name, wrong in (("b", 1.5), ("d", 1), ("e", ["x"]), ("g", 3)):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, name: wrong}, schema)


def test_annotations_may_be_texts():
    def tool(x: "int") -> str:
        return str(x)

    assert tool_schema(tool)["parameters"]["properties"]["x"] == {"type": "integer"}


def without_a_type(x):
    """Take x."""


def of_bytes(x: bytes) -> str:
    """Take bytes."""
    return ""


def test_errors_name_the_parameter():
    with pytest.raises(ValueError, match="'x' of without_a_type"):
        tool_schema(without_a_type)
    with pytest.raises(ValueError, match=r"\*args"):
        tool_schema(lambda *args: 0)
    with pytest.raises(ValueError, match=r"'x'.*bytes"):
        tool_schema(of_bytes)


def test_a_tool_is_described_for_an_api():
    described = make_tool(forecast).described()
    assert described["type"] == "function"
    assert described["function"]["name"] == "forecast"
