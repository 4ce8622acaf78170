"""The README's picture moves, is small, and shows the explorer that it says it shows."""

import numpy as np
import pytest
from PIL import Image

from course_lib.authoring.edition.frames import Stops, stops
from course_lib.authoring.moving_picture import FILE, MOVED, frame, walk
from course_lib.chapters.softmax.explorers import temperature


def slider(count: int, start: int) -> Stops:
    values = tuple(range(count))
    return Stops("x", "x", "range", values, tuple(map(str, values)), start)


@pytest.mark.parametrize("start", [0, 2, 4])
def test_the_slider_passes_every_stop_one_by_one_and_comes_back(start):
    places = walk(slider(5, start))
    assert set(places) == set(range(5))
    assert all(abs(a - b) == 1 for a, b in zip(places, [*places[1:], places[0]], strict=True))
    assert places[0] == start


def test_the_stored_picture_is_the_explorer_at_every_stop():
    explorer = temperature()
    control = stops(MOVED, explorer.controls[MOVED])
    places = walk(control)
    assert FILE.stat().st_size <= 1_000_000
    with Image.open(FILE) as stored:
        assert stored.n_frames == len(places)
        assert stored.info["loop"] == 0
        for number in (0, places.index(0)):
            stored.seek(number)
            there = np.asarray(stored.convert("RGB"), dtype=float)
            drawn = np.asarray(frame(explorer, control, places[number]), dtype=float)
            assert np.abs(there - drawn).mean() < 2, "draw it anew: see CONTRIBUTING.md"
            far = 0 if places[number] else len(control.values) - 1
            other = np.asarray(frame(explorer, control, far), dtype=float)
            assert np.abs(there - other).mean() > 4, "another stop looks different"
