"""The exercise on activations: what one block keeps for the backward pass."""

from math import prod

from course_lib.chapters.parameter_counting import answers
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _tensor_by_tensor(
    batch,
    tokens,
    hidden_size,
    intermediate_size,
    num_attention_heads,
    num_key_value_heads,
    head_dim,
):
    """Add up the sizes of all tensors that are kept, from a list of their shapes."""
    stream, inner = (batch, tokens, hidden_size), (batch, tokens, intermediate_size)
    query = (batch, num_attention_heads, tokens, head_dim)
    key = (batch, num_key_value_heads, tokens, head_dim)
    table = (batch, num_attention_heads, tokens, tokens)
    kept = [*[stream] * 6, query, key, key, query, table, table, *[inner] * 5]
    return sum(prod(shape) for shape in kept)


def _mistake(name, count, explanation):
    """Declare a mistake as a formula in B, T, C, F, H, G, D."""

    def function(
        batch,
        tokens,
        hidden_size,
        intermediate_size,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
    ):
        heads = (num_attention_heads, num_key_value_heads, head_dim)
        return count(batch, tokens, hidden_size, intermediate_size, *heads)

    return Misconception(name, function, explanation)


def _as_hinted(
    batch,
    tokens,
    hidden_size,
    intermediate_size,
    num_attention_heads,
    num_key_value_heads,
    head_dim,
):
    norms = 6 * hidden_size
    attention = 2 * (num_attention_heads + num_key_value_heads) * head_dim
    softmax = 2 * num_attention_heads * tokens
    return batch * tokens * (norms + attention + softmax + 5 * intermediate_size)


def _by_layer_parts(
    batch,
    tokens,
    hidden_size,
    intermediate_size,
    num_attention_heads,
    num_key_value_heads,
    head_dim,
):
    rows = batch * tokens
    into = 3 * rows * hidden_size
    qkv = rows * (num_attention_heads + 2 * num_key_value_heads) * head_dim
    weights = 2 * batch * num_attention_heads * tokens**2
    back = rows * num_attention_heads * head_dim
    return 2 * into + qkv + weights + back + 5 * rows * intermediate_size


ACTIVATIONS = Exercise(
    id="parameter_counting.activations",
    title="The activations of one block",
    minutes=12,
    difficulty=3,
    statement=(
        "Return how many numbers one block keeps for the backward pass, for `batch` texts of "
        "`tokens` tokens: for each token 3·C for each of two norms, q, k, v and the output of the "
        "heads, and 5·F in the gated feed-forward layer; for each query head of each text two "
        "tables of tokens × tokens. No QK-norm, no biases; the single numbers of norms and softmax "
        "sums are left out."
    ),
    solution=answers.block_activations,
    reference=_tensor_by_tensor,
    generator=generators.activations,
    probes=(
        Probe(
            "one token, heads of width 1",
            lambda: call(1, 1, 1, 1, 1, 1, 1),
            "6 + 4 + 2 + 5: one number of everything.",
        ),
        Probe(
            "one token",
            lambda: call(1, 1, 12, 20, 4, 2, 5),
            "6·12, then 4 + 2 + 2 + 4 rows of width 5, 2 numbers for each head, and 5·20.",
        ),
        Probe(
            "seven tokens",
            lambda: call(1, 7, 12, 20, 4, 2, 5),
            "All but the tables of attention grows seven times; these grow 49 times.",
        ),
        Probe(
            "three texts",
            lambda: call(3, 7, 12, 20, 4, 2, 5),
            "Three times as much: a token attends only to its own text.",
        ),
        Probe(
            "Llama-3-8B at 2048 tokens",
            lambda: call(1, 2048, 4096, 14336, 32, 8, 128),
            "More than half of it are the two tables of attention.",
        ),
        Probe(
            "odd sizes, three texts of 8191 tokens",
            lambda: call(3, 8191, 4097, 12_289, 33, 3, 129),
            "Billions of numbers, to the last one: float32 rounds such a count, and a 32-bit "
            "integer overflows.",
        ),
    ),
    misconceptions=(
        _mistake(
            "no tables of attention",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + 2 * (h + g) * d + 5 * f),
            "The softmax keeps two tables of tokens × tokens for each query head: its exponentials "
            "and its result.",
        ),
        _mistake(
            "one table of attention",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + 2 * (h + g) * d + h * t + 5 * f),
            "This softmax keeps two tables: the exponentials, and the weights that multiply v.",
        ),
        _mistake(
            "tables for the key/value heads",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + 2 * (h + g) * d + 2 * g * t + 5 * f),
            "Each *query* head has its own attention weights, also where keys are shared.",
        ),
        _mistake(
            "keys and values as wide as queries",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + 4 * h * d + 2 * h * t + 5 * f),
            "Keys and values have num_key_value_heads · head_dim numbers each.",
        ),
        _mistake(
            "the output of the heads left out",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + (h + 2 * g) * d + 2 * h * t + 5 * f),
            "The output of the heads is the input of the output projection: its weight's gradient "
            "needs it.",
        ),
        _mistake(
            "one norm",
            lambda b, t, c, f, h, g, d: b * t * (3 * c + 2 * (h + g) * d + 2 * h * t + 5 * f),
            "A block has two norms, before attention and before the feed-forward layer: 6·C.",
        ),
        _mistake(
            "three numbers of the feed-forward layer",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + 2 * (h + g) * d + 2 * h * t + 3 * f),
            "Besides gate, up and their product, SiLU keeps its sigmoid and its result: 5·F.",
        ),
        _mistake(
            "batch forgotten",
            lambda b, t, c, f, h, g, d: t * (6 * c + 2 * (h + g) * d + 2 * h * t + 5 * f),
            "Every text of the batch has its own activations.",
        ),
        _mistake(
            "attention across the batch",
            lambda b, t, c, f, h, g, d: b * t * (6 * c + 2 * (h + g) * d + 2 * h * b * t + 5 * f),
            "Tokens attend only to their own text: the tables are batch · H · tokens².",
        ),
        _mistake(
            "bytes",
            lambda b, t, c, f, h, g, d: 2 * b * t * (6 * c + 2 * (h + g) * d + 2 * h * t + 5 * f),
            "The result is a number of numbers, not of bytes.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("tensor by tensor", _tensor_by_tensor),
        Alternative("part by part", _by_layer_parts),
    ),
    hints=(
        "For each token: 6·C for the norms, 5·F for the feed-forward layer.",
        "q and the output of the heads have H·D numbers each, k and v G·D each: 2·(H + G)·D.",
        "For each token, each query head has two rows of `tokens` numbers: 2·H·tokens. All this "
        "times batch · tokens.",
    ),
)
