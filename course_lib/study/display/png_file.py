"""Pixels as a PNG file, quickly: every redraw of an explorer waits for it.

PNG can store each row as differences from its neighbours, and encoders try five kinds of
differences per row. That makes photographs smaller. Drawings, with their large areas of one
colour, become larger by it, and the trying takes most of the time; so rows are stored as they are.

    height, width and the kinds of pixel -> IHDR;  rows, each after a zero byte -> zlib -> IDAT

Taught in:        every notebook
Paper:            the PNG specification, W3C, third edition
Checked against:  the pixels that Pillow reads back, and the size of the file that Pillow writes
Shapes:           H rows and W columns of pixels
"""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB, RGBA = 2, 6  # the specification's numbers
LEVEL = 3  # of compression: level 6 takes twice the time and saves six percent


def png_file(pixels: UInt8[np.ndarray, "H W 4"]) -> bytes:
    """Return red, green, blue and opacity as a PNG file; opacity is left out if all is opaque."""
    opaque = bool((pixels[..., 3] == 255).all())
    height, width, _ = pixels.shape
    channels = 3 if opaque else 4
    rows = np.zeros((height, 1 + width * channels), dtype=np.uint8)  # 0: no differences
    stored = rows[:, 1:].reshape(height, width, channels)  # another view of the same bytes
    for channel in range(channels):  # several times quicker than all channels at once
        stored[..., channel] = pixels[..., channel]
    header = struct.pack(">IIBBBBB", width, height, 8, RGB if opaque else RGBA, 0, 0, 0)
    data = zlib.compress(rows.data, LEVEL)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
