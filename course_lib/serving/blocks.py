"""The block manager: which block of the KV cache belongs to whom.

The cache is one piece of memory, cut into blocks of `block_size` tokens. A request has a table, the
list of its blocks in order; token t is in block table[t // block_size] at place t % block_size.
Blocks are handed out when they are needed, so at most block_size - 1 places of a request are
unused, and blocks need not be neighbours.

    references   how many tables hold a block; at 0 it is free
    share        a table may start with the blocks of another one: both count
    copy on write   before writing into a block that others hold too, take a copy of it
    known blocks    a full block is kept after its request, under the hash of its prefix, until its
                    memory is needed; the one that was used longest ago goes first (LRU)

A hash only finds a candidate. It is used if its tokens are equal and its predecessor is the very
block that was matched before it, so that a collision of hashes costs time and nothing else.

This file counts blocks and never touches a tensor; `runner` moves the numbers.

Taught in:        serving
Paper:            Kwon et al. 2023, "PagedAttention", arXiv:2309.06180
Checked against:  a model in plain Python that remembers every token, under random events
Shapes:           none
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from course_lib.serving.prefix_hashes import HashBlock, hash_block

Table = list[int]


class NoRoomError(Exception):
    """There are not enough free blocks; nothing has been changed."""


@dataclass(frozen=True)
class _Known:
    """What a kept block contains: its tokens, after the block with the serial number `parent`."""

    block: int
    serial: int
    parent: int
    tokens: tuple[int, ...]


_START = 0  # the serial number of what precedes the first block


class BlockManager:
    """Hands out the blocks of a cache, shares them, and remembers what full blocks contain."""

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        keep: bool = True,
        hash_one: HashBlock = hash_block,
    ) -> None:
        if num_blocks < 1 or block_size < 1:
            raise ValueError(
                "a paged cache needs at least one block of at least one token; got "
                f"{num_blocks} blocks of {block_size}. Typically a block holds 16 tokens."
            )
        self.num_blocks, self.block_size = num_blocks, block_size
        self.keep = keep  # False: no block outlives its request
        self.references = [0] * num_blocks
        self._hash = hash_one
        self._free = list(range(num_blocks - 1, -1, -1))  # taken from the end
        self._idle: OrderedDict[int, None] = OrderedDict()  # kept, unused; longest ago first
        self._known: dict[bytes, _Known] = {}
        self._names: dict[int, bytes] = {}  # the hash under which a block is known
        self._serials = count(_START + 1)

    @property
    def free(self) -> int:
        """How many blocks could be handed out now; those kept for later requests count too."""
        return len(self._free) + len(self._idle)

    @property
    def kept(self) -> int:
        """How many blocks are kept for later requests, and used by none."""
        return len(self._idle)

    def needed(self, tokens: int) -> int:
        """Return how many blocks hold this many tokens."""
        return blocks_needed(tokens, self.block_size)

    def extend(self, table: Table, tokens: int) -> None:
        """Add blocks to a table until it has room for `tokens` tokens, or raise NoRoomError."""
        missing = self.needed(tokens) - len(table)
        if missing > self.free:
            raise NoRoomError(f"{missing} more blocks are needed; {self.free} are free")
        table.extend(self._take() for _ in range(missing))

    def share(self, table: Sequence[int]) -> Table:
        """Return a second table of the same blocks."""
        for block in table:
            self._hold(block)
        return list(table)

    def release(self, table: Table) -> None:
        """Give all blocks of a table back, and empty it."""
        for block in reversed(table):  # the end of a text is forgotten before its start
            self._drop(block)
        table.clear()

    def make_writable(self, table: Table, first: int, last: int) -> list[tuple[int, int]]:
        """Let the places `first` to `last - 1` of a table belong to it alone; return the copies.

        Each pair is (from, to): the caller copies what the first block holds to the second. A block
        that is known under a hash is replaced too, since others may find it. If there is no room,
        NoRoomError is raised.
        """
        places = range(first // self.block_size, self.needed(last))
        shared = [i for i in places if self.references[table[i]] > 1 or table[i] in self._names]
        if len(shared) > self.free:
            raise NoRoomError(f"{len(shared)} blocks must be copied; {self.free} are free")
        copies = []
        for i in shared:
            mine = self._take()
            copies.append((table[i], mine))
            self._drop(table[i])
            table[i] = mine
        return copies

    def remember(self, table: Table, ids: Sequence[int]) -> None:
        """Record what the full blocks of a table contain: `ids`, whose keys are written."""
        if not self.keep:
            return
        parent_name, parent = b"", _START
        for block, tokens in zip(table, self._full(ids), strict=False):
            name = self._hash(parent_name, tokens)
            there = self._known.get(name)
            if there is None and block not in self._names:
                there = _Known(block, next(self._serials), parent, tokens)
                self._known[name], self._names[block] = there, name
            if there is None or there.tokens != tokens or there.parent != parent:
                return  # another prefix has this hash: this one stays unknown
            parent_name, parent = name, there.serial

    def match(self, ids: Sequence[int]) -> Table:
        """Return a table of the known blocks with which `ids` start, held for the caller.

        The last token is never included: it must pass through the model, since its logits give the
        next token.
        """
        table: Table = []
        parent_name, parent = b"", _START
        for tokens in self._full(ids[:-1]):
            parent_name = self._hash(parent_name, tokens)
            there = self._known.get(parent_name)
            if there is None or there.tokens != tokens or there.parent != parent:
                break
            self._hold(there.block)
            table.append(there.block)
            parent = there.serial
        return table

    def forget(self) -> None:
        """Drop everything that is known about blocks; tables in use stay as they are."""
        self._free.extend(self._idle)
        self._idle.clear()
        self._known.clear()
        self._names.clear()

    def _full(self, ids: Sequence[int]) -> list[tuple[int, ...]]:
        size = self.block_size
        return [tuple(ids[i : i + size]) for i in range(0, len(ids) - size + 1, size)]

    def _take(self) -> int:
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            del self._known[self._names.pop(block)]
        self.references[block] = 1
        return block

    def _hold(self, block: int) -> None:
        self._idle.pop(block, None)
        self.references[block] += 1

    def _drop(self, block: int) -> None:
        if self.references[block] < 1:
            raise RuntimeError(f"block {block} was given back more often than it was taken")
        self.references[block] -= 1
        if self.references[block] == 0:
            if block in self._names:
                self._idle[block] = None
            else:
                self._free.append(block)

    def check(self, tables: Sequence[Sequence[int]]) -> None:
        """Raise an error unless every count is explained by these tables; for tests."""
        held = [0] * self.num_blocks
        for table in tables:
            for block in table:
                held[block] += 1
        unused = {block for block, number in enumerate(held) if number == 0}
        listed = [*self._free, *self._idle]
        names = {known.block: name for name, known in self._known.items()}
        if held != self.references or sorted(listed) != sorted(unused) or names != self._names:
            raise RuntimeError(
                f"the tables hold {held}, but the counts are {self.references}, with "
                f"{self._free} free and {list(self._idle)} kept"
            )


def blocks_needed(tokens: int, block_size: int) -> int:
    """Return how many blocks of `block_size` places hold `tokens` tokens."""
    if tokens < 0 or block_size < 1:
        raise ValueError(
            f"tokens must be at least 0 and a block at least 1; got {tokens} and {block_size}."
        )
    return -(-tokens // block_size)
