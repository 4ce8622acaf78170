"""The exercise on the bytes of a decode step."""

from dataclasses import replace

import torch

from course_lib import accounting
from course_lib.chapters.parameter_counting import answers
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.chapters.parameter_counting.exercises.generators import LARGE_AND_ODD, SMALL
from course_lib.chapters.parameter_counting.exercises.models import count
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_UNTIED = replace(SMALL, tie_word_embeddings=False)


def _cache(config, context, batch, size):
    shape = (2, config.num_hidden_layers, batch, config.num_key_value_heads, context)
    return torch.empty((*shape, config.head_dim), device="meta").numel() * size


def _tensors_and_rows(config, context, batch=1, bytes_per_number=2):
    """Add up the tensors of a tied model, and the rows that an untied one looks up."""
    read = count(replace(config, tie_word_embeddings=True))
    if not config.tie_word_embeddings:
        read += batch * config.hidden_size
    return read * bytes_per_number + _cache(config, context, batch, bytes_per_number)


def _mistake(name, change, explanation):
    """Declare a mistake by the bytes of weights and of caches that it counts."""

    def function(config, context, batch=1, bytes_per_number=2):
        cache = _cache(config, context, batch, bytes_per_number)
        weights = _tensors_and_rows(config, context, batch, bytes_per_number) - cache
        given = {"config": config, "context": context, "batch": batch, "size": bytes_per_number}
        return change(weights, cache, given)

    return Misconception(name, function, explanation)


def _table(given):
    config = given["config"]
    untied = not config.tie_word_embeddings
    return untied * config.vocab_size * config.hidden_size * given["size"]


def _rows(given):
    config = given["config"]
    untied = not config.tie_word_embeddings
    return untied * given["batch"] * config.hidden_size * given["size"]


def _as_hinted(config, context, batch=1, bytes_per_number=2):
    read = accounting.total_parameters(config)
    if not config.tie_word_embeddings:
        read = read - config.vocab_size * config.hidden_size + batch * config.hidden_size
    cache = accounting.kv_cache_bytes(
        config.num_hidden_layers,
        config.num_key_value_heads,
        config.head_dim,
        context,
        batch,
        bytes_per_number,
    )
    return read * bytes_per_number + cache


def _numbers_first(config, context, batch=1, bytes_per_number=2):
    each = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    read = accounting.total_parameters(replace(config, tie_word_embeddings=True))
    rows = 0 if config.tie_word_embeddings else batch * config.hidden_size
    return bytes_per_number * (read + rows + batch * context * each)


STEP_BYTES = Exercise(
    id="parameter_counting.step_bytes",
    title="The bytes of a decode step",
    minutes=12,
    difficulty=2,
    statement=(
        "Return the bytes that one decode step of a dense model reads for `batch` texts of "
        "`context` tokens each: all weights once, and the caches of all texts; every number has "
        "`bytes_per_number` bytes. An untied embedding table (config.tie_word_embeddings is False) "
        "is only looked up: a row of hidden_size numbers for each text instead of the table. A "
        "tied one is read whole, since it is the output head. You may use "
        "`accounting.total_parameters` and `accounting.kv_cache_bytes`."
    ),
    solution=answers.decode_step_bytes,
    reference=_tensors_and_rows,
    generator=generators.steps,
    probes=(
        Probe("tied, one text", lambda: call(SMALL, 7), "All weights, and the keys and values."),
        Probe(
            "untied, one text",
            lambda: call(_UNTIED, 7),
            "Of the embedding table a single row is read; the output head is read whole.",
        ),
        Probe(
            "untied, five texts",
            lambda: call(_UNTIED, 7, batch=5),
            "Five rows, five caches, and the other weights once.",
        ),
        Probe(
            "in float32",
            lambda: call(_UNTIED, 3, batch=4, bytes_per_number=4),
            "4 bytes for each number, in weights and caches.",
        ),
        Probe(
            "Qwen3-8B, 2048 tokens",
            lambda: call(accounting.MODELS["Qwen3-8B"], 2048),
            "15.1 GB of weights, not 16.4, and 0.3 GB of keys and values.",
        ),
        Probe(
            "large and odd sizes",
            lambda: call(LARGE_AND_ODD, 1001, batch=3, bytes_per_number=1),
            "Billions of bytes, to the last one: float32 rounds such a number.",
        ),
    ),
    misconceptions=(
        _mistake(
            "the embedding table read whole",
            lambda weights, cache, given: weights - _rows(given) + _table(given) + cache,
            "An untied embedding table is only looked up: one row for each text. Subtract "
            "vocab_size · hidden_size.",
        ),
        _mistake(
            "no row of the table",
            lambda weights, cache, given: weights - _rows(given) + cache,
            "You left the table out entirely. Each text looks up one row of hidden_size numbers.",
        ),
        _mistake(
            "one row for all texts",
            lambda weights, cache, given: (
                weights - _rows(given) + _rows(given) // given["batch"] + cache
            ),
            "Each text has a different newest token, and so its own row: batch · hidden_size.",
        ),
        _mistake(
            "the table left out of tied models too",
            lambda weights, cache, given: (
                weights
                - (
                    given["config"].tie_word_embeddings
                    * (given["config"].vocab_size - given["batch"])
                    * given["config"].hidden_size
                    * given["size"]
                )
                + cache
            ),
            "A tied table is also the output head: the logits need all of it.",
        ),
        _mistake(
            "weights read for each text",
            lambda weights, cache, given: weights * given["batch"] + cache,
            "A step reads the weights once for the whole batch: that is what a batch is for.",
        ),
        _mistake(
            "the cache of one text",
            lambda weights, cache, given: weights + cache // given["batch"],
            "Every text reads its own cache.",
        ),
        _mistake(
            "no cache",
            lambda weights, cache, given: weights,
            "The newest token attends to all keys and values of its text: they are read too.",
        ),
        _mistake(
            "always two bytes",
            lambda weights, cache, given: (weights + cache) // given["size"] * 2,
            "2 bytes are right for bfloat16 only. Use bytes_per_number.",
        ),
        _mistake(
            "numbers instead of bytes",
            lambda weights, cache, given: (weights + cache) // given["size"],
            "You counted numbers. Multiply by bytes_per_number.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("numbers first", _numbers_first),
        Alternative("tensor by tensor", _tensors_and_rows),
    ),
    hints=(
        "Start with accounting.total_parameters(config). Which weights does a step not read?",
        "If the model is untied: subtract vocab_size · hidden_size, add batch · hidden_size.",
        "Times bytes_per_number; plus accounting.kv_cache_bytes(config.num_hidden_layers, "
        "config.num_key_value_heads, config.head_dim, context, batch, bytes_per_number).",
    ),
)
