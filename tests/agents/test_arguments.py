"""Validation beside the package jsonschema."""

import re

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.agents import argument_problems, is_type

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "share": {"type": "number"},
        "now": {"type": "boolean"},
        "unit": {"enum": ["C", "F", 1]},
        "names": {"type": "array", "items": {"type": "string"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "more": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
VALUES = st.sampled_from(
    ["x", "C", 1, 1.0, 1.5, True, False, None, [], ["x"], [1], {}, {"x": 1}]
) | st.text(max_size=2)
NAMES = st.sampled_from([*SCHEMA["properties"], "other"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, VALUES))
def test_the_same_verdict_as_jsonschema(arguments):
    found = argument_problems(arguments, SCHEMA)
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(arguments))
    assert bool(found) == bool(errors)
    wrong = {str(error.path[0]) for error in errors if error.path}
    inside = {re.split(r"[.\[]", each.path)[0] for each in found if each.kind in ("type", "choice")}
    inside |= {each.path.split(".")[0] for each in found if "." in each.path}
    assert wrong == inside


def test_each_problem_is_reported_with_its_path():
    found = argument_problems(
        {"days": "3", "names": ["a", 2], "other": 1, "unit": "K", "more": {}}, SCHEMA
    )
    assert {(each.path, each.kind) for each in found} == {
        ("city", "missing"),
        ("days", "type"),
        ("names[1]", "type"),
        ("other", "unknown"),
        ("unit", "choice"),
        ("more.x", "missing"),
    }
    assert "integer" in next(each.message for each in found if each.path == "days")


def test_a_type_must_be_known():
    with pytest.raises(ValueError, match="'date'"):
        is_type(1, "date")
