"""Exercises on FLOPs, forward and in training, and on the bytes of a KV cache."""

import torch

from course_lib import accounting
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _token_by_products(parameters, num_hidden_layers, attention_width, context):
    """Count one multiplication and one addition for each product, layer by layer."""
    flops = parameters + parameters
    for _ in range(num_hidden_layers):
        scores = 2 * attention_width * context
        mixing = 2 * context * attention_width
        flops += scores + mixing
    return flops


def _token(name, count, explanation):
    """Declare a mistake as a formula in N (parameters), L (layers), d (width), n (context)."""

    def function(parameters, num_hidden_layers, attention_width, context):
        return count(parameters, num_hidden_layers, attention_width, context)

    return Misconception(name, function, explanation)


TOKEN_FLOPS = Exercise(
    id="parameter_counting.flops_per_token",
    title="The FLOPs of one token",
    minutes=6,
    difficulty=2,
    statement=(
        "Return the FLOPs of one token's forward pass: the products with `parameters` weights, and "
        "in each of num_hidden_layers layers those of its query with `context` keys and of the "
        "weights with as many values. All heads of a layer are attention_width wide together."
    ),
    solution=accounting.flops_per_token,
    reference=_token_by_products,
    probes=(
        Probe(
            "almost no text",
            lambda: call(1000, 1, 8, 1),
            "2 FLOPs for each parameter, and a little attention.",
        ),
        Probe("no layers", lambda: call(1000, 0, 8, 50), "Only the matrices: 2 · 1000."),
        Probe(
            "no matrices",
            lambda: call(0, 3, 5, 7),
            "3 layers; q·k takes 2 · 5 · 7 FLOPs, mixing the values as many.",
        ),
        Probe(
            "Qwen3-8B at 4096 tokens",
            lambda: call(7_568_097_280, 36, 4096, 4096),
            "Attention adds one sixth.",
        ),
        Probe(
            "Qwen3-8B at 40960 tokens",
            lambda: call(7_568_097_280, 36, 4096, 40960),
            "With so much text attention costs more than all matrices.",
        ),
    ),
    misconceptions=(
        _token(
            "FLOPs counted as multiply-adds",
            lambda n, layers, d, t: n + 2 * layers * d * t,
            "You counted a multiplication and the addition after it as one. As FLOPs they are two.",
        ),
        _token(
            "attention left out",
            lambda n, layers, d, t: 2 * n,
            "2 · N counts the matrices. The query also meets every key, and every value is "
            "weighted: no parameter stands for that work.",
        ),
        _token(
            "only the scores counted",
            lambda n, layers, d, t: 2 * n + 2 * layers * d * t,
            "There are two products in attention: q with the keys, and the weights with the "
            "values. Each takes 2 · context · width FLOPs. (Half of the context because of the "
            "mask? This token stands at the end: it reads all `context` tokens.)",
        ),
        _token(
            "the work of a whole text",
            lambda n, layers, d, t: t * (2 * n + 4 * layers * d * t),
            "This is the work for a whole text of `context` tokens. Asked for is one token, which "
            "passes through the matrices once and reads the others' keys and values.",
        ),
        _token(
            "attention of one layer",
            lambda n, layers, d, t: 2 * n + 4 * d * t,
            "Every layer has its own attention: multiply by num_hidden_layers.",
        ),
        _token(
            "attention of all tokens",
            lambda n, layers, d, t: 2 * n + 4 * layers * d * t * t,
            "context² is the work for a whole text. One token has one query.",
        ),
        _token(
            "a training step",
            lambda n, layers, d, t: 6 * n + 12 * layers * d * t,
            "6 FLOPs for a parameter are forward and backward together. Here is only forward.",
        ),
        _token(
            "multiply-adds for the parameters alone",
            lambda n, layers, d, t: n + 4 * layers * d * t,
            "You counted attention in FLOPs and the matrices in multiply-adds. Each parameter "
            "takes a multiplication and an addition: 2 FLOPs.",
        ),
    ),
    hints=(
        "A weight is multiplied once and its product added once: 2 FLOPs for each parameter.",
        "q·k with one key is attention_width multiplications and as many additions.",
        "There are `context` keys, then `context` values, in each layer: "
        "4 · layers · context · width.",
    ),
)


def _training_by_products(parameters, tokens):
    forward = 2 * parameters
    gradient_of_input = 2 * parameters
    gradient_of_weight = 2 * parameters
    return tokens * (forward + gradient_of_input + gradient_of_weight)


def _training(name, factor, explanation):
    return Misconception(name, lambda parameters, tokens: factor * parameters * tokens, explanation)


TRAINING_FLOPS = Exercise(
    id="parameter_counting.training_flops",
    title="The FLOPs of a training run",
    minutes=4,
    difficulty=1,
    statement=(
        "Return the FLOPs of training a model of `parameters` on `tokens` tokens once, forward and "
        "backward, without attention's own products."
    ),
    solution=accounting.training_flops,
    reference=_training_by_products,
    probes=(
        Probe("one parameter, one token", lambda: call(1, 1), "2 forward, 4 backward."),
        Probe("ten parameters, seven tokens", lambda: call(10, 7), "6 · 10 · 7."),
        Probe(
            "GPT-3",
            lambda: call(175_000_000_000, 300_000_000_000),
            "3.15 · 10²³; its paper has 3.14, with 174.6 billion.",
        ),
        Probe(
            "Llama-3-8B on 15 trillion tokens",
            lambda: call(8_030_261_248, 15_000_000_000_000),
            "About 7.2 · 10²³.",
        ),
    ),
    misconceptions=(
        _training(
            "forward only",
            2,
            "2 · N · tokens is one pass forward. The backward pass costs twice as much again.",
        ),
        _training(
            "multiply-adds",
            3,
            "You counted a multiplication and an addition as one. As FLOPs they are two.",
        ),
        _training(
            "backward as dear as forward",
            4,
            "Backward has two products where forward has one: the gradient of the input, and the "
            "gradient of the weight.",
        ),
        _training(
            "forward run twice",
            8,
            "8 · N · tokens is with activation checkpointing, which runs the forward pass a second "
            "time. The convention for a model's own FLOPs is 6.",
        ),
        Misconception(
            "tokens forgotten",
            lambda parameters, tokens: 6 * parameters,
            "Every token passes through all parameters: multiply by the number of tokens.",
        ),
    ),
    hints=(
        "One token forward: 2 FLOPs for each parameter.",
        "Backward computes two things for each matrix: the gradient of what came in, and of the "
        "weight itself. Each is a product as large as the forward one.",
        "2 + 2 + 2 for each parameter and token.",
    ),
)

_DTYPES = {1: torch.int8, 2: torch.bfloat16, 4: torch.float32}


def _cache_by_tensor(
    num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
):
    """Ask a tensor that holds everything and takes no memory."""
    shape = (2, num_hidden_layers, batch, num_key_value_heads, tokens, head_dim)
    return torch.empty(shape, dtype=_DTYPES[bytes_per_number], device="meta").nbytes


def _cache(name, change, explanation):
    """Declare a mistake by what it does to the right number of bytes."""

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
        "Return the bytes that the keys and values of a batch of texts, `tokens` tokens each, take "
        "in all layers of a model."
    ),
    solution=accounting.kv_cache_bytes,
    reference=_cache_by_tensor,
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
    ),
    misconceptions=(
        _cache(
            "batch forgotten",
            lambda right, given: right // given["batch"],
            "Every text of the batch has keys and values of its own. Weights are shared by a "
            "batch, a cache is not.",
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
            "A key is head_dim numbers and not one, and a value too.",
        ),
        _cache(
            "two bytes counted twice",
            lambda right, given: right * 2,
            "A factor 2 too many: one 2 is for key and value; the bytes of a number are "
            "bytes_per_number alone.",
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
    alternatives=(Alternative("the size of a tensor", _cache_by_tensor),),
    hints=(
        "What is kept for one token, in one layer, for one key/value head?",
        "A key and a value of head_dim numbers: 2 · head_dim.",
        "Times heads, layers, tokens, texts in the batch, and bytes for each number.",
    ),
)
