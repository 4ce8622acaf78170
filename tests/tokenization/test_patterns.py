import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from course_lib.tokenization import patterns

PATTERNS = [patterns.GPT2_PATTERN, patterns.GPT4_PATTERN, patterns.QWEN_PATTERN]
# What steers the patterns: quotes, contractions, spaces, newlines, digits, signs, letters.
STEERING = st.text("'srlveT \n\r\t\u00a0\u3000a中1२!_é👍", max_size=60)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_words_equal_the_reference(text, pattern):
    reference = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)
    words = patterns.pre_split(text, patterns.compile_pattern(pattern))
    assert words == [word for word, _ in reference]


def test_a_later_step_cuts_a_word_once(monkeypatch):
    seen, pre_split = [], patterns.pre_split

    def counting(text, pattern):
        seen.append(text)
        return pre_split(text, pattern)

    monkeypatch.setattr(patterns, "pre_split", counting)
    steps = [patterns.Split(r"\s"), patterns.Split(r"\d")]
    text = "a1 b2 " * 200
    assert patterns.PreSplitter(steps)(text) == ["a", "1", " ", "b", "2", " "] * 200
    assert sorted(seen) == sorted([text, "a1", "b2", " "])


@settings(deadline=None)
@given(STEERING, st.sampled_from(PATTERNS))
def test_words_equal_the_reference_on_random_text(text, pattern):
    reference = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)
    words = patterns.pre_split(text, patterns.compile_pattern(pattern))
    assert words == [word for word, _ in reference]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (patterns.GPT2_PATTERN, ["it", "'s", " 2024", "!"]),
        (patterns.GPT4_PATTERN, ["it", "'s", " ", "202", "4", "!"]),
        (patterns.QWEN_PATTERN, ["it", "'s", " ", "2", "0", "2", "4", "!"]),
    ],
)
def test_words_of_the_module_header(pattern, words):
    assert patterns.pre_split("it's 2024!", regex.compile(pattern)) == words


@pytest.mark.parametrize("pattern", [r"\d", r"(\d)(\d)?", r"x*", r"\b"])
@given(text=st.text("ab1x ", max_size=20))
def test_gaps_are_words_too(pattern, text):
    words = patterns.pre_split(text, regex.compile(pattern))
    assert "".join(words) == text
    assert "" not in words


def test_gap_by_hand():
    assert patterns.pre_split("ab12c", regex.compile(r"\d")) == ["ab", "1", "2", "c"]
    assert patterns.pre_split("ab1", regex.compile(r"(\d)")) == ["ab", "1"]


@settings(max_examples=300, deadline=None)
@given(st.lists(STEERING, max_size=12), st.sampled_from(PATTERNS), st.integers(1, 20))
def test_streamed_words_equal_those_of_the_joined_text(chunks, pattern, size):
    compiled = regex.compile(pattern)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "STREAM_CHARACTERS", size)
        streamed = list(patterns.stream_pre_split(chunks, compiled))
    assert streamed == patterns.pre_split("".join(chunks), compiled)


def test_holding_back_one_word_would_not_do():
    compiled = regex.compile(patterns.GPT2_PATTERN)
    assert patterns.pre_split("don'r", compiled) == ["don", "'", "r"]
    assert patterns.pre_split("don're", compiled) == ["don", "'re"]


def test_a_long_word_in_small_chunks_is_split_few_times(monkeypatch):
    read = []

    def counting(text, pattern):
        read.append(len(text))
        return original(text, pattern)

    original = patterns.pre_split
    monkeypatch.setattr(patterns, "pre_split", counting)
    words = patterns.stream_pre_split(["a" * 1000] * 2000, regex.compile(patterns.GPT2_PATTERN))
    assert list(words) == ["a" * 2_000_000]
    assert sum(read) < 4 * 2_000_000


def test_errors_name_rule_value_and_remedy():
    with pytest.raises(ValueError, match=r"must be a regular expression.*got '\(a'.*Try one of"):
        patterns.compile_pattern("(a")


@pytest.mark.parametrize(
    ("behavior", "invert", "words"),
    [
        ("Isolated", False, ["1", "2", "ab", "3", "c", "4", "5"]),
        ("Isolated", True, ["1", "2", "ab", "3", "c", "4", "5"]),
        ("Removed", False, ["ab", "c"]),
        ("Removed", True, ["1", "2", "3", "4", "5"]),
        ("MergedWithPrevious", False, ["1", "2", "ab3", "c4", "5"]),
        ("MergedWithNext", False, ["1", "2ab", "3c", "4", "5"]),
        ("Contiguous", False, ["12", "ab", "3", "c", "45"]),
    ],
)
def test_what_becomes_of_the_matches(behavior, invert, words):
    names = {"MergedWithPrevious": "merged_with_previous", "MergedWithNext": "merged_with_next"}
    theirs = pre_tokenizers.Split(
        Regex(r"\d"), names.get(behavior, behavior.lower()), invert=invert
    )
    split = patterns.Split(r"\d", behavior, invert)
    assert split.words("12ab3c45", regex.compile(r"\d")) == words
    assert [word for word, _ in theirs.pre_tokenize_str("12ab3c45")] == words


def test_steps_cut_the_words_of_the_steps_before_them():
    steps = [patterns.Split(r"\p{N}{1,3}"), patterns.Split(patterns.GPT2_PATTERN)]
    cut = patterns.PreSplitter(steps)
    assert cut("it is 2024 !") == ["it", " is", " ", "202", "4", " !"]
    assert list(cut.stream(["it is 20", "24 !"])) == cut("it is 2024 !")
    assert list(patterns.PreSplitter(r"a|.+").stream(["xb", "a"])) == ["xba"]
    assert cut("") == []
    with pytest.raises(ValueError, match=r"Isolated, .*got 'Merged'\. Use Isolated"):
        patterns.Split("a", "Merged")
