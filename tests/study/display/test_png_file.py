"""PNG files: Pillow reads the same pixels back, and its own files of drawings are no smaller."""

import io

import numpy as np
import pytest
from PIL import Image

from course_lib.study.display.plotting import new_figure, png_bytes
from course_lib.study.display.png_file import png_file


def noise(height, width, opacity):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = opacity
    return pixels


def read_back(data):
    image = Image.open(io.BytesIO(data))
    image.load()  # checks the sums of the chunks as well
    return image


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 2), (40, 300)])
def test_pillow_reads_the_same_colours(size):
    pixels = noise(*size, 255)
    found = read_back(png_file(pixels))
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), pixels[..., :3])


def test_opacity_is_kept_where_not_all_is_opaque():
    pixels = noise(4, 6, 255)
    pixels[2, 3, 3] = 0
    found = read_back(png_file(pixels))
    assert found.mode == "RGBA"
    assert np.array_equal(np.asarray(found), pixels)


def test_a_view_of_other_pixels_is_written_as_it_is_seen():
    pixels = noise(6, 8, 255)
    found = read_back(png_file(pixels[::2, ::-1]))
    assert np.array_equal(np.asarray(found), pixels[::2, ::-1, :3])


def test_one_white_pixel_by_hand():
    data = png_file(np.full((1, 1, 4), 255, dtype=np.uint8))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[8:29] == b"\x00\x00\x00\x0dIHDR" + b"\x00\x00\x00\x01" * 2 + b"\x08\x02\0\0\0"
    assert data[-12:] == b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"


def test_a_drawing_takes_no_more_bytes_than_in_pillows_file():
    figure, ax = new_figure(6, 3)
    ax.plot([0, 3, 1, 2], "o-", label="curve")
    ax.legend()
    ours = png_bytes(figure)
    theirs = io.BytesIO()
    read_back(ours).save(theirs, format="PNG")
    assert len(ours) < len(theirs.getvalue())
