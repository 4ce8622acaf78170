"""Exercises on the parameters of one layer of attention, and of one feed-forward layer."""

from math import prod

from torch import nn

from course_lib import accounting
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _sizes(*shapes):
    return sum(prod(shape) for shape in shapes)


def _attention_by_shape(hidden_size, num_attention_heads, num_key_value_heads, head_dim):
    rows = [head_dim * count for count in (num_attention_heads, num_key_value_heads)]
    kv = (rows[1], hidden_size)
    return _sizes((rows[0], hidden_size), kv, kv, (hidden_size, rows[0]))


def _weights(*sizes):
    """Count the weights of real layers, made without memory for their numbers."""
    layers = [nn.Linear(inputs, outputs, bias=False, device="meta") for inputs, outputs in sizes]
    return sum(layer.weight.numel() for layer in layers)


def _attention_of_layers(hidden_size, num_attention_heads, num_key_value_heads, head_dim):
    queries, keys = num_attention_heads * head_dim, num_key_value_heads * head_dim
    into = [(hidden_size, width) for width in (queries, keys, keys)]
    return _weights(*into, (queries, hidden_size))


def _attention(name, count, explanation):
    """Declare a mistake as a formula in C (width), H, G (heads) and D (head width)."""

    def function(hidden_size, num_attention_heads, num_key_value_heads, head_dim):
        return count(hidden_size, num_attention_heads, num_key_value_heads, head_dim)

    return Misconception(name, function, explanation)


ATTENTION = Exercise(
    id="parameter_counting.attention",
    title="The parameters of attention",
    minutes=5,
    difficulty=1,
    statement=(
        "Return the number of parameters in the four matrices of one attention layer: queries, "
        "keys, values and output. There are no biases. The key/value heads may be fewer than the "
        "query heads, and all heads together need not be as wide as the model."
    ),
    solution=accounting.attention_parameters,
    reference=_attention_by_shape,
    generator=generators.attentions,
    probes=(
        Probe(
            "one head of each kind",
            lambda: call(4, 1, 1, 4),
            "Four matrices of 4 by 4 make 64.",
        ),
        Probe(
            "heads as wide together as the model",
            lambda: call(12, 4, 4, 3),
            "With as many key/value heads as query heads there are four equal matrices: 4·C².",
        ),
        Probe(
            "two query heads share a key/value head",
            lambda: call(4, 2, 1, 3),
            "Only the query and output matrices grow with the number of query heads.",
        ),
        Probe(
            "Qwen3-0.6B",
            lambda: call(1024, 16, 8, 128),
            "Its heads are 2048 wide together, twice the model's width.",
        ),
        Probe("Qwen3-8B", lambda: call(4096, 32, 8, 128), "Four query heads share each key."),
        Probe(
            "billions of parameters",
            lambda: call(49_999, 195, 15, 257),
            "Above 2³¹ a 32-bit integer overflows, and above 2²⁴ float32 rounds. Python's own "
            "integers do neither.",
        ),
    ),
    misconceptions=(
        _attention(
            "key/value heads counted as query heads",
            lambda c, h, g, d: 4 * c * h * d,
            "You gave every query head its own keys and values. With grouped-query attention the "
            "two matrices have only num_key_value_heads · head_dim rows.",
        ),
        _attention(
            "biases counted that do not exist",
            lambda c, h, g, d: _attention_by_shape(c, h, g, d) + h * d + 2 * g * d + c,
            "You added a bias to each matrix. Qwen3, Llama and Mistral have none there, and the "
            "statement says so; GPT-2 has all four.",
        ),
        _attention(
            "heads as wide as hidden_size / heads",
            lambda c, h, g, d: 2 * c * c + 2 * c * g * c // h,
            "You did not use head_dim. In Qwen3-0.6B it is 128, while 1024 / 16 would be 64: the "
            "width of a head is a separate number in the config.",
        ),
        _attention(
            "four square matrices",
            lambda c, h, g, d: 4 * c * c,
            "4·C² is attention as in GPT-2: every head with its own key and value, all "
            "heads together as wide as the model. Here neither need hold: use all four sizes.",
        ),
        _attention(
            "queries as wide as the model",
            lambda c, h, g, d: 2 * c * c + 2 * c * g * d,
            "Keys and values are right. All query heads together are H·D wide, which need not be "
            "C: in Qwen3-0.6B it is twice as much.",
        ),
        _attention(
            "the width of a head forgotten",
            lambda c, h, g, d: 2 * c * (h + g),
            "You counted one number for each head. A head is head_dim numbers wide.",
        ),
        _attention(
            "the output matrix forgotten",
            lambda c, h, g, d: c * h * d + 2 * c * g * d,
            "The outputs of the heads are mixed by a fourth matrix, from H·D to C.",
        ),
        _attention(
            "one matrix for keys and values together",
            lambda c, h, g, d: 2 * c * h * d + c * g * d,
            "Keys and values have one matrix each, so C·G·D counts twice.",
        ),
        _attention(
            "one head of keys and values for all",
            lambda c, h, g, d: 2 * c * h * d + 2 * c * d,
            "This is multi-query attention. There are num_key_value_heads of them.",
        ),
        _attention(
            "the size of a group for the number of groups",
            lambda c, h, g, d: 2 * c * h * d + 2 * c * (h // g) * d,
            "H / G query heads share a key/value head; that is how large a group is. There are "
            "num_key_value_heads keys and values.",
        ),
        _attention(
            "grouped heads in the output as well",
            lambda c, h, g, d: c * h * d + 3 * c * g * d,
            "Every query head has its own output, also where several share one value. The output "
            "matrix has H·D columns.",
        ),
    ),
    alternatives=(
        Alternative(
            "factored",
            lambda hidden_size, num_attention_heads, num_key_value_heads, head_dim: (
                2 * hidden_size * head_dim * (num_attention_heads + num_key_value_heads)
            ),
        ),
        Alternative("as the hints say", _attention_by_shape),
        Alternative("layers made and counted", _attention_of_layers),
    ),
    hints=(
        "A matrix from `a` numbers to `b` numbers has a · b parameters. Which four are there?",
        "Queries go from hidden_size to num_attention_heads · head_dim. Keys and values have "
        "num_key_value_heads instead.",
        "The output goes back: from num_attention_heads · head_dim to hidden_size.",
    ),
)


def _mlp_by_shape(hidden_size, intermediate_size, gated=True):
    into = [(intermediate_size, hidden_size)] * (2 if gated else 1)
    return _sizes(*into, (hidden_size, intermediate_size))


def _mlp(name, count, explanation):
    def function(hidden_size, intermediate_size, gated=True):
        return count(hidden_size, intermediate_size, gated)

    return Misconception(name, function, explanation)


MLP = Exercise(
    id="parameter_counting.mlp",
    title="The parameters of a feed-forward layer",
    minutes=4,
    difficulty=1,
    statement=(
        "Return the number of parameters of one feed-forward layer without biases: gate, up and "
        "down if it is gated, else up and down."
    ),
    solution=accounting.mlp_parameters,
    reference=_mlp_by_shape,
    generator=generators.feed_forwards,
    probes=(
        Probe("gated", lambda: call(4, 5), "Three matrices of 20 make 60."),
        Probe("plain", lambda: call(4, 5, gated=False), "Two matrices of 20 make 40."),
        Probe("four times as wide", lambda: call(6, 24, False), "Only here is it 8·C²."),
        Probe("Qwen3-8B", lambda: call(4096, 12288), "Its F is three times its C."),
        Probe(
            "Llama-2-7B",
            lambda: call(4096, 11008),
            "F is in the config; it does not follow from C.",
        ),
        Probe(
            "Llama-3.1-405B",
            lambda: call(16_384, 53_248),
            "2,617,245,696: above 2³¹, where a 32-bit integer overflows.",
        ),
        Probe(
            "a large odd count",
            lambda: call(4097, 12_289),
            "Above 2²⁴ float32 cannot hold odd numbers. Python's own integers are exact.",
        ),
    ),
    misconceptions=(
        _mlp(
            "always two matrices",
            lambda c, f, gated: 2 * c * f,
            "A gated layer has a third matrix, the gate, as large as the other two.",
        ),
        _mlp(
            "always three matrices",
            lambda c, f, gated: 3 * c * f,
            "Without a gate there are two: up and down.",
        ),
        _mlp(
            "hidden width taken as four times the model's",
            lambda c, f, gated: (12 if gated else 8) * c * c,
            "4·C is the convention of older models. Use intermediate_size.",
        ),
        _mlp(
            "biases counted that do not exist",
            lambda c, f, gated: (3 if gated else 2) * c * f + (2 if gated else 1) * f + c,
            "You added a bias to each matrix. GPT-2 has them, today's models do not.",
        ),
        _mlp(
            "the down matrix forgotten",
            lambda c, f, gated: (2 if gated else 1) * c * f,
            "After the activation function a matrix goes from F back to C.",
        ),
        _mlp(
            "gate and plain mixed up",
            lambda c, f, gated: (2 if gated else 3) * c * f,
            "The gate is the additional matrix: gated means three.",
        ),
        _mlp(
            "a square gate",
            lambda c, f, gated: 2 * c * f + (f * f if gated else 0),
            "The gate is not applied to the output of up: both read the input, so the gate goes "
            "from C to F as well. Count three matrices of C · F.",
        ),
        _mlp(
            "gated width cut to two thirds",
            lambda c, f, gated: 3 * c * (2 * f // 3) if gated else 2 * c * f,
            "Designers choose two thirds of the width to make room for the gate, but "
            "intermediate_size is the width after that choice. Use it as it is.",
        ),
    ),
    alternatives=(
        Alternative(
            "as the hints say",
            lambda hidden_size, intermediate_size, gated=True: (
                (3 if gated else 2) * hidden_size * intermediate_size
            ),
        ),
        Alternative(
            "True counted as 1",
            lambda hidden_size, intermediate_size, gated=True: (
                hidden_size * intermediate_size * (2 + gated)
            ),
        ),
        Alternative(
            "layers made and counted",
            lambda hidden_size, intermediate_size, gated=True: _weights(
                *[(hidden_size, intermediate_size)] * (1 + gated),
                (intermediate_size, hidden_size),
            ),
        ),
    ),
    hints=(
        "How many matrices go from C to F, and how many back?",
        "Each of them has hidden_size · intermediate_size parameters.",
    ),
)
