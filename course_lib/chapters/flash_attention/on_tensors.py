"""Run a function that is written in Triton on tensors, without importing Triton until it is called.

Taught in:        flash_attention
Checked against:  `course_lib.chapters.flash_attention.leg_program`
Shapes:           those of `leg_program.run_leg`
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any


def on_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a leg of the forward kernel as a function on tensors, with the same arguments."""
    function = inspect.unwrap(function)  # it may have been adapted before
    signature = inspect.signature(function)

    @functools.cache
    def program() -> Any:
        from course_lib.chapters.flash_attention.leg_program import program_of

        return program_of(function)

    @functools.wraps(function)
    def leg(*args: Any, **kwargs: Any) -> Any:
        from course_lib.chapters.flash_attention.leg_program import run_leg

        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        return run_leg(program(), *given.args)

    return leg
