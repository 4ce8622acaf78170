"""The exercise on model FLOPs utilisation."""

from course_lib import accounting
from course_lib.chapters.parameter_counting import answers
from course_lib.chapters.parameter_counting.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_time(
    parameters, num_hidden_layers, attention_width, context, tokens_per_second, peak_flops
):
    """Compare the time of a token at the peak with the time that it takes."""
    products = 2 * num_hidden_layers * context * attention_width
    forward = 2 * (parameters + products)
    at_the_peak = 3 * forward / peak_flops
    return at_the_peak * tokens_per_second


def _mistake(name, formula, explanation):
    """Declare a mistake as a formula in N, A (= L·n·d), speed and peak."""

    def function(
        parameters, num_hidden_layers, attention_width, context, tokens_per_second, peak_flops
    ):
        attention = num_hidden_layers * context * attention_width
        return formula(parameters, attention, tokens_per_second, peak_flops)

    return Misconception(name, function, explanation)


def _as_hinted(
    parameters, num_hidden_layers, attention_width, context, tokens_per_second, peak_flops
):
    flops = 6 * parameters + 12 * num_hidden_layers * context * attention_width
    return tokens_per_second * flops / peak_flops


def _with_the_library(
    parameters, num_hidden_layers, attention_width, context, tokens_per_second, peak_flops
):
    forward = accounting.flops_per_token(parameters, num_hidden_layers, attention_width, context)
    return accounting.model_flops_utilisation(tokens_per_second, 3 * forward, peak_flops)


MFU = Exercise(
    id="parameter_counting.mfu",
    title="The utilisation of a training run",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the model FLOPs utilisation of a training run, a fraction between 0 and 1. The "
        "model has `parameters` in its matrices and num_hidden_layers layers; all query heads of a "
        "layer are attention_width wide together; texts have `context` tokens. Count 6·N for each "
        "token and, for attention, three times the 4·L·n·d of a forward pass, without the mask's "
        "saving. tokens_per_second and peak_flops are those of all GPUs together."
    ),
    solution=answers.training_utilisation,
    reference=_by_time,
    generator=generators.utilisations,
    probes=(
        Probe(
            "no layers",
            lambda: call(1000, 0, 8, 50, 10.0, 120000.0),
            "6 · 1000 FLOPs, ten times a second: 60 000 of 120 000.",
        ),
        Probe(
            "a little attention",
            lambda: call(1000, 2, 8, 5, 10.0, 120000.0),
            "12 · 2 · 5 · 8 = 960 more FLOPs for each token.",
        ),
        Probe(
            "mostly attention",
            lambda: call(1000, 4, 16, 300, 2.0, 1e7),
            "In long texts attention costs more than the matrices.",
        ),
        Probe(
            "Qwen3-8B on an H100",
            lambda: call(7_568_097_280, 36, 4096, 4096, 8000.0, 989e12),
            "0.37 by the matrices alone, 0.43 with attention.",
        ),
    ),
    misconceptions=(
        _mistake(
            "attention left out",
            lambda n, a, speed, peak: speed * 6 * n / peak,
            "6·N counts the matrices. Add 12 · layers · context · width for attention.",
        ),
        _mistake(
            "forward only",
            lambda n, a, speed, peak: speed * (2 * n + 4 * a) / peak,
            "A training step also runs backward, which costs twice the forward pass.",
        ),
        _mistake(
            "attention forward only",
            lambda n, a, speed, peak: speed * (6 * n + 4 * a) / peak,
            "4·L·n·d is attention's forward pass. Its backward pass costs twice that: 12 in all.",
        ),
        _mistake(
            "the forward pass counted twice",
            lambda n, a, speed, peak: speed * (8 * n + 16 * a) / peak,
            "What checkpointing computes a second time does not count: MFU asks what the model "
            "needs.",
        ),
        _mistake(
            "multiply-adds",
            lambda n, a, speed, peak: speed * (3 * n + 6 * a) / peak,
            "The peak counts a multiplication and an addition as two FLOPs, so you must too.",
        ),
        _mistake(
            "upside down",
            lambda n, a, speed, peak: peak / (speed * (6 * n + 12 * a)),
            "You divided the peak by what was used. The utilisation is used / peak.",
        ),
        _mistake(
            "per cent",
            lambda n, a, speed, peak: 100 * speed * (6 * n + 12 * a) / peak,
            "Return a fraction: 0.4, not 40.",
        ),
        _mistake(
            "FLOPs per second",
            lambda n, a, speed, peak: speed * (6 * n + 12 * a),
            "These are the model's FLOPs per second. Divide by the peak.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("with the library's parts", _with_the_library),
        Alternative("by times", _by_time),
    ),
    hints=(
        "How many FLOPs does one token cost in training? Forward: 2·N + 4·L·n·d.",
        "Backward costs twice as much, so 6·N + 12·L·n·d together.",
        "Times tokens_per_second are the FLOPs per second that the model used; divide by the peak.",
    ),
)
