"""Tools that behave badly, and a place for logs."""

import pytest

from course_lib.agents import Limits


@pytest.fixture
def quick():
    """Limits that end a bad tool soon, on a busy machine too."""
    return Limits(seconds=8.0, characters=2_000)
