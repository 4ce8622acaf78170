"""Exercises on the bytes that the two methods move."""

from course_lib import flash
from course_lib.chapters.flash_attention.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _standard_by_list(queries, keys, head_dim, bytes_per_number=4):
    inputs = [queries * head_dim, keys * head_dim, keys * head_dim]
    output = [queries * head_dim]
    table = ["scores out", "scores in", "weights out", "weights in"]
    return sum(inputs + output + [queries * keys for _ in table]) * bytes_per_number


def _standard_by_steps(queries, keys, head_dim, bytes_per_number=4):
    table, q, k = queries * keys, queries * head_dim, keys * head_dim
    scores, weights, output = q + k + table, table + table, table + k + q
    return (scores + weights + output) * bytes_per_number


def _standard(table=4, inputs=4):
    def bytes_moved(queries, keys, head_dim, bytes_per_number=4):
        ends = inputs / 2 * (queries + keys) * head_dim
        return int(bytes_per_number * (ends + table * queries * keys))

    return bytes_moved


def _without_a_term(term):
    def bytes_moved(queries, keys, head_dim, bytes_per_number=4):
        missing = {"output": queries, "values": keys}[term] * head_dim
        return flash.standard_bytes(queries, keys, head_dim, bytes_per_number) - (
            bytes_per_number * missing
        )

    return bytes_moved


_SHAPES = (
    Probe(
        "small enough to do in your head",
        lambda: call(4, 4, 2),
        "q, k, v and output of 8 numbers each, the table of 16 numbers four times, 4 bytes each.",
    ),
    Probe("fewer queries than keys", lambda: call(3, 5, 7), "Queries and keys differ in number."),
    Probe(
        "two bytes per number",
        lambda: call(1024, 2048, 64, bytes_per_number=2),
        "bfloat16 takes two bytes.",
    ),
    Probe(
        "a long text",
        lambda: call(100_001, 131_071, 129),
        "Far more than 2**31 bytes: count in Python's integers.",
    ),
)

STANDARD_BYTES = Exercise(
    id="flash_attention.standard_bytes",
    title="Bytes of the standard method",
    minutes=6,
    difficulty=1,
    statement=(
        "Return the bytes that the standard method moves for one head. It reads q (T, D) and k "
        "(S, D) and writes the scores (T, S); reads these and writes the weights; reads these and "
        "v (S, D) and writes the output (T, D)."
    ),
    solution=flash.standard_bytes,
    reference=_standard_by_list,
    generator=generators.standards,
    probes=_SHAPES,
    misconceptions=(
        Misconception(
            "the table moved once",
            _standard(table=1),
            "You count the table once. It is moved four times: scores written and read, weights "
            "written and read.",
        ),
        Misconception(
            "the table written but not read",
            _standard(table=2),
            "What one step writes, the next one reads: four times, not two.",
        ),
        Misconception(
            "the table moved three times",
            _standard(table=3),
            "You count three. Scores and weights are each written once and read once: four.",
        ),
        Misconception(
            "inputs and output forgotten",
            _standard(inputs=0),
            "q, k and v are read and the output is written too: 2 (T + S) D numbers.",
        ),
        Misconception(
            "the output forgotten",
            _without_a_term("output"),
            "The output, T × D, is written as well.",
        ),
        Misconception(
            "the values forgotten",
            _without_a_term("values"),
            "The values, S × D, are read as well as the keys.",
        ),
        Misconception(
            "numbers instead of bytes",
            lambda queries, keys, head_dim, bytes_per_number=4: flash.standard_bytes(
                queries, keys, head_dim, 1
            ),
            "This counts numbers. Multiply by the bytes per number.",
        ),
    ),
    alternatives=(
        Alternative("a list of all transfers", _standard_by_list),
        Alternative(
            "as the hints say",
            lambda queries, keys, head_dim, bytes_per_number=4: (
                bytes_per_number
                * (4 * queries * keys + 2 * queries * head_dim + 2 * keys * head_dim)
            ),
        ),
        Alternative("step by step", _standard_by_steps),
    ),
    hints=(
        "Go through the three steps and write down what each reads and writes.",
        "The table has T · S numbers and is moved four times.",
        "The rest is q and output, T · D each, and k and v, S · D each.",
    ),
)


def _tiled_by_walking(queries, keys, head_dim, query_block, bytes_per_number=4):
    moved = 0
    for start in range(0, queries, query_block):
        rows = min(query_block, queries - start)
        moved += 2 * rows * head_dim * bytes_per_number + 4 * rows
        for _ in range(keys):
            moved += 2 * head_dim * bytes_per_number
    return moved


def _tiled(rounds=None, both=2, lse=True, extra=lambda queries, head_dim, size: 0):
    def bytes_moved(queries, keys, head_dim, query_block, bytes_per_number=4):
        walks = rounds(queries, query_block) if rounds else -(-queries // query_block)
        numbers = 2 * queries * head_dim + walks * both * keys * head_dim
        lses = lse * max(bytes_per_number, 4) * queries
        return bytes_per_number * numbers + lses + extra(queries, head_dim, bytes_per_number)

    return bytes_moved


def _tiled_by_counting(queries, keys, head_dim, query_block, bytes_per_number=4):
    tiles = len(range(0, queries, query_block))
    once = 2 * queries * head_dim * bytes_per_number + 4 * queries
    return once + sum(2 * keys * head_dim * bytes_per_number for _ in range(tiles))


def _queries_and_keys_swapped(
    queries, keys, head_dim, query_block, key_block=1, causal=False, bytes_per_number=4
):
    again = -(-keys // query_block) * 2 * queries * head_dim
    return (2 * queries * head_dim + again) * bytes_per_number + 4 * queries


TILED_BYTES = Exercise(
    id="flash_attention.tiled_bytes",
    title="Bytes of the tiled method",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the bytes that the tiled method moves for one head without a mask: q is read once, "
        "all of k and v once for each tile of query_block queries, the output is written once, and "
        "so is one logsumexp for each query, in float32 (4 bytes)."
    ),
    solution=flash.tiled_bytes,
    reference=_tiled_by_walking,
    generator=generators.tilings,
    probes=(
        Probe(
            "small enough to do in your head",
            lambda: call(4, 4, 2, 2),
            "q and output 16 numbers, k and v read twice 32, logsumexp 4: 52 numbers, 208 bytes.",
        ),
        Probe("one tile holds all", lambda: call(6, 9, 5, 6), "Everything is moved once."),
        Probe(
            "a smaller last tile",
            lambda: call(7, 9, 5, 3),
            "7 queries in tiles of 3 are three tiles: k and v are read three times.",
        ),
        Probe(
            "two bytes per number",
            lambda: call(1000, 2048, 64, 128, bytes_per_number=2),
            "bfloat16 takes two bytes; the logsumexp stays in float32.",
        ),
        Probe(
            "a long text",
            lambda: call(5001, 131_071, 257, 512),
            "More than 2**31 bytes, and an odd number of numbers: count in Python's integers.",
        ),
    ),
    misconceptions=(
        Misconception(
            "keys and values read once",
            _tiled(rounds=lambda queries, block: 1),
            "They do not fit into fast memory: each tile of queries reads all of them again.",
        ),
        Misconception(
            "read again for each query",
            _tiled(rounds=lambda queries, block: queries),
            "All queries of a tile share one load of the keys. That is what the tile is for.",
        ),
        Misconception(
            "the last tile not counted",
            _tiled(rounds=lambda queries, block: queries // block),
            "The last tile is smaller, and still reads all keys and values: round up.",
        ),
        Misconception(
            "keys or values only",
            _tiled(both=1),
            "You count half of what is read. Each tile of queries reads all keys and all values, "
            "and no mask skips any of them.",
        ),
        Misconception(
            "the logsumexp in the inputs' dtype",
            _tiled(lse=False, extra=lambda queries, head_dim, size: size * queries),
            "The logsumexp is written in float32 whatever the inputs are: 4 bytes each.",
        ),
        Misconception(
            "the output forgotten",
            _tiled(extra=lambda queries, head_dim, size: -size * queries * head_dim),
            "The output, T × D, is written as well.",
        ),
        Misconception(
            "fractions of a tile",
            _tiled(rounds=lambda queries, block: queries / block),
            "The last tile may be smaller, but it still reads all keys and values: round up.",
        ),
        Misconception(
            "the logsumexp forgotten",
            _tiled(lse=False),
            "One logsumexp for each query is written for the backward pass, 4 bytes each.",
        ),
        Misconception(
            "the block taken for the number of tiles",
            _tiled(rounds=lambda queries, block: block),
            "The number of tiles is T / query_block, rounded up, not query_block.",
        ),
        Misconception(
            "queries read again for each tile of keys",
            _queries_and_keys_swapped,
            "You swapped queries and keys in the part that is read again: each tile of queries "
            "reads all S keys and values.",
        ),
        Misconception(
            "a logsumexp for each number of the output",
            _tiled(lse=False, extra=lambda queries, head_dim, size: size * queries * head_dim),
            "There is one logsumexp for each query, not for each feature of its output.",
        ),
    ),
    alternatives=(
        Alternative("tile by tile", _tiled_by_walking),
        Alternative("as the hints say", _tiled()),
        Alternative("tiles counted", _tiled_by_counting),
    ),
    hints=(
        "Read once: q. Written once: output and logsumexp. Read several times: k and v.",
        "How many tiles of queries are there? −(−T // query_block) rounds up.",
        "Numbers: 2 T D + tiles · 2 S D, times bytes_per_number; and 4 T bytes for the logsumexp.",
    ),
)
