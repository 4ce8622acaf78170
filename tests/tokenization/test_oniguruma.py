import random

import pytest
import regex
from tokenizers import Regex, pre_tokenizers

from course_lib.tokenization import oniguruma, patterns
from tests.tokenization import layout_steps

KNOWN = [patterns.GPT2_PATTERN, patterns.GPT4_PATTERN, patterns.QWEN_PATTERN]
RESPELLED = {
    layout_steps.CL100K: ["1234 \n\n x", "a  ", "it's  \n "],
    r"\p{N}{1,3}+": ["1234567a12"],
    "^a|b$": ["a\na\nb\nb", "ba\n"],
    r"\h+": ["xyz12fg \t"],
    "(?m:a.)b?": ["a\nb a.b"],
    r"\s\Z|\z": ["a\n", "a \n\n", "a "],
    r"[\h_]+": ["_1f\t_"],
    r"[^(\s|[.,])]+": ["a(b|[.)"],
    "{|a{,2}": ["{aaa}"],
}
REFUSED = {
    "[a&&b]": "'&&'",
    "(?i:ss)": r"'\(\?i:ss\)'",
    "(?i)a": r"'\(\?i\)a'",
    "(?s:.)": r"'\(\?s:\.\)'",
    r"(a)\1": r"'\\\\1'",
    r"\bA": r"'\\\\b'",
    r"\w+": r"'\\\\w'",
    r"\R": r"'\\\\R'",
    "[[:alpha:]]": "'\\[:'",
    "[^a[^b]]": r"'\[\^'",
    r"\p{Klingon}": "Klingon",
    "a{2}?": r"'\{2\}\?'",
    "a**": r"'\*'",
    "*a": r"'\*'",
    "(a": "without an end",
    "a)": r"'\)'",
    "[ab": "without an end",
    "[]": "'\\[\\]'",
    "(?<n>a)": r"'\(\?<n>a\)'",
}


@pytest.mark.parametrize("pattern", RESPELLED)
def test_respelled_patterns_split_as_with_tokenizers(pattern):
    common = oniguruma.common_pattern(pattern)
    assert oniguruma.common_pattern(common) == common  # it means the same to both
    compiled = regex.compile(common)
    generator = random.Random(0)
    strings = RESPELLED[pattern] + [
        "".join(generator.choices("ab1f \n.{|(_\t", k=generator.randrange(12))) for _ in range(60)
    ]
    for spelling in (pattern, common):
        split = pre_tokenizers.Split(Regex(spelling), "isolated")
        for text in strings:
            expected = [word for word, _ in split.pre_tokenize_str(text)]
            assert patterns.pre_split(text, compiled) == expected, (spelling, text)


def test_the_dialects_do_differ():
    # Without the translation: three digits at a time, and `$` at the end alone.
    split = pre_tokenizers.Split(Regex(r"\p{N}{1,3}+|$"), "isolated")
    words = [word for word, _ in split.pre_tokenize_str("1234\na")]
    assert words == ["1234", "\na"]
    assert patterns.pre_split("1234\na", regex.compile(r"\p{N}{1,3}+|$")) == ["123", "4", "\na"]


@pytest.mark.parametrize("pattern", KNOWN)
def test_patterns_of_the_course_mean_the_same_in_both_dialects(pattern):
    assert oniguruma.common_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_has_no_translation_is_an_error(pattern):
    with pytest.raises(ValueError, match=rf"got .*{REFUSED[pattern]}.*Use `tokenizers`"):
        oniguruma.common_pattern(pattern)


@pytest.mark.parametrize("name", [*oniguruma.CLASSES, "s", "d"])
def test_classes_hold_the_same_letters(name):
    pattern = rf"\p{{{name}}}" if name[0].isupper() else rf"\{name}"
    points = [*range(0xD800)]
    points += [*range(0xE000, 0x20000, 3), *range(0x20000, 0x110000, 997)]
    text = "".join(map(chr, points))
    split = pre_tokenizers.Split(Regex(f"{pattern}+"), "isolated")
    expected = [word for word, _ in split.pre_tokenize_str(text)]
    assert patterns.pre_split(text, regex.compile(f"{pattern}+")) == expected
