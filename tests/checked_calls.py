"""The checks of every call of the course in tests, as jaxtyping makes them, but quicker.

For each call jaxtyping binds the arguments to their names, opens a scope for the sizes of axes, and
has beartype check the arguments twice. Most functions of the course name no axes. They are given to
beartype alone, and the others to beartype within such a scope. What is more than that is left to
jaxtyping: generators, and annotations that are texts or type variables.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, ForwardRef, Literal, ParamSpec, TypeVar, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

CHECKED = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
SCOPE = partial(jaxtyping.jaxtyped, "context")  # in which a name of an axis means one size
LEFT_TO_JAXTYPING = (str, ForwardRef, TypeVar, ParamSpec)


def quicker(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """Return what does the same as `jaxtyping.jaxtyped`."""

    @wraps(jaxtyped)
    def decorator(*decorated: Any, **options: Any) -> Any:
        if options.get("typechecker") is None:
            return jaxtyped(*decorated, **options)
        if not decorated:
            return partial(decorator, **options)
        (one,) = decorated
        found = _checked_class(one) if inspect.isclass(one) else _checked_function(one)
        return jaxtyped(one, **options) if found is None else found

    return decorator


def _checked_class(cls: type) -> type | None:
    """Check the calls that make a dataclass; return None where this is left to jaxtyping."""
    init = vars(cls).get("__init__")
    if not dataclasses.is_dataclass(cls) or not inspect.isfunction(init):
        return None
    if init.__globals__ is not globals():
        made = _checked_function(init)
        if made is None:
            return None
        cls.__init__ = made  # type: ignore[misc]
    return cls


def _checked_function(function: Any) -> Callable[..., Any] | None:
    """Return a function whose calls are checked; None where this is left to jaxtyping."""
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
        return None
    if not function.__annotations__:
        return function
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return None
    parts = [part for each in function.__annotations__.values() for part in _parts(each)]
    if any(isinstance(part, LEFT_TO_JAXTYPING) for part in parts):
        return None
    shapes = [part for part in parts if inspect.isclass(part) and issubclass(part, AbstractArray)]
    if any("{" in each.dim_str for each in shapes):  # the name of an argument
        return None
    return _with_axes(function) if shapes else _without_axes(function)


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and all that it is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        inner = annotation if isinstance(annotation, list) else get_args(annotation)
        for each in inner:
            yield from _parts(each)


def _without_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    inner = CHECKED(function)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return (function if jaxtyping.config.jaxtyping_disable else inner)(*args, **kwargs)

    return checked


def _with_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    inner = CHECKED(function)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        with SCOPE():
            return inner(*args, **kwargs)

    return checked


def install() -> None:
    """Have the modules of the course that are imported from now on checked in this way."""
    jaxtyping.jaxtyped = quicker(jaxtyping.jaxtyped)
