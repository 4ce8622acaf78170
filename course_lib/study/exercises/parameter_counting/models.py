"""Exercises on the parameters of whole models, and of the part that works for one token."""

from dataclasses import replace

from course_lib import accounting
from course_lib.model import ModelConfig
from course_lib.study.exercise import Exercise, Misconception, Probe, call

# Every size is another, so that no two can be confused without being noticed.
_SMALL = ModelConfig(50, 12, 20, 3, 4, 2, 8, 64)
_UNTIED = replace(_SMALL, tie_word_embeddings=False)
_LLAMA = replace(_SMALL, model_type="llama", qk_norm=False, num_hidden_layers=5)


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


def _count(config):
    return sum(rows * columns for rows, columns in _shapes(config))


def _off_by(name, difference, explanation):
    """Declare a mistake by what it adds to the right count."""
    return Misconception(name, lambda config: _count(config) + difference(config), explanation)


def _table(config):
    return config.vocab_size * config.hidden_size


def _more_key_value_rows(config):
    missing = config.num_attention_heads - config.num_key_value_heads
    return 2 * config.num_hidden_layers * missing * config.head_dim * config.hidden_size


def _biases(config):
    rows = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
    return config.num_hidden_layers * (rows + config.hidden_size)


MODEL = Exercise(
    id="parameter_counting.model",
    title="The parameters of a whole model",
    minutes=10,
    difficulty=2,
    statement=(
        "Return the number of parameters of a dense model with gated feed-forward layers and no "
        "biases. You get its config, with Hugging Face's names: config.vocab_size, "
        "config.hidden_size, config.tie_word_embeddings, config.qk_norm and so on."
    ),
    solution=accounting.total_parameters,
    reference=_count,
    probes=(
        Probe(
            "one layer, tied, no QK-norm",
            lambda: call(replace(_LLAMA, num_hidden_layers=1)),
            "One table, one block, and three norms.",
        ),
        Probe("five layers", lambda: call(_LLAMA), "Two norms in each layer and one at the end."),
        Probe(
            "with QK-norm",
            lambda: call(_SMALL),
            "Queries and keys have a norm each, of head_dim numbers, shared by all heads.",
        ),
        Probe("untied", lambda: call(_UNTIED), "The head is a second table."),
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
    ),
    misconceptions=(
        _off_by(
            "a tied head counted twice",
            lambda config: _table(config) * config.tie_word_embeddings,
            "With tie_word_embeddings the head *is* the embedding: one table in memory, and in "
            "the file. Count it once.",
        ),
        _off_by(
            "an untied head left out",
            lambda config: -_table(config) * (not config.tie_word_embeddings),
            "Without tie_word_embeddings the head is a table of its own, as large as the "
            "embedding: 622 million parameters in Qwen3-8B.",
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
            "norms forgotten",
            lambda config: -(2 * config.num_hidden_layers + 1) * config.hidden_size,
            "Each norm has hidden_size parameters: two in every layer, one behind the last. Few, "
            "but the count is exact only with them.",
        ),
        _off_by(
            "the last norm forgotten",
            lambda config: -config.hidden_size,
            "One norm stands behind the last block, before the head.",
        ),
        _off_by(
            "one norm in each layer",
            lambda config: -config.num_hidden_layers * config.hidden_size,
            "A block has two norms: before attention and before the feed-forward layer.",
        ),
        _off_by(
            "QK-norm forgotten",
            lambda config: -2 * config.num_hidden_layers * config.head_dim * config.qk_norm,
            "Where config.qk_norm is set, each layer has two more norms of head_dim numbers.",
        ),
        _off_by(
            "a QK-norm for each head",
            lambda config: (
                (config.num_attention_heads + config.num_key_value_heads - 2)
                * config.num_hidden_layers
                * config.head_dim
                * config.qk_norm
            ),
            "All query heads share one norm of head_dim numbers, and all key heads another.",
        ),
        _off_by(
            "a bias in each norm",
            lambda config: (2 * config.num_hidden_layers + 1) * config.hidden_size,
            "LayerNorm has a weight and a bias, RMSNorm a weight only.",
        ),
    ),
    hints=(
        "Go through the model: embedding, then in each layer two norms, attention and MLP, then "
        "the last norm and the head. You have functions for two of these: "
        "accounting.attention_parameters and accounting.mlp_parameters.",
        "The head counts only if config.tie_word_embeddings is False.",
        "With config.qk_norm each layer has 2 · head_dim parameters more; "
        "attention_parameters(..., qk_norm=config.qk_norm) counts them.",
    ),
)


def _mixture(experts, chosen, inside, layers=3, tied=True):
    return replace(
        _SMALL,
        model_type="qwen3_moe",
        num_hidden_layers=layers,
        num_experts=experts,
        num_experts_per_tok=chosen,
        moe_intermediate_size=inside,
        tie_word_embeddings=tied,
    )


def _count_active(config):
    idle = config.num_experts - config.num_experts_per_tok
    unused = [(config.moe_intermediate_size, config.hidden_size)] * 3 * idle
    return _count(config) - config.num_hidden_layers * sum(a * b for a, b in unused)


def _expert(config):
    return 3 * config.hidden_size * config.moe_intermediate_size


ACTIVE = Exercise(
    id="parameter_counting.active",
    title="The parameters that work for one token",
    minutes=6,
    difficulty=2,
    statement=(
        "Every layer of this model is a mixture of config.num_experts gated experts of width "
        "config.moe_intermediate_size, of which a token uses config.num_experts_per_tok. Return "
        "the parameters of the whole model without the experts that a token does not use."
    ),
    solution=accounting.active_parameters,
    reference=_count_active,
    probes=(
        Probe(
            "two experts, one used",
            lambda: call(_mixture(2, 1, 7)),
            "One expert in each layer is left out.",
        ),
        Probe(
            "seven experts, two used",
            lambda: call(_mixture(7, 2, 5, layers=4)),
            "Five experts in each of four layers are left out.",
        ),
        Probe(
            "all experts used",
            lambda: call(_mixture(3, 3, 5, tied=False)),
            "Nothing is left out.",
        ),
        Probe(
            "Qwen3-30B-A3B",
            lambda: call(accounting.MODELS["Qwen3-30B-A3B"]),
            "3,353,032,704 of 30,532,122,624: the A3B of its name.",
        ),
        Probe(
            "Qwen3-235B-A22B",
            lambda: call(accounting.MODELS["Qwen3-235B-A22B"]),
            "22,190,763,520 of 235,093,634,560.",
        ),
    ),
    misconceptions=(
        Misconception(
            "all experts counted as active",
            _count,
            "This is what has to be in memory. One token runs through num_experts_per_tok of them.",
        ),
        Misconception(
            "the whole model divided",
            lambda config: _count(config) * config.num_experts_per_tok // config.num_experts,
            "Attention, tables, norms and router work for every token. Only experts are idle.",
        ),
        Misconception(
            "the router divided as well",
            lambda config: (
                _count_active(config)
                - config.num_hidden_layers
                * (config.num_experts - config.num_experts_per_tok)
                * config.hidden_size
            ),
            "To find the best, the router scores all experts: it is used whole.",
        ),
        Misconception(
            "one layer only",
            lambda config: (
                _count(config) - (config.num_experts - config.num_experts_per_tok) * _expert(config)
            ),
            "You left out the idle experts of one layer. There are some in every layer.",
        ),
        Misconception(
            "only the experts counted",
            lambda config: config.num_hidden_layers * config.num_experts_per_tok * _expert(config),
            "These are the experts at work. Attention, tables and norms work as well.",
        ),
        Misconception(
            "two matrices in an expert",
            lambda config: (
                _count(config)
                - config.num_hidden_layers
                * (config.num_experts - config.num_experts_per_tok)
                * 2
                * config.hidden_size
                * config.moe_intermediate_size
            ),
            "An expert is a gated layer: gate, up and down.",
        ),
        Misconception(
            "experts as wide as a dense layer",
            lambda config: (
                _count(config)
                - config.num_hidden_layers
                * (config.num_experts - config.num_experts_per_tok)
                * 3
                * config.hidden_size
                * config.intermediate_size
            ),
            "The width of an expert is config.moe_intermediate_size; intermediate_size is that of "
            "a dense layer, which this model does not have.",
        ),
    ),
    hints=(
        "Begin with accounting.total_parameters(config). What does one token not use?",
        "In each layer num_experts − num_experts_per_tok experts are idle.",
        "An expert is a gated layer: accounting.mlp_parameters(config.hidden_size, "
        "config.moe_intermediate_size).",
    ),
)
