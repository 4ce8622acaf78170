"""The exercise on the width at which a gated layer has as many parameters as a plain one."""

import math

from course_lib import mlp
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _smallest_enough(width, multiple_of=1, expansion=4):
    hidden = multiple_of
    while 3 * hidden < 2 * expansion * width:
        hidden += multiple_of
    return hidden


MATCHED = Exercise(
    id="mlp.matched_width",
    title="A fair width for a gated layer",
    minutes=6,
    difficulty=2,
    statement=(
        "A plain layer has F = expansion · width hidden units. Return the F with which a gated "
        "layer has as many parameters, rounded up once to a multiple of `multiple_of`."
    ),
    solution=mlp.matched_hidden_width,
    reference=_smallest_enough,
    generator=generators.widths,
    probes=(
        Probe(
            "192",
            lambda: call(192),
            "Two matrices of 192 · 768 have as many parameters as three of 192 · 512.",
        ),
        Probe(
            "Llama-2-7B",
            lambda: call(4096, multiple_of=256),
            "8/3 of 4096 is 10922.67, and the next multiple of 256 is 11008.",
        ),
        Probe(
            "nothing to round",
            lambda: call(96, multiple_of=256),
            "8/3 of 96 is 256, which is already a multiple of 256.",
        ),
        Probe(
            "just above a multiple",
            lambda: call(99, multiple_of=256),
            "8/3 of 99 is 264: rounding up gives 512, although 256 is closer.",
        ),
        Probe("expansion 2", lambda: call(90, expansion=2), "2/3 of what the plain layer has."),
        Probe(
            "a fraction of two thirds",
            lambda: call(97, multiple_of=2, expansion=1),
            "2/3 of 97 is 64.67: more than 64, so 66.",
        ),
    ),
    misconceptions=(
        Misconception(
            "as wide as the plain layer",
            lambda width, multiple_of=1, expansion=4: (
                math.ceil(expansion * width / multiple_of) * multiple_of
            ),
            "A gated layer has three matrices. At equal width it has 50 % more parameters.",
        ),
        Misconception(
            "rounded down",
            lambda width, multiple_of=1, expansion=4: (
                2 * expansion * width // 3 // multiple_of * multiple_of
            ),
            "Round up to the next multiple.",
        ),
        Misconception(
            "the fraction dropped first",
            lambda width, multiple_of=1, expansion=4: (
                math.ceil(2 * expansion * width // 3 / multiple_of) * multiple_of
            ),
            "// 3 rounds down before you round up: 256.33 becomes 256, which is already a "
            "multiple but too small. Round once, up, at the end.",
        ),
        Misconception(
            "rounded to the nearest, then up",
            lambda width, multiple_of=1, expansion=4: (
                math.ceil(round(2 * expansion * width / 3) / multiple_of) * multiple_of
            ),
            "You round twice, and the first time possibly down: 256.33 becomes 256, which is "
            "already a multiple. Round once, up, at the end.",
        ),
        Misconception(
            "rounded to the nearest",
            lambda width, multiple_of=1, expansion=4: (
                round(2 * expansion * width / 3 / multiple_of) * multiple_of
            ),
            "Round up, even from just above a multiple.",
        ),
        Misconception(
            "one multiple too many",
            lambda width, multiple_of=1, expansion=4: (
                (2 * expansion * width // 3 // multiple_of + 1) * multiple_of
            ),
            "A number that is already a multiple stays as it is.",
        ),
        Misconception(
            "3/2 for 2/3",
            lambda width, multiple_of=1, expansion=4: (
                math.ceil(3 * expansion * width / 2 / multiple_of) * multiple_of
            ),
            "Three matrices instead of two: each must be narrower, so multiply by 2/3.",
        ),
        Misconception(
            "expansion ignored",
            lambda width, multiple_of=1, expansion=4: (
                math.ceil(8 * width / 3 / multiple_of) * multiple_of
            ),
            "8/3 is 2/3 of 4. For a different expansion, take 2/3 of that.",
        ),
        Misconception(
            "the multiple ignored",
            lambda width, multiple_of=1, expansion=4: math.ceil(2 * expansion * width / 3),
            "Round up to a multiple of `multiple_of`: such widths are faster on hardware.",
        ),
    ),
    alternatives=(
        Alternative(
            "as the hints have it",
            lambda width, multiple_of=1, expansion=4: (
                math.ceil(2 * expansion * width / 3 / multiple_of) * multiple_of
            ),
        ),
        Alternative("multiple by multiple", _smallest_enough),
        Alternative(
            "first to a whole unit, then to a multiple",
            lambda width, multiple_of=1, expansion=4: (
                (hidden := -(-2 * expansion * width // 3)) + -hidden % multiple_of
            ),
        ),
    ),
    hints=(
        "Plain: 2 · C · (expansion · C) parameters. Gated: 3 · C · F. Set them equal.",
        "F = 2 · expansion · C / 3.",
        "math.ceil(F / multiple_of) * multiple_of rounds up.",
    ),
)
