"""Questions on what is computed and what is moved."""

import random
from typing import Any

from course_lib import flash
from course_lib.study.ask.question import Numeric, OneAnswer, Option, Slip

BOUND = OneAnswer(
    id="flash_attention.bound",
    prompt="Why is the standard method slow on a GPU, for a long text and a head width of 64?",
    options=(
        Option(
            "The table of scores is written to slow memory and read from it several times.",
            True,
            "there are about D FLOPs for each number moved, while the device could do hundreds of "
            "FLOPs in the time of moving one byte.",
        ),
        Option(
            "Its matrix products have too many FLOPs.",
            False,
            "FlashAttention does the same products, and more in the backward pass.",
        ),
        Option(
            "Softmax needs a sum over the row, which cannot be computed in parallel.",
            False,
            "rows are independent, and sums are computed in parallel as trees.",
        ),
        Option(
            "exp has no hardware instruction.",
            False,
            "there is one. Its cost becomes noticeable only once memory traffic is reduced.",
        ),
    ),
)


def _draw_table(rng: random.Random) -> dict[str, Any]:
    return {"thousands": rng.choice([3, 6, 12, 24, 48]), "heads": rng.choice([12, 20, 28])}


def _table_gib(thousands: int, heads: int) -> float:
    n = 1024 * thousands
    inputs = flash.standard_bytes(n, n, 64, 2) - flash.standard_bytes(n, n, 0, 2)
    return heads * (flash.standard_bytes(n, n, 64, 2) - inputs) / 4 / 2**30


TABLE = Numeric(
    id="flash_attention.table",
    prompt="A text of {thousands} · 1024 tokens, {heads} heads, bfloat16 (2 bytes). How many GiB "
    "(2^30 bytes) does the table of scores of one layer take?",
    draw=_draw_table,
    answer=_table_gib,
    explain=lambda thousands, heads: (
        f"n² = ({thousands} · 2^10)² = {thousands**2} · 2^20 numbers for each head, times {heads} "
        f"heads, times 2 bytes: {_table_gib(thousands, heads):.4g} GiB."
    ),
    slips=(
        Slip(
            "one head",
            lambda thousands, heads: _table_gib(thousands, 1),
            "This is one head. Each head has its own table.",
        ),
        Slip(
            "four bytes",
            lambda thousands, heads: 2 * _table_gib(thousands, heads),
            "You counted 4 bytes per number; bfloat16 takes 2.",
        ),
        Slip(
            "numbers, not bytes",
            lambda thousands, heads: _table_gib(thousands, heads) / 2,
            "This is the number of scores in units of 2^30. Each takes 2 bytes.",
        ),
    ),
)


FLOPS = OneAnswer(
    id="flash_attention.flops",
    prompt="You train with FlashAttention instead of standard attention. How do the FLOPs change?",
    options=(
        Option(
            "They grow: backward computes the scores again.",
            True,
            "five products instead of four in the backward pass. It is still faster, because it "
            "moves fewer bytes.",
        ),
        Option(
            "They fall in proportion to the block size.",
            False,
            "every score is still computed. Only the traffic falls with the block size.",
        ),
        Option(
            "They fall from n² to n.",
            False,
            "it is memory that grows with n instead of n². Time and FLOPs still grow with n².",
        ),
        Option(
            "They stay exactly the same.",
            False,
            "the forward pass adds the rescaling, the backward pass a whole matrix product.",
        ),
    ),
)


def _draw_tiles(rng: random.Random) -> dict[str, Any]:
    block = rng.choice([64, 128, 256])
    return {"block": block, "n": block * rng.choice([4, 6, 8, 12, 16])}


def _visited(block: int, n: int) -> float:
    tiling = flash.Tiling(n, n, block, block, flash.CAUSAL)
    return float(sum(len(list(tiling.key_tiles(rows))) for rows in tiling.query_tiles()))


CAUSAL_TILES = Numeric(
    id="flash_attention.causal_tiles",
    prompt="A text of {n} tokens attends to itself under a causal mask, in tiles of {block} by "
    "{block}. How many tiles must be visited?",
    draw=_draw_tiles,
    answer=_visited,
    explain=lambda block, n: (
        f"There are {n // block} tiles along each side. Row i of tiles visits i of them, counted "
        f"from 1: {n // block} · {n // block + 1} / 2 = {_visited(block, n):.0f}."
    ),
    slips=(
        Slip(
            "all of them",
            lambda block, n: float((n // block) ** 2),
            "Tiles above the diagonal allow nothing and are skipped.",
        ),
        Slip(
            "without the diagonal",
            lambda block, n: float((n // block) * (n // block - 1) // 2),
            "The tiles on the diagonal are partly allowed: they are visited, with a mask.",
        ),
        Slip(
            "exactly half",
            lambda block, n: (n // block) ** 2 / 2,
            "All tiles on the diagonal are visited, so it is a little more than half.",
        ),
    ),
)


def _draw_reading(rng: random.Random) -> dict[str, Any]:
    return {"n": 1024 * rng.choice([2, 4, 8]), "block": rng.choice([100, 120, 150, 200])}


KEYS_READ = Numeric(
    id="flash_attention.keys_read",
    prompt="{n} queries read {n} keys, without a mask. Fast memory has room for tiles of {block} "
    "queries. How many times are all keys and values loaded from slow memory?",
    draw=_draw_reading,
    answer=lambda n, block: float(
        len(list(flash.Tiling(n, n, block, block).query_tiles())),
    ),
    explain=lambda n, block: (
        f"Once for each tile of queries. There are {n} / {block} = {n / block:.2f} tiles, rounded "
        f"up {-(-n // block)}: the last one is smaller and also reads all keys."
    ),
    slips=(
        Slip(
            "rounded down",
            lambda n, block: float(n // block),
            "The remaining queries form one more, smaller tile.",
        ),
        Slip(
            "for each query",
            lambda n, block: float(n),
            "All queries of a tile share one load of the keys.",
        ),
        Slip("once", lambda n, block: 1.0, "They do not all fit into fast memory at once."),
    ),
)


FAST_MEMORY = OneAnswer(
    id="flash_attention.fast_memory",
    prompt="Fast memory becomes twice as large, and so do the tiles of queries. How does the "
    "number of bytes that tiled attention moves change, for a long text?",
    options=(
        Option(
            "It halves, approximately: keys are loaded half as often.",
            True,
            "the traffic is of the order n² D² / M, and M has doubled.",
        ),
        Option(
            "It stays the same: every key is read once in any case.",
            False,
            "keys are read again for each tile of queries, and there are fewer of these now.",
        ),
        Option(
            "It falls to about a quarter.",
            False,
            "only the number of queries in a tile matters, not both of its sides: the factor is 2.",
        ),
        Option(
            "It doubles with the size of the tiles.",
            False,
            "a tile is larger, but there are fewer; in a larger tile more queries share one load "
            "of the keys.",
        ),
    ),
)


DECODING = OneAnswer(
    id="flash_attention.decoding",
    prompt="During generation a single query reads a cache of 100 000 tokens. Why does "
    "flash-decoding cut the keys into parts?",
    options=(
        Option(
            "Otherwise most processors of the GPU would be idle.",
            True,
            "one query is one tile. The parts are read in parallel and joined by their logsumexps "
            "at the end.",
        ),
        Option(
            "The parts can be skipped when their scores are low.",
            False,
            "all are read. The result is exact.",
        ),
        Option(
            "Fewer bytes are moved.",
            False,
            "the whole cache is read once either way, plus one small output for each part.",
        ),
        Option(
            "A sum over 100 000 terms would overflow.",
            False,
            "the running maximum prevents that at any length.",
        ),
    ),
)
