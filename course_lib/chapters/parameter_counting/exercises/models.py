"""The exercise on the parameters of a whole model."""

from dataclasses import replace

from course_lib import accounting
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.chapters.parameter_counting.exercises.generators import LARGE_AND_ODD, SMALL
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_UNTIED = replace(SMALL, tie_word_embeddings=False)
_LLAMA = replace(SMALL, model_type="llama", qk_norm=False, num_hidden_layers=5)


def _shapes(config):
    """Yield the shape of every tensor that a checkpoint of this configuration holds."""
    width, depth = config.hidden_size, config.head_dim
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    yield config.vocab_size, width
    for _ in range(config.num_hidden_layers):
        yield heads * depth, width
        yield groups * depth, width
        yield groups * depth, width
        yield width, heads * depth
        if config.qk_norm:
            yield 1, depth
            yield 1, depth
        if config.num_experts:
            yield config.num_experts, width
        for _ in range(max(1, config.num_experts)):
            inside = config.moe_intermediate_size or config.intermediate_size
            yield inside, width
            yield inside, width
            yield width, inside
        yield 1, width
        yield 1, width
    yield 1, width
    if not config.tie_word_embeddings:
        yield config.vocab_size, width


def count(config):
    """Add up the sizes of all tensors, without any formula."""
    return sum(rows * columns for rows, columns in _shapes(config))


def _off_by(name, difference, explanation):
    """Declare a mistake by what it adds to the right count."""
    return Misconception(name, lambda config: count(config) + difference(config), explanation)


def _table(config):
    return config.vocab_size * config.hidden_size


def _norms(config):
    return (2 * config.num_hidden_layers + 1) * config.hidden_size


def _qk_norms(config):
    return 2 * config.num_hidden_layers * config.head_dim * config.qk_norm


def _more_key_value_rows(config):
    missing = config.num_attention_heads - config.num_key_value_heads
    return 2 * config.num_hidden_layers * missing * config.head_dim * config.hidden_size


def _one_layer(config):
    rest = _table(config) * (1 if config.tie_word_embeddings else 2) + config.hidden_size
    return (count(config) - rest) // config.num_hidden_layers


def _biases(config):
    rows = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
    return config.num_hidden_layers * (rows + config.hidden_size)


def _by_parts(config):
    attention = accounting.attention_parameters(
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        qk_norm=config.qk_norm,
    )
    mlp = accounting.mlp_parameters(config.hidden_size, config.intermediate_size)
    tables = 1 if config.tie_word_embeddings else 2
    layer = attention + mlp + 2 * config.hidden_size
    ends = tables * config.vocab_size * config.hidden_size + config.hidden_size
    return ends + config.num_hidden_layers * layer


def _in_one_formula(config):
    c, d, heads = config.hidden_size, config.head_dim, config.num_attention_heads
    matrices = 2 * d * (heads + config.num_key_value_heads) + 3 * config.intermediate_size
    return c * (
        config.vocab_size * (2 - config.tie_word_embeddings) + 1
    ) + config.num_hidden_layers * (c * (matrices + 2) + 2 * d * config.qk_norm)


MODEL = Exercise(
    id="parameter_counting.model",
    title="The parameters of a whole model",
    minutes=10,
    difficulty=2,
    statement=(
        "Return the number of parameters of a dense model with gated feed-forward layers and no "
        "biases. You get its config, with Hugging Face's names: config.vocab_size, "
        "config.hidden_size, config.tie_word_embeddings, config.qk_norm and so on. A tied output "
        "head is the embedding and counts once; two norms in each layer and one after the last."
    ),
    solution=accounting.total_parameters,
    reference=count,
    generator=generators.models,
    probes=(
        Probe(
            "one layer, tied, no QK-norm",
            lambda: call(replace(_LLAMA, num_hidden_layers=1)),
            "One table, one block, and three norms.",
        ),
        Probe("five layers", lambda: call(_LLAMA), "Two norms in each layer and one at the end."),
        Probe(
            "with QK-norm",
            lambda: call(SMALL),
            "Queries and keys have a norm each, of head_dim numbers, shared by all heads.",
        ),
        Probe("untied", lambda: call(_UNTIED), "The output head is a second table."),
        Probe(
            "Qwen3-0.6B",
            lambda: call(accounting.MODELS["Qwen3-0.6B"]),
            "596,049,920: tied, and with heads wider than the model.",
        ),
        Probe(
            "Qwen3-8B",
            lambda: call(accounting.MODELS["Qwen3-8B"]),
            "8,190,735,360: untied.",
        ),
        Probe(
            "Llama-3-8B",
            lambda: call(accounting.MODELS["Llama-3-8B"]),
            "8,030,261,248: untied, without QK-norm.",
        ),
        Probe(
            "large and odd sizes",
            lambda: call(LARGE_AND_ODD),
            "Billions of parameters, to the last one: float32 rounds such a count.",
        ),
    ),
    misconceptions=(
        _off_by(
            "a tied output head counted twice",
            lambda config: _table(config) * config.tie_word_embeddings,
            "With tie_word_embeddings the output head *is* the embedding: one table in memory and "
            "in the file. Count it once.",
        ),
        _off_by(
            "an untied output head left out",
            lambda config: -_table(config) * (not config.tie_word_embeddings),
            "Without tie_word_embeddings the output head is a separate table, as large as the "
            "embedding: 622 million parameters in Qwen3-8B.",
        ),
        _off_by(
            "tied and untied exchanged",
            lambda config: _table(config) * (1 if config.tie_word_embeddings else -1),
            "tie_word_embeddings=True means that the output head *is* the embedding and adds "
            "nothing. You added it there, and left it out where it is a separate table.",
        ),
        _off_by(
            "the embedding forgotten",
            lambda config: -_table(config),
            "The embedding is a table of vocab_size · hidden_size, whether or not the head is tied "
            "to it.",
        ),
        _off_by(
            "a single layer",
            lambda config: (1 - config.num_hidden_layers) * _one_layer(config),
            "You counted one layer. There are num_hidden_layers of them, all of one size.",
        ),
        _off_by(
            "two matrices in the MLP",
            lambda config: (
                -config.num_hidden_layers * config.hidden_size * config.intermediate_size
            ),
            "The MLP is gated: gate, up and down are three matrices.",
        ),
        _off_by(
            "key/value heads counted as query heads",
            _more_key_value_rows,
            "Keys and values have num_key_value_heads · head_dim rows each.",
        ),
        _off_by(
            "biases counted that do not exist",
            _biases,
            "You added biases to the projections of attention. These models have none.",
        ),
        _off_by(
            "all norms forgotten",
            lambda config: -_norms(config) - _qk_norms(config),
            "You counted matrices only. Norms are vectors of parameters: two of hidden_size in "
            "each layer, one after the last; with config.qk_norm also two of head_dim in each.",
        ),
        _off_by(
            "norms of the stream forgotten",
            lambda config: -_norms(config),
            "Each norm has hidden_size parameters: two in every layer, one after the last. They "
            "are few, but the count is exact only with them.",
        ),
        _off_by(
            "the last norm forgotten",
            lambda config: -config.hidden_size,
            "There is one more norm after the last block, before the output head.",
        ),
        _off_by(
            "one norm in each layer",
            lambda config: -config.num_hidden_layers * config.hidden_size,
            "A block has two norms: before attention and before the feed-forward layer.",
        ),
        _off_by(
            "QK-norm forgotten",
            lambda config: -_qk_norms(config),
            "Where config.qk_norm is set, each layer has two more norms of head_dim numbers.",
        ),
        _off_by(
            "one QK-norm in each layer",
            lambda config: -_qk_norms(config) // 2,
            "Queries have one norm and keys have one: 2 · head_dim in each layer.",
        ),
        _off_by(
            "QK-norm in one layer",
            lambda config: _qk_norms(config) // config.num_hidden_layers - _qk_norms(config),
            "Every layer has its own two norms for queries and keys.",
        ),
        _off_by(
            "a QK-norm for each head",
            lambda config: (
                (config.num_attention_heads + config.num_key_value_heads - 2)
                * config.num_hidden_layers
                * config.head_dim
                * config.qk_norm
            ),
            "All query heads share one norm of head_dim numbers, and all key heads share one.",
        ),
        _off_by(
            "a bias in each norm",
            _norms,
            "LayerNorm has a weight and a bias, RMSNorm only a weight.",
        ),
    ),
    alternatives=(
        Alternative("tensor by tensor", count),
        Alternative("as the hints say", _by_parts),
        Alternative("in one formula", _in_one_formula),
    ),
    hints=(
        "Go through the model: embedding, then in each layer two norms, attention and MLP, then "
        "the last norm and the output head. You have functions for two of these: "
        "accounting.attention_parameters and accounting.mlp_parameters.",
        "The output head counts only if config.tie_word_embeddings is False.",
        "With config.qk_norm each layer has 2 · head_dim parameters more; "
        "attention_parameters(..., qk_norm=config.qk_norm) counts them.",
    ),
)
