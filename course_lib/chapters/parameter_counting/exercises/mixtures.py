"""The exercise on the parameters of a mixture of experts that work for one token."""

from dataclasses import replace

from course_lib import accounting
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.chapters.parameter_counting.exercises.generators import SMALL
from course_lib.chapters.parameter_counting.exercises.models import count
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _mixture(experts, chosen, inside, layers=3, tied=True):
    return replace(
        SMALL,
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
    return count(config) - config.num_hidden_layers * sum(a * b for a, b in unused)


def _expert(config):
    return 3 * config.hidden_size * config.moe_intermediate_size


def _by_what_is_idle(config):
    expert = accounting.mlp_parameters(config.hidden_size, config.moe_intermediate_size)
    idle = config.num_experts - config.num_experts_per_tok
    return accounting.total_parameters(config) - config.num_hidden_layers * idle * expert


def _of_a_smaller_model(config):
    """Count a model that has only the working experts, and the rows of its router that it lacks."""
    chosen = config.num_experts_per_tok
    rows = (config.num_experts - chosen) * config.num_hidden_layers
    return count(replace(config, num_experts=chosen)) + rows * config.hidden_size


ACTIVE = Exercise(
    id="parameter_counting.active",
    title="The active parameters",
    minutes=6,
    difficulty=2,
    statement=(
        "Every layer of this model is a mixture of config.num_experts gated experts of width "
        "config.moe_intermediate_size, of which a token uses config.num_experts_per_tok. Return "
        "the parameters of the whole model without the experts that a token does not use. Count "
        "everything else: embedding, router, attention, norms, output head."
    ),
    solution=accounting.active_parameters,
    reference=_count_active,
    generator=generators.mixtures,
    probes=(
        Probe(
            "two experts, one used",
            lambda: call(_mixture(2, 1, 7)),
            "One expert in each layer is left out.",
        ),
        Probe(
            "seven experts, two used",
            lambda: call(replace(_mixture(7, 2, 5, layers=4), vocab_size=1000)),
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
            count,
            "All experts have to be in memory, but one token uses only num_experts_per_tok of "
            "them.",
        ),
        Misconception(
            "the whole model divided",
            lambda config: count(config) * config.num_experts_per_tok / config.num_experts,
            "Attention, embedding, norms and router are used for every token. Only experts are "
            "not.",
        ),
        Misconception(
            "the router divided as well",
            lambda config: (
                _count_active(config)
                - config.num_hidden_layers
                * (config.num_experts - config.num_experts_per_tok)
                * config.hidden_size
            ),
            "The router computes a score for every expert: all of it is used.",
        ),
        Misconception(
            "one layer only",
            lambda config: (
                count(config) - (config.num_experts - config.num_experts_per_tok) * _expert(config)
            ),
            "You left out the unused experts of one layer. There are some in every layer.",
        ),
        Misconception(
            "the active experts left out",
            lambda config: (
                count(config)
                - config.num_hidden_layers * config.num_experts_per_tok * _expert(config)
            ),
            "You subtracted the active experts. Subtract the others: num_experts − "
            "num_experts_per_tok in each layer.",
        ),
        Misconception(
            "only the experts counted",
            lambda config: config.num_hidden_layers * config.num_experts_per_tok * _expert(config),
            "These are only the active experts. Attention, embedding and norms count too.",
        ),
        Misconception(
            "two matrices in an expert",
            lambda config: (
                count(config)
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
                count(config)
                - config.num_hidden_layers
                * (config.num_experts - config.num_experts_per_tok)
                * 3
                * config.hidden_size
                * config.intermediate_size
            ),
            "The width of an expert is config.moe_intermediate_size; intermediate_size is that of "
            "a dense layer, which this model does not have.",
        ),
        Misconception(
            "the router forgotten",
            lambda config: (
                _count_active(config)
                - config.num_hidden_layers * config.num_experts * config.hidden_size
            ),
            "Each layer has a router, one row of hidden_size numbers for each expert, and every "
            "token uses all of it.",
        ),
        Misconception(
            "the embedding left out",
            lambda config: _count_active(config) - config.vocab_size * config.hidden_size,
            "Some papers leave the embedding out. Here everything counts except unused experts.",
        ),
        Misconception(
            "the whole model divided, rounded down",
            lambda config: count(config) * config.num_experts_per_tok // config.num_experts,
            "Attention, embedding, norms and router are used for every token. Only experts are "
            "not.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _by_what_is_idle),
        Alternative("tensor by tensor", _count_active),
        Alternative("a model of the active experts", _of_a_smaller_model),
    ),
    hints=(
        "Start with accounting.total_parameters(config). What does one token not use?",
        "In each layer num_experts − num_experts_per_tok experts are not used.",
        "An expert is a gated layer: accounting.mlp_parameters(config.hidden_size, "
        "config.moe_intermediate_size).",
    ),
)
