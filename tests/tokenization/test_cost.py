import functools

import pytest

from course_lib import corpus
from course_lib.tokenization import cost
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.patterns import QWEN_PATTERN

TEXT = corpus.train_text(30_000)


@functools.cache
def large():
    return ByteBPE.train([TEXT], 700, ["<|end|>"], QWEN_PATTERN)


def test_length_by_hand():
    measured = cost.length(lambda text: [0] * 4, "né 字")
    assert measured == (4, 4, 7)
    assert measured.bytes_per_token == 7 / 4
    assert measured.tokens_per_character == 1.0


@pytest.mark.parametrize("size", [256, 257, 400, 699])
def test_a_truncated_tokenizer_is_the_one_trained_to_that_size(size):
    small, trained = cost.truncate(large(), size), ByteBPE.train([TEXT], size, (), QWEN_PATTERN)
    assert small.vocabulary == trained.vocabulary
    assert small.merges == trained.merges
    assert small.pattern == QWEN_PATTERN
    for text in corpus.SAMPLES.values():
        assert small.encode(text) == trained.encode(text)


def test_fewer_merges_never_mean_fewer_tokens():
    text = corpus.held_out_text(5_000)
    tokens = [
        cost.length(cost.truncate(large(), size).encode, text).tokens for size in (256, 300, 699)
    ]
    assert tokens == sorted(tokens, reverse=True)
    assert tokens[0] == len(text.encode()), "without merges a token is a byte"


def test_out_of_vocabulary_counts_every_occurrence():
    assert cost.out_of_vocabulary(["a", "b", "b", "c"], {"a", "c"}) == 0.5
    assert cost.out_of_vocabulary("abba", {"a", "b"}) == 0.0


def test_characters_that_fit_by_hand():
    assert cost.characters_that_fit(100, 4.5, 3) == pytest.approx(150)


def test_errors_name_the_rule_the_value_and_the_remedy():
    with pytest.raises(ValueError, match=r"at least one character; got ''. Pass some"):
        cost.length(large().encode, "")
    with pytest.raises(ValueError, match=r"at least one unit to count; got none. Pass the words"):
        cost.out_of_vocabulary([], {"a"})
    for size in (255, 700):
        with pytest.raises(ValueError, match=rf"256 to 699, .*; got {size}. Train a larger"):
            cost.truncate(large(), size)
