"""Exercises on FLOPs, forward and in training."""

from course_lib import accounting
from course_lib.chapters.parameter_counting.exercises import generators
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
        "Return the forward FLOPs of one token: the products with `parameters` weights, and in "
        "each of num_hidden_layers layers those of its query with `context` keys and of the "
        "attention weights with as many values. All query heads of a layer are attention_width "
        "wide together. A multiplication and an addition count as two."
    ),
    solution=accounting.flops_per_token,
    reference=_token_by_products,
    generator=generators.tokens,
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
            "3 layers; q·k takes 2 · 5 · 7 FLOPs, the weighted sum of values the same.",
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
        Probe(
            "large and odd sizes",
            lambda: call(1_000_000_007, 61, 4099, 10_001),
            "Billions of FLOPs, to the last one: float32 rounds such a count.",
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
            "2 · N counts the matrices. The query is also multiplied with every key, and "
            "every value with its weight: work that has no parameters.",
        ),
        _token(
            "only the scores counted",
            lambda n, layers, d, t: 2 * n + 2 * layers * d * t,
            "There are two products in attention: q with the keys, and the weights with the "
            "values. Each takes 2 · context · width FLOPs. (Half of the context because of the "
            "mask? This token is the last one: it attends to all `context` tokens.)",
        ),
        _token(
            "the work of a whole text",
            lambda n, layers, d, t: t * (2 * n + 4 * layers * d * t),
            "This is the work for a whole text of `context` tokens. One token passes "
            "through the matrices once and attends to the keys and values of the others.",
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
            "the token itself not counted",
            lambda n, layers, d, t: 2 * n + 4 * layers * d * (t - 1),
            "`context` is the number of keys that the query meets. A token attends to itself as "
            "well, and `context` includes it: do not subtract 1.",
        ),
        _token(
            "a training step",
            lambda n, layers, d, t: 6 * n + 12 * layers * d * t,
            "6 FLOPs for a parameter are forward and backward together. Count only forward.",
        ),
        _token(
            "multiply-adds for the parameters only",
            lambda n, layers, d, t: n + 4 * layers * d * t,
            "You counted attention in FLOPs and the matrices in multiply-adds. Each parameter "
            "takes a multiplication and an addition: 2 FLOPs.",
        ),
    ),
    alternatives=(
        Alternative("layer by layer", _token_by_products),
        Alternative(
            "as the hints say",
            lambda parameters, num_hidden_layers, attention_width, context: (
                2 * parameters + 4 * num_hidden_layers * context * attention_width
            ),
        ),
        Alternative(
            "products first, then doubled",
            lambda parameters, num_hidden_layers, attention_width, context: (
                2
                * (
                    parameters
                    + sum(2 * attention_width * context for _ in range(num_hidden_layers))
                )
            ),
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
    generator=generators.trainings,
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
            "2 · N · tokens is one pass forward. The backward pass costs twice that.",
        ),
        _training(
            "multiply-adds",
            3,
            "You counted a multiplication and an addition as one. As FLOPs they are two.",
        ),
        _training(
            "backward as costly as forward, or backward alone",
            4,
            "4·N is what you get if backward costs as much as forward, and also if you count only "
            "backward. Forward is 2·N; backward has two products where forward has one, so 4·N "
            "more.",
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
        Misconception(
            "tokens added instead of multiplied",
            lambda parameters, tokens: 6 * parameters + tokens,
            "6 · N is the work for one token. Each of the tokens costs that much: multiply by "
            "their number instead of adding it.",
        ),
    ),
    alternatives=(
        Alternative("product by product", _training_by_products),
        Alternative("as the hints say", lambda n, tokens: (2 + 2 + 2) * n * tokens),
        Alternative("a whole number from floats", lambda n, tokens: 6.0 * n * tokens),
    ),
    hints=(
        "One token forward: 2 FLOPs for each parameter.",
        "Backward computes two gradients for each matrix, of its input and of its weight. Each is "
        "a product as large as the forward one.",
        "2 + 2 + 2 for each parameter and token.",
    ),
)
