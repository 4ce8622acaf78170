"""The exercise on a verifier: find the answer in a text, and compare it exactly."""

import re
from fractions import Fraction

from course_lib import rewards
from course_lib.chapters.rewards.exercises.generators import verifier_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_NUMBERS = re.compile(r"-?\d+(?:\.\d+|/\d+)?")
_MARKED = rf"(?:^|\s)so ({_NUMBERS.pattern})\.\Z"


def _value(text):
    if not _NUMBERS.fullmatch(text):
        return None
    over, _, under = text.partition("/")
    if under and int(under) == 0:
        return None
    return Fraction(over) / int(under) if under else Fraction(over)


def _by_words(text, expected):
    words = text.split(" ")
    if len(words) < 2 or words[-2] != "so" or not words[-1].endswith("."):
        return False
    value = _value(words[-1][:-1])
    return value is not None and value == _value(expected)


def _last_number(text, expected):
    found = _NUMBERS.findall(text)
    return bool(found) and _value(found[-1]) == _value(expected)


def _any_number(text, expected):
    return any(_value(each) == _value(expected) for each in _NUMBERS.findall(text))


def _as_text(text, expected):
    return text == f"so {expected}." or text.endswith(f" so {expected}.")


def _first_mark(text, expected):
    found = re.search(r"\bso (\S+?)\.(?: |$)", text)
    return bool(found) and _value(found[1]) == _value(expected)


def _inside_a_word(text, expected):
    found = re.fullmatch(r"(?s:.*)so (\S+)\.", text)
    return bool(found) and _value(found[1]) == _value(expected)


def _cut_off(text, expected):
    return _by_words(text if text.endswith(".") else text + ".", expected)


def _about(text, expected):
    words = text.split(" ")
    if len(words) < 2 or words[-2] != "so" or not words[-1].endswith("."):
        return False
    value = _value(words[-1][:-1])
    return value is not None and abs(value - _value(expected)) < Fraction(1, 100)


def _number_after_mark(text, expected):
    found = re.search(r"(?s:.*)\bso (-?\d+(?:\.\d+|/\d+)?)", text)
    return bool(found) and _value(found[1]) == _value(expected)


def _computed(text, expected):
    found = re.search(r"(?:^| )so ([-+*/.\d]+)\.\Z", text)
    try:
        return bool(found) and eval(found[1]) == eval(expected)
    except (SyntaxError, ZeroDivisionError):
        return False


def _matched(flags=0, value=Fraction):
    """Return a mistake that finds the number with these flags, and compares it as `value`."""

    def is_correct(text, expected):
        found = re.search(_MARKED, text, flags)
        try:
            return bool(found) and value(Fraction(found[1])) == value(Fraction(expected))
        except ZeroDivisionError:
            return False

    return is_correct


def _whole_numbers(text, expected):
    found = re.search(r"(?:^| )so (-?\d+)\.$", text)
    value = _value(expected)
    return bool(found) and int(found[1]) == value


def _as_hinted(text, expected):
    found = re.search(_MARKED, text)
    if not found:
        return False
    try:
        return Fraction(found[1]) == Fraction(expected)
    except ZeroDivisionError:
        return False


def _by_partition(text, expected):
    if text[-1:] != ".":
        return False
    _, mark, answer = (" " + text[:-1]).rpartition(" so ")
    return bool(mark) and _value(answer) is not None and _value(answer) == _value(expected)


def _by_cross_products(text, expected):
    def pair(number):
        over, _, under = number.partition("/")
        whole, _, decimals = over.partition(".")
        return int(whole + decimals), int(under or 1) * 10 ** len(decimals)

    words = text.split()
    if words[-2:-1] != ["so"] or not re.fullmatch(_NUMBERS.pattern + r"\.", words[-1]):
        return False
    (a, b), (c, d) = pair(words[-1][:-1]), pair(expected)
    return bool(b) and a * d == b * c


VERIFIER = Exercise(
    id="rewards.verifier",
    title="A verifier",
    minutes=12,
    difficulty=3,
    statement=(
        "An answer counts only if the text ends with the word `so`, one space, a number and a "
        "full stop, as in `4+5=9 so 9.`. Return True if that number equals `expected` in value. A "
        "number is an integer, a decimal number or a fraction, such as `-3`, `0.75` or `3/4`, and "
        "0.75 equals 3/4 exactly. Additional white space is not tested. For any other text, `so "
        "1/0.` included, return False; never raise an error. `expected` is always a valid number."
    ),
    solution=rewards.is_correct,
    reference=_by_words,
    generator=verifier_inputs,
    probes=(
        Probe("right", lambda: call("7+6=13 so 13.", "13"), "The number at the end is right."),
        Probe("wrong", lambda: call("7+6=13 so 12.", "13"), "13 occurs, but is not the answer."),
        Probe("equal values", lambda: call("so 0.75.", "3/4"), "0.75 and 3/4 are one number."),
        Probe("negative", lambda: call("2-5 so -3.", "-3"), "A number may be negative."),
        Probe(
            "close, but not equal",
            lambda: call("so 0.333.", "1/3"),
            "0.333 is not 1/3: compare exactly.",
        ),
        Probe(
            "no mark", lambda: call("The answer is 13.", "13"), "Without `so` there is no answer."
        ),
        Probe("inside a word", lambda: call("9 is also 9.", "9"), "`also` is not the word `so`."),
        Probe("two marks", lambda: call("so 12. No, so 13.", "12"), "The last one counts."),
        Probe(
            "something follows",
            lambda: call("so 13. Or 14", "13"),
            "After the answer nothing may follow, or a text could list every number.",
        ),
        Probe("cut off", lambda: call("7+6=13 so 13", "13"), "The final full stop is missing."),
        Probe("two candidates", lambda: call("so 12 or 13.", "13"), "Two numbers are no answer."),
        Probe("no number", lambda: call("so 1/0.", "1"), "1/0 is no number, and raises no error."),
        Probe(
            "a power of ten", lambda: call("so 1e1.", "10"), "1e1 is not one of the three forms."
        ),
        Probe(
            "digits joined", lambda: call("so 1_3.", "13"), "Python reads 1_3 as 13; it is no form."
        ),
        Probe("a sum", lambda: call("so 6+7.", "13"), "6+7 is not one of the three forms."),
        Probe(
            "too long for a float",
            lambda: call("so 9007199254740993.", "9007199254740992"),
            "The two differ by 1, and are equal as floats. Fractions keep every digit.",
        ),
        Probe("a capital letter", lambda: call("So 13.", "13"), "`So` is not the word `so`."),
        Probe("an empty text", lambda: call("", "0"), "An empty text has no answer."),
    ),
    misconceptions=(
        Misconception(
            "the last number anywhere",
            _last_number,
            "The last number of a text may be anything. Require the mark: `so NUMBER.` at the end.",
        ),
        Misconception(
            "any number",
            _any_number,
            "A text that lists many numbers would always be right. Judge the marked one only.",
        ),
        Misconception(
            "compared as text",
            _as_text,
            "0.75 and 3/4 are written differently and are equal. Compare values, as fractions.",
        ),
        Misconception(
            "the first mark",
            _first_mark,
            "You read the first `so`. The answer stands at the end of the text.",
        ),
        Misconception(
            "inside a word",
            _inside_a_word,
            "`also 9.` ends with the letters of `so 9.`. The word `so` must stand alone.",
        ),
        Misconception(
            "cut off, but counted",
            _cut_off,
            "Without the full stop the text was cut off, perhaps in the middle of a number.",
        ),
        Misconception(
            "about equal",
            _about,
            "You allow for a small difference. Then 0.333 passes for 1/3. Fractions are exact.",
        ),
        Misconception(
            "compared as floats",
            _matched(value=float),
            "A float keeps about 16 digits, so a wrong number that is long enough counts as right. "
            "Compare fractions.",
        ),
        Misconception(
            "computed",
            _computed,
            "`eval` computes whatever it is given, and a policy may write anything. Accept only an "
            "integer, a decimal number or a fraction.",
        ),
        Misconception(
            "any case",
            _matched(re.IGNORECASE),
            "`So` and `SO` are accepted. Only the word `so` is the mark.",
        ),
        Misconception(
            "whatever follows",
            _number_after_mark,
            "You stop reading after the number. What follows must be the full stop and the end.",
        ),
        Misconception(
            "whole numbers only",
            _whole_numbers,
            "Decimal numbers and fractions are numbers too.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by partition", _by_partition),
        Alternative("by cross products", _by_cross_products),
    ),
    hints=(
        r're.search(r"(?:^|\s)so (-?\d+(?:\.\d+|/\d+)?)\.\Z", text) finds the marked number.',
        "fractions.Fraction reads '3/4', '0.75' and '-3', and compares them exactly.",
        "Fraction raises ZeroDivisionError for '1/0': catch it. Do not let Fraction read just any "
        "text: it also takes '1_3', and it computes '1e999999999'.",
    ),
)
