"""The exercises on memory: the blocks of a request, and the requests of a cache."""

import math

from course_lib import serving
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_places(tokens, block_size):
    return len({token // block_size for token in range(tokens)})


def _by_divmod(tokens, block_size):
    whole, rest = divmod(tokens, block_size)
    return whole + (rest > 0)


def _taken_one_by_one(tokens, block_size):
    blocks = 0
    while blocks * block_size < tokens:
        blocks += 1
    return blocks


BLOCKS = Exercise(
    id="serving.blocks",
    title="The blocks of a request",
    minutes=4,
    difficulty=1,
    statement=(
        "Return how many blocks of `block_size` places hold `tokens` tokens: a whole number. "
        "tokens may be 0, block_size is at least 1."
    ),
    solution=serving.blocks_needed,
    reference=_by_places,
    generator=generators.blocks,
    probes=(
        Probe("half a block", lambda: call(2, 4), "Two tokens take a whole block of four."),
        Probe("a full block", lambda: call(4, 4), "Four tokens fit into one block."),
        Probe("one token more", lambda: call(5, 4), "The fifth token needs a second block."),
        Probe("nothing", lambda: call(0, 4), "No token, no block."),
        Probe("blocks of one", lambda: call(7, 1), "Seven blocks, and nothing is wasted."),
        Probe("one token", lambda: call(1, 16), "The first token takes a block."),
    ),
    misconceptions=(
        Misconception(
            "rounded down",
            lambda tokens, block_size: tokens // block_size,
            "`//` drops the last, incomplete block, and its tokens have no place. Round up.",
        ),
        Misconception(
            "always one more",
            lambda tokens, block_size: tokens // block_size + 1,
            "Where the last block is exactly full you take another one that stays empty. Round "
            "up: -(-tokens // block_size).",
        ),
        Misconception(
            "rounded to the nearest",
            lambda tokens, block_size: math.floor(tokens / block_size + 0.5),
            "A block that is less than half full is dropped by rounding to the nearest. Round up.",
        ),
        Misconception(
            "a fraction of a block",
            lambda tokens, block_size: tokens / block_size,
            "Blocks are handed out whole. Round the quotient up.",
        ),
        Misconception(
            "a block for nothing",
            lambda tokens, block_size: max(1, -(-tokens // block_size)),
            "A request with no token in the cache holds no block.",
        ),
        Misconception(
            "places, not blocks",
            lambda tokens, block_size: -(-tokens // block_size) * block_size,
            "You return how many places are reserved. Asked is the number of blocks.",
        ),
        Misconception(
            "a new block one token late",
            lambda tokens, block_size: -(-(tokens - 1) // block_size) if tokens > 1 else tokens,
            "The token that follows a full block needs the next block now, not after it: a request "
            "of block_size + 1 tokens has two blocks.",
        ),
    ),
    alternatives=(
        Alternative("math.ceil", lambda tokens, block_size: math.ceil(tokens / block_size)),
        Alternative(
            "added before dividing",
            lambda tokens, block_size: (tokens + block_size - 1) // block_size,
        ),
        Alternative("divmod", _by_divmod),
        Alternative("taken one by one", _taken_one_by_one),
    ),
    hints=(
        "Divide, and round up.",
        "For whole numbers, -(-a // b) rounds a / b up; so does (a + b - 1) // b.",
    ),
)


def _served_one_by_one(cache_bytes, bytes_per_token, tokens, block_size):
    free = cache_bytes // (bytes_per_token * block_size)
    served = 0
    while True:
        held = len(range(0, tokens, block_size))
        if held > free:
            return served
        free, served = free - held, served + 1


def _mistake(name, count, explanation):
    """Declare a mistake as a formula in the blocks that there are and those that are needed."""

    def function(cache_bytes, bytes_per_token, tokens, block_size):
        blocks = cache_bytes // (bytes_per_token * block_size)
        return count(blocks, tokens, block_size)

    return Misconception(name, function, explanation)


def _by_bytes(cache_bytes, bytes_per_token, tokens, block_size):
    places = math.ceil(tokens / block_size) * block_size
    return cache_bytes // (places * bytes_per_token)


def _by_tokens(cache_bytes, bytes_per_token, tokens, block_size):
    places = cache_bytes // bytes_per_token
    return places // block_size // ((tokens + block_size - 1) // block_size)


REQUESTS = Exercise(
    id="serving.requests",
    title="The requests that fit",
    minutes=6,
    difficulty=1,
    statement=(
        "A paged cache has `cache_bytes` bytes, cut into blocks of `block_size` tokens with "
        "`bytes_per_token` bytes each; a remainder is not used. Return how many requests of "
        "`tokens` tokens fit in at the same time, if each holds only whole blocks of its own. "
        "All but cache_bytes are at least 1."
    ),
    solution=serving.most_requests,
    reference=_served_one_by_one,
    generator=generators.requests,
    probes=(
        Probe("by hand", lambda: call(100, 2, 10, 4), "12 blocks, 3 for each request: 4."),
        Probe("whole blocks", lambda: call(96, 2, 8, 4), "12 blocks, 2 each: 6."),
        Probe("a few bytes short", lambda: call(95, 2, 12, 4), "11 blocks, 3 each: 3."),
        Probe("blocks of one token", lambda: call(100, 2, 10, 1), "50 places, 10 each: 5."),
        Probe("one token each", lambda: call(100, 2, 1, 4), "Each token takes a whole block: 12."),
        Probe("too small", lambda: call(20, 2, 30, 4), "Not even one request fits."),
        Probe("nothing", lambda: call(0, 2, 3, 4), "No memory, no request."),
    ),
    misconceptions=(
        Misconception(
            "no gaps",
            lambda cache_bytes, bytes_per_token, tokens, block_size: (
                cache_bytes // (bytes_per_token * tokens)
            ),
            "You pack requests without gaps. The last block of each is not shared: round its "
            "blocks up first.",
        ),
        _mistake(
            "the last block left out",
            lambda blocks, tokens, size: blocks // max(1, tokens // size),
            "You round the blocks of a request down, so its last tokens have no place. Round up.",
        ),
        _mistake(
            "one block too many",
            lambda blocks, tokens, size: blocks // (tokens // size + 1),
            "Where tokens is a multiple of block_size the request needs no further block.",
        ),
        _mistake(
            "requests rounded up",
            lambda blocks, tokens, size: -(-blocks // -(-tokens // size)),
            "A request whose blocks are not all there does not fit. Round down at the end.",
        ),
        _mistake(
            "blocks, not requests",
            lambda blocks, tokens, size: blocks,
            "That is the number of blocks. Divide by the blocks that one request needs.",
        ),
        _mistake(
            "a block for each token",
            lambda blocks, tokens, size: blocks // tokens,
            "A block holds block_size tokens: a request needs ceil(tokens / block_size) of them.",
        ),
    ),
    alternatives=(
        Alternative("in bytes", _by_bytes),
        Alternative("in tokens", _by_tokens),
        Alternative("one by one", _served_one_by_one),
    ),
    hints=(
        "First the number of blocks, cache_bytes // (bytes_per_token * block_size); then how many "
        "one request needs.",
        "A request needs ceil(tokens / block_size) blocks; divide and round down.",
    ),
)
