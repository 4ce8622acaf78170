"""SentencePiece's `Precompiled` normalizer: a trie from characters to what replaces them.

T5 and XLM-R come with a table of replacements (NFKC and some of their own) that is compiled into a
double-array trie and stored as base64. A node of the trie is one 32-bit number: from a node at
`place`, the byte `b` leads to the node at `place ^ offset ^ b`, if that one carries the label `b`.
A leaf holds the place of the replacement in a list of texts that end with a zero byte.

    "ﬁ" → "fi"        "①" → "1"        U+200B → " "

`tokenizers` looks up a whole cluster, a letter with its accents, where it has fewer than 6 bytes,
and takes the *shortest* entry that begins it; what it does not find goes character by character.

Taught in:        tokenization
Paper:            Kudo and Richardson 2018, arXiv:1808.06226
Checked against:  `tokenizers.normalizers.Precompiled`, on tables made at random, and with every
                  code point beside a letter
"""

import base64
import binascii
import struct
from functools import lru_cache
from itertools import accumulate, pairwise

import regex

from course_lib.tokenization.unicode_tables import LATER_IN_CLUSTERS, UNASSIGNED

_CLUSTER = regex.compile(r"\X")
_LONGEST_CLUSTER = 5  # bytes
_HAS_LEAF, _LABEL = 1 << 8, (1 << 31) | 0xFF


class Precompiled:
    """A table of replacements, called with a text."""

    def __init__(self, charsmap: str) -> None:
        try:
            blob = base64.b64decode(charsmap, validate=True)
            (size,) = struct.unpack_from("<I", blob)
            self.nodes = struct.unpack_from(f"<{size // 4}I", blob, 4)
        except (binascii.Error, struct.error) as error:
            raise ValueError(
                "precompiled_charsmap must be base64 of a size, a trie of that size and texts; got "
                f"{charsmap!r:.40}, where reading failed with: {error}. Fetch the file again."
            ) from None
        self.texts = blob[4 + size :]
        self.replacement = lru_cache(1 << 16)(self._replacement)

    def __call__(self, text: str) -> str:
        """Return the text with every cluster or character that the table lists replaced."""
        known = text if text.isascii() else LATER_IN_CLUSTERS.sub(UNASSIGNED, text)
        ends = accumulate(map(len, _CLUSTER.findall(known)), initial=0)
        return "".join(self.replacement(text[begin:end]) for begin, end in pairwise(ends))

    def _replacement(self, cluster: str) -> str:
        if len(cluster.encode()) <= _LONGEST_CLUSTER:
            found = self._look_up(cluster)
            if found is not None:
                return found
        singly = ((character, self._look_up(character)) for character in cluster)
        return "".join(character if found is None else found for character, found in singly)

    def _look_up(self, chunk: str) -> str | None:
        """Return the replacement of the shortest entry that begins the chunk."""
        place = _offset(self.nodes[0])
        for byte in chunk.encode():
            place ^= byte
            if byte == 0 or place >= len(self.nodes) or self.nodes[place] & _LABEL != byte:
                return None
            node = self.nodes[place]
            place ^= _offset(node)
            if node & _HAS_LEAF:
                start = self.nodes[place] & 0x7FFFFFFF
                end = self.texts.find(b"\0", start)
                return self.texts[start : end if end >= 0 else None].decode()
        return None


def _offset(node: int) -> int:
    return (node >> 10) << ((node & (1 << 9)) >> 6)
