"""The bytes that attention moves: every tile that is loaded from slow memory or written back.

A GPU has two memories. The large one, of gigabytes, is slow (HBM); the small one of each processor,
a few hundred kilobytes, is fast (SRAM). Attention does few FLOPs for each byte of the table of
scores, so its time is decided by how often that table, and the inputs, are moved.

    standard   reads q, k, v, writes the output, and moves the T x S table four times:
               scores written and read, weights written and read
    tiled      reads q once, writes output and logsumexp once, and reads all keys and values once
               for each tile of queries: ceil(T / query_block) * S * (D + Dv) numbers

A tile of queries may be as large as fast memory (M) allows, about M / D queries. With T = S = n the
tiled method moves Theta(n^2 D^2 / M), the standard one Theta(n D + n^2): less as long as D^2 < M.

The counted run executes the loop of `tiled` itself, on memory that counts. For the standard method
we assume the best case: each of its three steps reads each of its operands only once.

Taught in:        flash_attention
Paper:            Dao et al. 2022, arXiv:2205.14135, Theorem 2
Checked against:  closed formulas, over many shapes
Shapes:           T queries, S keys, D width of queries and keys, Dv width of values: one head
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from course_lib.flash.online_attention import LN_2
from course_lib.flash.tiled import Memory, forward_tiles
from course_lib.flash.tiles import FULL, Reach, Tiling
from course_lib.softmax import masked_softmax, stable_softmax


class TileRecord(NamedTuple):
    """The state of a run after one tile, or after one block of rows was written."""

    action: str
    rows: slice
    cols: slice
    held: dict[str, int]  # bytes in fast memory
    read: int  # bytes from slow memory so far
    written: int  # bytes to slow memory so far
    state: tuple[Tensor, ...]  # running maximum, total and weighted sum of these rows


class MeteredMemory(Memory):
    """Slow memory whose every byte is counted, and fast memory with a capacity."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.read = 0
        self.written = 0
        self.most_held = 0
        self.held: dict[str, int] = {}
        self.state: tuple[Tensor, ...] = ()
        self.steps: list[TileRecord] = []

    def load(self, name: str, tile: Tensor) -> Tensor:
        """Count a tile that is loaded; it replaces the previous one of the same name."""
        self.read += tile.nbytes
        self._hold(name, tile.nbytes)
        return tile

    def keep(self, name: str, *tensors: Tensor) -> None:
        """Count a result in fast memory, and keep the running state for the record."""
        self._hold(name, sum(tensor.nbytes for tensor in tensors))
        if name == "state":  # it is changed in place later, and its maximum is one for exp2
            maximum, total, mixed = tensors
            self.state = maximum * LN_2, total.clone(), mixed.clone()

    def store(self, name: str, place: Tensor, tile: Tensor) -> None:
        """Count a tile that is written back."""
        super().store(name, place, tile)
        self.written += place.nbytes

    def finish_tile(self, rows: slice, cols: slice) -> None:
        """Record a finished tile."""
        self.record("tile", rows, cols)

    def record(self, action: str, rows: slice, cols: slice) -> None:
        """Add a step to the record."""
        held = dict(self.held)
        self.steps.append(TileRecord(action, rows, cols, held, self.read, self.written, self.state))

    def _hold(self, name: str, nbytes: int) -> None:
        self.held[name] = nbytes
        in_use = sum(self.held.values())
        self.most_held = max(self.most_held, in_use)
        if self.capacity is not None and in_use > self.capacity:
            raise ValueError(
                f"fast memory holds {self.capacity} bytes; with {name} the tiles would take "
                f"{in_use}. Choose smaller blocks."
            )


class MeteredRun(NamedTuple):
    """The output of a run, and the memory that counted its bytes."""

    output: Tensor
    memory: MeteredMemory

    @property
    def bytes_moved(self) -> int:
        """Bytes read from slow memory and written to it."""
        return self.memory.read + self.memory.written


def metered_tiled_attention(
    q: Float[Tensor, "T D"],
    k: Float[Tensor, "S D"],
    v: Float[Tensor, "S Dv"],
    *,
    query_block: int,
    key_block: int,
    reach: Reach = FULL,
    capacity: int | None = None,
) -> MeteredRun:
    """Return tiled attention of one head, with every byte of traffic counted."""
    memory = MeteredMemory(capacity)
    tiling = Tiling(len(q), len(k), query_block, key_block, reach)
    one_head = q[None, None], k[None, None], v[None, None]
    output, _ = forward_tiles(*one_head, None, tiling, q.shape[1] ** -0.5, memory)
    return MeteredRun(output[0, 0], memory)


def metered_standard_attention(
    q: Float[Tensor, "T D"],
    k: Float[Tensor, "S D"],
    v: Float[Tensor, "S Dv"],
    *,
    query_block: int,
    reach: Reach = FULL,
) -> MeteredRun:
    """Return attention of one head in three steps, with the table in slow memory in between."""
    memory, everything = MeteredMemory(), slice(0, len(k))
    tiling = Tiling(len(q), len(k), query_block, len(k), reach)
    table, output = q.new_empty(len(q), len(k)), q.new_empty(len(q), v.shape[1])
    keys = memory.load("k", k) * q.shape[1] ** -0.5
    for rows in tiling.query_tiles():
        memory.store("scores", table[rows], memory.load("q", q[rows]) @ keys.T)
        memory.record("scores", rows, everything)
    memory.held.clear()
    for rows in tiling.query_tiles():
        allowed = tiling.allowed(rows, everything)
        scores = memory.load("scores", table[rows])
        weights = stable_softmax(scores) if allowed is None else masked_softmax(scores, allowed)
        memory.store("weights", table[rows], weights)
        memory.record("weights", rows, everything)
    memory.held.clear()
    values = memory.load("v", v)
    for rows in tiling.query_tiles():
        memory.store("output", output[rows], memory.load("weights", table[rows]) @ values)
        memory.record("output", rows, everything)
    return MeteredRun(output, memory)


def standard_bytes(queries: int, keys: int, head_dim: int, bytes_per_number: int = 4) -> int:
    """Return the bytes that the standard method moves for one head."""
    inputs_and_output = 2 * queries * head_dim + 2 * keys * head_dim
    return bytes_per_number * (inputs_and_output + 4 * queries * keys)


def tiled_bytes(
    queries: int,
    keys: int,
    head_dim: int,
    query_block: int,
    key_block: int = 1,
    *,
    causal: bool = False,
    bytes_per_number: int = 4,
) -> int:
    """Return the bytes that the tiled method moves for one head.

    The size of the key tiles matters only under a causal mask, where whole tiles are skipped.
    """
    keys_read = 0
    for start in range(0, queries, query_block):
        newest = keys - queries + min(start + query_block, queries)
        in_tiles = -(-newest // key_block) * key_block
        keys_read += min(in_tiles, keys) if causal else keys
    numbers = 2 * queries * head_dim + 2 * keys_read * head_dim
    return bytes_per_number * numbers + max(bytes_per_number, 4) * queries  # the logsumexp


def fast_bytes(query_block: int, key_block: int, head_dim: int, bytes_per_number: int = 4) -> int:
    """Return the bytes of the tiles in fast memory: q, k, v, scores, and the running state."""
    tiles = (query_block + 2 * key_block) * head_dim + query_block * key_block
    state = query_block * (head_dim + 2)
    return bytes_per_number * (tiles + state)


def largest_query_block(
    capacity: int, head_dim: int, key_block: int, bytes_per_number: int = 4
) -> int:
    """Return the largest number of queries in a tile such that all tiles fit into fast memory."""
    room = capacity // bytes_per_number - 2 * key_block * head_dim
    block = room // (2 * head_dim + key_block + 2)
    if block < 1:
        needed = fast_bytes(1, key_block, head_dim, bytes_per_number)
        raise ValueError(
            f"one query and {key_block} keys of width {head_dim} take {needed} bytes; got a "
            f"capacity of {capacity}. Use fewer keys in a tile."
        )
    return block
