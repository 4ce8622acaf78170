import math
import random
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from course_lib import corpus
from course_lib.tokenization import unigram, unigram_training
from course_lib.tokenization.unigram import Unigram

SINGLE_BYTES = [(piece, 0.0) for piece in unigram.BYTE_PIECES]
BYTES = Unigram([("<unk>", 0.0), *SINGLE_BYTES, ("▁a", -1.0), ("▁", -3.0)], byte_fallback=True)


@cache
def documentation():
    return corpus.train_text(8000)


@cache
def trained():
    texts = [documentation(), *corpus.SAMPLES.values()]
    return Unigram.train(texts, 600, ["<unk>", "</s>"])


def spelling():
    """Return a tokenizer that spells nearly everything in bytes."""
    return BYTES


def reference(tokenizer):
    model = models.Unigram(
        tokenizer.pieces, tokenizer.unknown_id, byte_fallback=tokenizer.byte_fallback
    )
    built = Tokenizer(model)
    built.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    return built


@pytest.mark.parametrize("make", [trained, spelling])
def test_ids_equal_the_reference(text, make):
    tokenizer = make()
    assert tokenizer.encode(text) == reference(tokenizer).encode(text).ids


@settings(max_examples=200, deadline=None)
@given(st.text("aethois ▁\n中ꙮ🙂", max_size=30), st.sampled_from([trained, spelling]))
def test_ids_equal_the_reference_on_random_text(text, make):
    tokenizer = make()
    assert tokenizer.encode(text) == reference(tokenizer).encode(text).ids


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text("ab▁", min_size=1, max_size=4), st.integers(-9, -1), min_size=1),
    st.text("abc ", max_size=15),
)
def test_ids_equal_the_reference_for_any_pieces_with_ties(pieces, text):
    scored = [("<unk>", 0.0), *((piece, float(score)) for piece, score in pieces.items())]
    tokenizer = Unigram(scored)
    assert tokenizer.encode(text) == reference(tokenizer).encode(text).ids


def test_expected_counts_are_averages_over_all_segmentations():
    log_probs = {"a": math.log(0.2), "b": math.log(0.3), "ab": math.log(0.5)}
    # "ab": ab 0.5, a·b 0.06. "b": 0.3 in one way.
    counts, total = unigram_training.expected_counts({"ab": 2, "b": 3}, log_probs)
    assert counts["ab"] == pytest.approx(2 * 0.5 / 0.56)
    assert counts["a"] == pytest.approx(2 * 0.06 / 0.56)
    assert counts["b"] == pytest.approx(2 * 0.06 / 0.56 + 3)
    assert total == pytest.approx(2 * math.log(0.56) + 3 * math.log(0.3))


def test_counts_of_letters_are_kept_whatever_the_segmentation():
    words = Counter(unigram.split_words(corpus.train_text(2000)))
    log_probs = unigram_training.seed_pieces(words, 300)
    counts, _ = unigram_training.expected_counts(words, log_probs)
    spelled = sum(len(piece) * count for piece, count in counts.items())
    assert spelled == pytest.approx(sum(len(word) * count for word, count in words.items()))


def test_each_step_makes_the_corpus_more_probable():
    words = Counter(unigram.split_words(corpus.train_text(2000)))
    log_probs = unigram_training.seed_pieces(words, 300)
    totals = []
    for _ in range(5):
        counts, total = unigram_training.expected_counts(words, log_probs)
        totals.append(total)
        log_probs = unigram_training.normalize_counts({p: c for p, c in counts.items() if c > 0})
    assert totals == sorted(totals)
    assert totals[-1] > totals[0] + 1


def test_probabilities_sum_to_one_and_rare_pieces_go():
    log_probs = unigram_training.reestimate(
        {"a": 3.0, "ab": 0.4, "bc": 1.0}, dict.fromkeys(["a", "b", "ab", "bc"], -1.0)
    )
    assert set(log_probs) == {"a", "b", "bc"}
    assert sum(math.exp(score) for score in log_probs.values()) == pytest.approx(1)
    assert math.exp(log_probs["b"]) == pytest.approx(0.5 / 4.5)


def test_pruning_by_hand():
    log_probs = {"a": -1.0, "b": -1.0, "ab": -1.5, "ba": -1.9, "bb": -0.5}
    counts = {"ab": 10.0, "ba": 10.0, "bb": 1.0}
    # Losses: ab 10 · 0.5, ba 10 · 0.1, bb 1 · 1.5
    assert set(unigram_training.prune(counts, log_probs, 4)) == {"a", "b", "ab", "bb"}
    assert set(unigram_training.prune(counts, log_probs, 3)) == {"a", "b", "ab"}
    assert set(unigram_training.prune(counts, log_probs, 1)) == {"a", "b"}


def test_seeds_are_all_letters_and_frequent_substrings():
    seeds = unigram_training.seed_pieces({"abab": 1, "c": 1}, 1)
    assert set(seeds) == {"a", "b", "c", "ab"}
    assert math.exp(seeds["ab"]) == pytest.approx(2 / 7)


def test_training_beats_letters_and_spells_everything():
    text = documentation()
    assert trained().vocab_size <= 600
    assert len(trained().log_probs) > 500
    assert trained().unknown_id not in trained().encode(text)
    assert len(trained().encode(text)) < len(text) / 2.5
    scores = [score for _, score in trained().pieces[2:]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("make", [trained, spelling])
def test_decoding_gives_back_known_text(make):
    tokenizer = make()
    text = "a aa a" if make is spelling else documentation()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text("a é🙂中\n"))
def test_byte_fallback_makes_every_text_reversible(text):
    ids = BYTES.encode(text)
    assert BYTES.unknown_id not in ids
    assert BYTES.decode(ids) == text.removeprefix(" ")  # "a" and " a" are both ▁a


def test_unknown_characters_in_a_row_are_one_token():
    assert trained().encode("ꙮꙮꙮ").count(trained().unknown_id) == 1
    assert BYTES.decode([BYTES.vocabulary["<0xFF>"]]) == "\ufffd"


def test_an_unknown_character_costs_more_than_rare_pieces():
    pieces = [("<unk>", 0.0), ("▁", -1.0), ("xa", -9.0), ("b", -9.0), ("ab", -1.0)]
    tokenizer = Unigram(pieces)  # xa·b has -18, x·ab has -19 - 1
    assert tokenizer.encode("xab") == [1, 2, 3] == reference(tokenizer).encode("xab").ids


def test_names_spelled_in_text_stay_text():
    end = trained().special_tokens["</s>"]
    assert end not in trained().encode("a</s>")
    letters = Unigram([("<unk>", 0.0), *((letter, -1.0) for letter in "▁<unk>")])
    assert letters.decode(letters.encode("<unk>")) == "<unk>"
    assert letters.unknown_id not in letters.encode("<unk>")
    assert trained().encode("a</s>", "all")[-1] == end
    assert BYTES.encode("<0x41>") != BYTES.encode("A")


def test_words_by_hand():
    assert unigram.split_words("a cat  sat") == ["▁a", "▁cat", "▁", "▁sat"]
    assert unigram.split_words(" a") == ["▁a"]
    assert unigram.split_words("") == []


def test_samples_spell_the_same_text_in_several_ways():
    generator = random.Random(0)
    drawn = {tuple(trained().sample("the statement is", generator, 4.0)) for _ in range(30)}
    assert len(drawn) > 3
    assert {"".join(pieces) for pieces in drawn} == {"▁the▁statement▁is"}
    best = trained().sample("the statement is", generator, 1e-4)
    assert [trained().vocabulary[p] for p in best] == trained().encode("the statement is")


def test_errors_name_rule_value_and_remedy():
    cases = [
        (lambda: Unigram.train(["abc"], 4), r"every character.*here 4; got room for 3\. Pass"),
        (lambda: Unigram.train([""], 60), r"needs text.*got 0 words.*Pass non-empty"),
        (lambda: Unigram.train(["a"], 60, []), r"got 1 words and special_tokens=\[\]"),
        (lambda: Unigram.train(["a"], 60, ["<unk>"] * 2), r"'<unk>' 2 times\. Remove"),
        (lambda: Unigram([("a", -1.0)], 1), r"place of a piece, 0 to 0; got 1\. Pass"),
        (lambda: Unigram([("a", -1.0)] * 2), r"'a' 2 times\. Remove the repetition"),
        (lambda: trained().decode([99999]), r"got 99999\. Check that the ids come"),
    ]  # fmt: skip
    for call, text in cases:
        with pytest.raises(ValueError, match=text):
            call()
