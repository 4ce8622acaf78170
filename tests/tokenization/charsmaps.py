"""Tables of replacements, compiled as SentencePiece does, for the normalizer `Precompiled`."""

import base64
import struct
from itertools import count

ENTRIES = {
    "\u3000": " ",
    "\u00a0": " ",
    "\t": " ",
    "\n": " ",
    "\u200b": "",
    "ﬁ": "fi",
    "①": "1",
    "Å": "A",
    "é": "e",
    "e\u0301": "é",
    "か\u3099": "が",
    "Σ": "σ",
    "ﷺ": "صلى الله عليه وسلم",
    "a": "α",
    "ab": "β",
    "한": "韓",
}


def charsmap(generator):
    """Return some of the entries, as base64."""
    return compiled(generator.sample(sorted(ENTRIES), generator.randrange(1, len(ENTRIES))))


def compiled(chosen):
    """Return these entries, as base64."""
    texts, places = b"", {}
    for key in chosen:
        places[key.encode()] = len(texts)
        texts += ENTRIES[key].encode() + b"\0"
    nodes = double_array(places)
    blob = struct.pack(f"<I{len(nodes)}I", 4 * len(nodes), *nodes)
    return base64.b64encode(blob + texts).decode()


def double_array(places):
    """Return the units of a trie from bytes to numbers; the children of a node fill a block.

    A node at `place` has its children at `place ^ offset ^ byte`, where the byte 0 is the leaf.
    """
    units, blocks = {}, count(1)

    def fill(place, prefix):
        base = 256 * next(blocks)
        leaf = places.get(prefix)
        label = prefix[-1] if prefix else 0
        units[place] = (place ^ base) << 10 | (leaf is not None) << 8 | label
        if leaf is not None:
            units[base] = leaf | 1 << 31
        longer = {key[len(prefix)] for key in places if key.startswith(prefix) and key != prefix}
        for byte in sorted(longer):
            fill(base ^ byte, prefix + bytes([byte]))

    fill(0, b"")
    empty = 1 << 31  # a label that no byte has
    return [units.get(place, empty) for place in range((max(units) | 255) + 1)]
