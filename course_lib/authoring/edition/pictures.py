"""A picture on a page: as wide as in the house style, narrower where there is less room.

A phone shows it at two thirds of its size at least, in a box that scrolls: smaller, its labels
could not be read. The size is known before the picture is drawn, so nothing moves when it appears.

Taught in:        none
Checked against:  a real browser as narrow as a phone
"""

import base64
import html
import struct

DISPLAY_DPI = 96 / 110  # an SVG of the house style is drawn at 96 dots per inch, a PNG at 110


def picture_html(png: str, said: str) -> str:
    """Return a PNG in base64 as HTML, with what it shows in words."""
    return boxed(f"data:image/png;base64,{png}", size_of_png(png), said)


def boxed(address: str, size: tuple[int, int], said: str) -> str:
    """Return a picture of this width and height in a box that scrolls on a phone."""
    width, height = size
    return (
        f'<div class="picture"><img src="{address}" width="{width}" height="{height}"'
        f' style="--width: {width}px" alt="{html.escape(said)}"></div>'
    )


def size_of_png(picture: str) -> tuple[int, int]:
    """Return width and height of a PNG in base64, in pixels of a page."""
    width, height = struct.unpack(">II", base64.b64decode(picture[:32])[16:24])
    return round(width * DISPLAY_DPI), round(height * DISPLAY_DPI)
