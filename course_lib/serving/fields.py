"""The fields of a JSON body, each with a type and a range.

Taught in:        serving
Checked against:  bodies with one fault each
Shapes:           none
"""

from collections.abc import Mapping
from typing import Any

# Fields that are understood, with the only values for which nothing has to be done.
_NOT_DONE: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0, None), "frequency_penalty": (0, None), "logit_bias": ({}, None),
    "echo": (False, None), "best_of": (1, None), "suffix": ("", None), "store": (False, None),
}  # fmt: skip


class BadRequestError(Exception):
    """A request that cannot be answered, with the HTTP status and the field that is wrong."""

    def __init__(self, message: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.field, self.status = field, status


class Fields:
    """The body of a request; each getter checks a field and names it where it is wrong."""

    def __init__(self, body: Any, known: set[str]) -> None:
        if not isinstance(body, Mapping):
            raise BadRequestError(f"the body must be a JSON object; got {short(body)}.")
        unknown = sorted(set(body) - known)
        if unknown:
            raise BadRequestError(
                f"the field {unknown[0]!r} is not known here. Leave it out.", unknown[0]
            )
        self.body = body
        for name, values in _NOT_DONE.items():
            if body.get(name) not in values:
                raise BadRequestError(
                    f"{name} is not supported here; got {short(body[name])}. Leave it out.", name
                )

    def number(self, name: str, otherwise: Any, low: int | float, high: int | float) -> Any:
        """Return a number of this range, or `otherwise` if there is none."""
        value = self.body.get(name)
        if value is None:
            return otherwise
        if type(value) not in (int, float) or not low <= value <= high:
            raise BadRequestError(
                f"{name} is a number from {low:g} to {high:g}; got {short(value)}.", name
            )
        return value

    def integer(self, name: str, otherwise: Any, low: int, high: int) -> Any:
        """Return a whole number of this range, or `otherwise` if there is none."""
        value = self.number(name, otherwise, low, high)
        if value is not otherwise and type(value) is not int:
            raise BadRequestError(f"{name} is a whole number; got {short(value)}.", name)
        return value

    def flag(self, name: str) -> bool:
        """Return true or false, by default false."""
        value = self.body.get(name)
        if value not in (None, True, False) or type(value) in (int, float):
            raise BadRequestError(f"{name} is true or false; got {short(value)}.", name)
        return bool(value)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """Return an object, by default an empty one."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise BadRequestError(f"{name} is an object; got {short(value)}.", name)
        return value or {}


def short(value: Any) -> str:
    """Return how a value looks, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
