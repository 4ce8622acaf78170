"""An exercise on one step of the arithmetic coder."""

from fractions import Fraction

from course_lib import information
from course_lib.chapters.language_models.exercises.generators import interval_and_share
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _edge(low, high, cumulative, total):
    exact = low + Fraction((high - low) * cumulative, total)
    return exact.numerator // exact.denominator


def _in_fractions(low, high, cumulative_low, cumulative_high, total):
    return tuple(_edge(low, high, edge, total) for edge in (cumulative_low, cumulative_high))


def _from_the_new_low(low, high, cumulative_low, cumulative_high, total):
    width = high - low
    low = low + width * cumulative_low // total
    return low, low + width * cumulative_high // total


def _after_low_has_moved(low, high, cumulative_low, cumulative_high, total):
    low = low + (high - low) * cumulative_low // total
    high = low + (high - low) * cumulative_high // total
    return low, high


def _low_left_out(low, high, cumulative_low, cumulative_high, total):
    width = high - low
    return width * cumulative_low // total, width * cumulative_high // total


def _divided_first(low, high, cumulative_low, cumulative_high, total):
    unit = (high - low) // total
    return low + unit * cumulative_low, low + unit * cumulative_high


def _high_included(low, high, cumulative_low, cumulative_high, total):
    width = high - low + 1
    return low + width * cumulative_low // total, low + width * cumulative_high // total - 1


def _rounded_up(low, high, cumulative_low, cumulative_high, total):
    width = high - low
    return low + width * cumulative_low // total, low - (-width * cumulative_high // total)


def _with_real_numbers(low, high, cumulative_low, cumulative_high, total):
    width = high - low
    return low + width * cumulative_low / total, low + width * cumulative_high / total


def _cut_off(low, high, cumulative_low, cumulative_high, total):
    ends = _with_real_numbers(low, high, cumulative_low, cumulative_high, total)
    return int(ends[0]), int(ends[1])


def _rounded(low, high, cumulative_low, cumulative_high, total):
    ends = _with_real_numbers(low, high, cumulative_low, cumulative_high, total)
    return round(ends[0]), round(ends[1])


def _by_divmod(low, high, cumulative_low, cumulative_high, total):
    edges = (cumulative_low, cumulative_high)
    return tuple(low + divmod((high - low) * edge, total)[0] for edge in edges)


def _in_one_division(low, high, cumulative_low, cumulative_high, total):
    """Take the weighted mean of low and high for each edge."""
    return (
        (low * (total - cumulative_low) + high * cumulative_low) // total,
        (low * (total - cumulative_high) + high * cumulative_high) // total,
    )


def _as_hinted(low, high, cumulative_low, cumulative_high, total):
    width = high - low
    return low + width * cumulative_low // total, low + width * cumulative_high // total


def _width_of_high(low, high, cumulative_low, cumulative_high, total):
    return low + high * cumulative_low // total, low + high * cumulative_high // total


NARROW = Exercise(
    id="language_models.narrow",
    title="One step of the arithmetic coder",
    minutes=8,
    difficulty=2,
    statement=(
        "The interval [low, high) of whole numbers is divided among the tokens in proportion to "
        "their frequencies, which add up to `total`. The next token owns the part from "
        "`cumulative_low` to `cumulative_high` of `total`. Return the new (low, high) as a "
        "tuple, both rounded down."
    ),
    solution=information.narrow,
    reference=_in_fractions,
    generator=interval_and_share,
    probes=(
        Probe(
            "the first token of three",
            lambda: call(0, 80, 0, 3, 8),
            "Three eighths of 80, from the bottom: [0, 30).",
        ),
        Probe(
            "the token in the middle",
            lambda: call(0, 80, 3, 5, 8),
            "Both ends are measured from the old low: [30, 50).",
        ),
        Probe(
            "an interval that does not begin at 0",
            lambda: call(40, 120, 5, 8, 8),
            "The shares are those of the width, 80, and they begin at 40.",
        ),
        Probe(
            "it does not divide evenly",
            lambda: call(10, 27, 2, 5, 7),
            "Seventeen numbers over seven shares: whole numbers, rounded down.",
        ),
        Probe(
            "fewer numbers than shares",
            lambda: call(100, 165, 37, 90, 128),
            "width // total would be 0. Multiply before you divide.",
        ),
        Probe(
            "thirty-two bits",
            lambda: call(1_234_567_891, 4_294_967_295, 1_111_111, 200_000_003, 2**28),
            "The product has about 60 bits, more than a float can hold exactly.",
        ),
        Probe(
            "just below a whole number",
            lambda: call(7, 4_000_000_008, 100_000_000, 137_046_015, 2**28),
            "The exact end is so little below a whole number that a float rounds up to it.",
        ),
    ),
    misconceptions=(
        Misconception(
            "high measured from the new low",
            _from_the_new_low,
            "By the time you compute high, low has moved. Both ends are measured from the old low: "
            "compute them together, or keep the old one.",
        ),
        Misconception(
            "low overwritten too early",
            _after_low_has_moved,
            "Your second line uses the low of your first one, and with it a different width. Keep "
            "the old low and the width in variables, or return both ends in one expression.",
        ),
        Misconception(
            "low left out",
            _low_left_out,
            "You return the part measured from 0. It is inside [low, high): add low to both ends.",
        ),
        Misconception(
            "divided before multiplied",
            _divided_first,
            "width // total throws away the remainder, and is 0 when the interval is narrow. "
            "Multiply first: width * cumulative // total.",
        ),
        Misconception(
            "the last number included",
            _high_included,
            "You treat high as part of the interval, as some coders do. Here it is the first "
            "number beyond it: the width is high − low, and nothing is subtracted.",
        ),
        Misconception(
            "high rounded up",
            _rounded_up,
            "Your interval overlaps the next token's, which begins where the same number is "
            "rounded down. Round both ends by the same rule.",
        ),
        Misconception(
            "real numbers",
            _with_real_numbers,
            "`/` gives floats, which cannot hold these products exactly. The decoder must find "
            "the same ends to the last bit: use //.",
        ),
        Misconception(
            "real numbers, cut off",
            _cut_off,
            "`/` rounds to the nearest float before you cut off the fraction, and sometimes that "
            "is the next whole number. Use integers only: //.",
        ),
        Misconception(
            "rounded to the nearest",
            _rounded,
            "You round to the nearest whole number. Both ends are rounded down: // does it, and "
            "without floats.",
        ),
        Misconception(
            "high taken for the width",
            _width_of_high,
            "You multiply by high. The interval contains high − low numbers.",
        ),
    ),
    alternatives=(
        Alternative("in fractions", _in_fractions),
        Alternative("by divmod", _by_divmod),
        Alternative("a weighted mean of both ends", _in_one_division),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "How wide is the interval? high − low numbers.",
        "A token's part begins at the share cumulative_low / total of that width, above low.",
        "low + width * cumulative_low // total, and the same with cumulative_high.",
    ),
)
