"""The exercise on the bytes of a KV cache."""

import torch

from course_lib import accounting
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_DTYPES = {1: torch.int8, 2: torch.bfloat16, 4: torch.float32, 8: torch.float64}


def _cache_by_tensor(
    num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
):
    """Make one tensor of all keys and values, without memory, and ask for its size."""
    shape = (2, num_hidden_layers, batch, num_key_value_heads, tokens, head_dim)
    return torch.empty(shape, dtype=_DTYPES[bytes_per_number], device="meta").nbytes


def _cache_by_product(
    num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
):
    kept = 2 * head_dim * num_key_value_heads * num_hidden_layers
    return kept * tokens * batch * bytes_per_number


def _cache_by_layer(
    num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
):
    keys = values = batch * num_key_value_heads * tokens * head_dim * bytes_per_number
    return sum(keys + values for _ in range(num_hidden_layers))


def _cache(name, change, explanation):
    """Declare a mistake by how it changes the right number of bytes."""

    def function(
        num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
    ):
        given = {
            "layers": num_hidden_layers,
            "heads": num_key_value_heads,
            "width": head_dim,
            "tokens": tokens,
            "batch": batch,
            "size": bytes_per_number,
        }
        right = _cache_by_tensor(
            num_hidden_layers, num_key_value_heads, head_dim, tokens, batch, bytes_per_number
        )
        return change(right, given)

    return Misconception(name, function, explanation)


CACHE = Exercise(
    id="parameter_counting.kv_cache",
    title="The bytes of a KV cache",
    minutes=5,
    difficulty=1,
    statement=(
        "Return the bytes of the keys and values of `batch` texts of `tokens` tokens each, in all "
        "layers of a model."
    ),
    solution=accounting.kv_cache_bytes,
    reference=_cache_by_tensor,
    generator=generators.caches,
    probes=(
        Probe(
            "one token of one text",
            lambda: call(3, 2, 5, 1),
            "3 layers, 2 heads of width 5, a key and a value: 60 numbers of 2 bytes.",
        ),
        Probe("seven tokens", lambda: call(3, 2, 5, 7), "Seven times as much."),
        Probe("a batch of four", lambda: call(3, 2, 5, 7, batch=4), "Each text has its own cache."),
        Probe(
            "in float32",
            lambda: call(3, 2, 5, 7, batch=4, bytes_per_number=4),
            "4 bytes for each number instead of 2.",
        ),
        Probe(
            "in 8 bits",
            lambda: call(3, 2, 5, 7, batch=4, bytes_per_number=1),
            "1 byte for each number.",
        ),
        Probe(
            "Qwen3-8B",
            lambda: call(36, 8, 128, 32768, batch=16),
            "77 GB: more than four times the model's weights.",
        ),
        Probe(
            "many bytes of odd sizes",
            lambda: call(61, 7, 129, 100_003, batch=3),
            "66 billion bytes, to the last one: float32 rounds such a number, and a 32-bit "
            "integer overflows.",
        ),
    ),
    misconceptions=(
        _cache(
            "batch forgotten",
            lambda right, given: right // given["batch"],
            "Every text of the batch has its own keys and values.",
        ),
        _cache(
            "keys without values",
            lambda right, given: right // 2,
            "The cache holds a key *and* a value for each token, head and layer.",
        ),
        _cache(
            "one layer",
            lambda right, given: right // given["layers"],
            "Every layer has its own keys and values.",
        ),
        _cache(
            "one token",
            lambda right, given: right // given["tokens"],
            "You counted one token. Each of the `tokens` has a key and a value.",
        ),
        _cache(
            "one head",
            lambda right, given: right // given["heads"],
            "Each of the num_key_value_heads heads has keys and values of head_dim numbers.",
        ),
        _cache(
            "the width of a head forgotten",
            lambda right, given: right // given["width"],
            "A key has head_dim numbers, not one, and so has a value.",
        ),
        _cache(
            "two bytes counted twice",
            lambda right, given: right * 2,
            "A factor 2 too many: one 2 is for key and value; the bytes of a number are "
            "bytes_per_number only.",
        ),
        _cache(
            "numbers instead of bytes",
            lambda right, given: right // given["size"],
            "You counted numbers. Multiply by bytes_per_number.",
        ),
        _cache(
            "always two bytes",
            lambda right, given: right // given["size"] * 2,
            "2 bytes are right for bfloat16 only. Use bytes_per_number.",
        ),
        _cache(
            "bits for bytes",
            lambda right, given: right * 8,
            "A byte is 8 bits, and the result is in bytes: no factor 8.",
        ),
        _cache(
            "every pair of tokens",
            lambda right, given: right * given["tokens"],
            "The cache holds a row for each token, not for each pair. It grows with the length, "
            "the work of attention with its square.",
        ),
    ),
    alternatives=(
        Alternative("the size of a tensor", _cache_by_tensor),
        Alternative("as the hints say", _cache_by_product),
        Alternative("layer by layer", _cache_by_layer),
    ),
    hints=(
        "What is kept for one token, in one layer, for one key/value head?",
        "A key and a value of head_dim numbers: 2 · head_dim.",
        "Times heads, layers, tokens, texts in the batch, and bytes for each number.",
    ),
)
