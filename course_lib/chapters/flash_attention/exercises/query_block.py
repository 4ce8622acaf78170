"""The exercise on the largest tile that fits into fast memory."""

from course_lib import flash
from course_lib.chapters.flash_attention.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _largest_by_search(capacity, head_dim, key_block, bytes_per_number=4):
    block = 0
    while _held(block + 1, key_block, head_dim) * bytes_per_number <= capacity:
        block += 1
    return block


def _held(query_block, key_block, head_dim):
    q_and_sum = 2 * query_block * head_dim
    k_and_v = 2 * key_block * head_dim
    return q_and_sum + k_and_v + query_block * key_block + 2 * query_block


def _fits(held):
    def block(capacity, head_dim, key_block, bytes_per_number=4):
        size = 0
        while held(size + 1, key_block, head_dim, bytes_per_number) <= capacity:
            size += 1
        return size

    return block


QUERY_BLOCK = Exercise(
    id="flash_attention.query_block",
    title="The largest tile for a fast memory",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the largest number of queries in a tile. Fast memory of `capacity` bytes must "
        "hold q and the weighted sum (query_block × D each), k and v (key_block × D each), the "
        "scores (query_block × key_block), and a maximum and a total for each query."
    ),
    solution=flash.largest_query_block,
    reference=_largest_by_search,
    generator=generators.capacities,
    probes=(
        Probe(
            "small enough to do in your head",
            lambda: call(208, 2, 3),
            "52 numbers fit. k and v take 12, each query takes 2 + 2 + 3 + 2 = 9: 40 / 9 is 4.",
        ),
        Probe(
            "not a power of two", lambda: call(5000, 8, 5), "The result can be any whole number."
        ),
        Probe(
            "an A100's 192 KiB",
            lambda: call(192 * 1024, 64, 32, bytes_per_number=2),
            "In practice only a part of its registers and shared memory is free.",
        ),
        Probe(
            "an exact fit",
            lambda: call(192, 2, 3),
            "48 numbers fit: 12 for k and v, and four queries of 9 fill the rest exactly.",
        ),
        Probe(
            "many keys in a tile",
            lambda: call(65_536, 16, 200),
            "The scores take most of the memory.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the scores forgotten",
            _fits(lambda b, s, d, n: n * (_held(b, s, d) - b * s)),
            "The tile of scores lives in fast memory as well: query_block × key_block numbers.",
        ),
        Misconception(
            "the weighted sum forgotten",
            _fits(lambda b, s, d, n: n * (_held(b, s, d) - b * d)),
            "Besides q, each query keeps a weighted sum of values, of width D.",
        ),
        Misconception(
            "the values forgotten",
            _fits(lambda b, s, d, n: n * (_held(b, s, d) - s * d)),
            "Both k and v of the tile must be in fast memory: 2 · key_block · D numbers.",
        ),
        Misconception(
            "maximum and total forgotten",
            _fits(lambda b, s, d, n: n * (_held(b, s, d) - 2 * b)),
            "Each query keeps two more numbers, its maximum and its total.",
        ),
        Misconception(
            "bytes taken for numbers",
            _fits(lambda b, s, d, n: _held(b, s, d)),
            "The capacity is in bytes. Divide it by the bytes per number first.",
        ),
        Misconception(
            "an exact fit rejected",
            _fits(lambda b, s, d, n: n * _held(b, s, d) + 1),
            "Tiles that fill the memory exactly still fit: compare with <=, not <.",
        ),
        Misconception(
            "rounded up",
            lambda capacity, head_dim, key_block, bytes_per_number=4: (
                _largest_by_search(capacity, head_dim, key_block, bytes_per_number) + 1
            ),
            "With one more query the tiles no longer fit: round down.",
        ),
    ),
    alternatives=(
        Alternative("trying one size after the other", _largest_by_search),
        Alternative(
            "as the hints say",
            lambda capacity, head_dim, key_block, bytes_per_number=4: (
                (capacity // bytes_per_number - 2 * key_block * head_dim)
                // (2 * head_dim + key_block + 2)
            ),
        ),
        Alternative("in bytes", _fits(lambda b, s, d, n: n * _held(b, s, d))),
    ),
    hints=(
        "Count the numbers that do not depend on query_block: k and v, 2 · key_block · D.",
        "Each query adds D for q, D for its weighted sum, key_block scores, and 2.",
        "(capacity // bytes_per_number − 2 · key_block · D) // (2 · D + key_block + 2)",
    ),
)
