import functools
import json
import random
import re
import tracemalloc

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from course_lib import corpus
from course_lib.tokenization import bpe_training, byte_bpe, huggingface, patterns, word_cache
from course_lib.tokenization.byte_bpe import ByteBPE

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_end|>s"]
PATTERNS = {
    "GPT-2": patterns.GPT2_PATTERN,
    "GPT-4": patterns.GPT4_PATTERN,
    "Qwen": patterns.QWEN_PATTERN,
}


@functools.cache
def trained(name):
    texts = [corpus.train_text(80_000), "\n".join(corpus.SAMPLES.values()) * 2, "a" * 5000]
    return ByteBPE.train(texts, 1500, SPECIAL, PATTERNS[name])


@pytest.fixture(params=PATTERNS, scope="module")
def tokenizer(request):
    return trained(request.param)


@pytest.fixture(scope="module")
def gpt2():
    return trained("GPT-2")


def as_tokenizers(tokenizer):
    return Tokenizer.from_str(json.dumps(huggingface.to_json(tokenizer)))


def as_tiktoken(tokenizer):
    return tiktoken.Encoding(
        "course",
        pat_str=tokenizer.pattern,
        mergeable_ranks=tokenizer.vocabulary,
        special_tokens=tokenizer.special_tokens,
    )


def in_chunks(text, generator):
    while text:
        size = generator.choice([1, 2, 3, 10, 1000])
        yield text[:size]
        text = text[size:]


def test_ids_equal_both_references(tokenizer, text):
    ids = tokenizer.encode(text, allowed_special="all")
    assert ids == as_tokenizers(tokenizer).encode(text, add_special_tokens=False).ids
    assert ids == as_tiktoken(tokenizer).encode(text, allowed_special="all")
    assert tokenizer.encode(text) == as_tiktoken(tokenizer).encode_ordinary(text)
    assert tokenizer.decode(ids) == text


@settings(deadline=None)
@given(st.text("'srlve \n\t1ab中é👍<|im_end>"), st.sampled_from(sorted(PATTERNS)))
def test_ids_equal_both_references_on_random_text(text, name):
    tokenizer = trained(name)
    ids = tokenizer.encode(text, allowed_special="all")
    assert ids == as_tiktoken(tokenizer).encode(text, allowed_special="all")
    assert ids == as_tokenizers(tokenizer).encode(text, add_special_tokens=False).ids


@settings(deadline=None)
@given(st.text(), st.sampled_from(sorted(PATTERNS)))
def test_any_text_comes_back(text, name):
    tokenizer = trained(name)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode_bytes(text.encode()) == tokenizer.encode(text)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(PATTERNS)))
def test_any_bytes_come_back(data, name):
    tokenizer = trained(name)
    ids = tokenizer.encode_bytes(data)
    assert tokenizer.decode_bytes(ids) == data
    assert tokenizer.decode(ids) == data.decode("utf-8", errors="replace")


def test_a_character_in_several_tokens_is_read_only_when_joined(gpt2):
    ids = gpt2.encode("🐉")
    assert len(ids) > 1
    assert gpt2.decode(ids) == "🐉"
    assert "".join(gpt2.decode([i]) for i in ids) != "🐉"
    assert gpt2.decode(ids[:-1]) == "\ufffd"


def test_encoding_by_hand():
    merges = {(1, 2): (0, 10), (0, 10): (1, 11), (11, 11): (2, 12)}
    assert byte_bpe.encode_by_rank([0, 1, 2], merges) == [11]
    assert byte_bpe.encode_by_rank([0, 1, 2, 0, 1, 2], merges) == [12]
    assert byte_bpe.encode_by_rank([1, 0, 1], merges) == [1, 0, 1]
    assert byte_bpe.encode_by_rank([], merges) == []
    # The rank decides, not the place: (1, 2) first, although (0, 1) stands further left.
    assert byte_bpe.encode_by_rank([0, 1, 2], {(1, 2): (0, 10), (0, 1): (1, 11)}) == [0, 10]
    assert byte_bpe.encode_by_rank([0, 0, 0], {(0, 0): (0, 1)}) == [1, 0]
    assert byte_bpe.encode_by_rank([3, 1, 2, 1, 2], merges) == [3, 10, 10]


def merge_by_merge(ids, merges):
    """Return the ids after applying each merge in turn to the whole word."""
    for (left, right), (_, new_id) in sorted(merges.items(), key=lambda item: item[1]):
        ids = bpe_training.merge(ids, (left, right), new_id)
    return ids


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=60), st.randoms(use_true_random=False))
def test_long_and_short_words_are_encoded_as_if_merge_by_merge(ids, generator):
    tokens, merges = [0, 1, 2, 3], {}
    for rank in range(12):
        pair = generator.choice(tokens), generator.choice(tokens)
        if pair not in merges:
            merges[pair] = (rank, 4 + rank)
            tokens.append(4 + rank)
    expected = merge_by_merge(ids, merges)
    assert byte_bpe.encode_by_rank(ids, merges) == expected
    assert byte_bpe.encode_long(ids, merges) == expected


@pytest.mark.parametrize("length", [byte_bpe.LONG_WORD - 1, byte_bpe.LONG_WORD, 100_000])
def test_words_of_any_length_equal_the_reference(length, gpt2):
    generator = random.Random(length)
    for text in ("a" * length, "".join(generator.choice("thefunctio") for _ in range(length))):
        assert gpt2.encode(text) == as_tiktoken(gpt2).encode_ordinary(text)


def test_words_stay_apart_and_the_cache_changes_nothing(monkeypatch):
    monkeypatch.setattr(word_cache, "CACHED_WORDS", 10)
    text = corpus.held_out_text(20_000)
    small = ByteBPE.train([corpus.train_text(20_000)], 600)
    expected = small.encode(text)
    assert len(small._cache) <= 10
    assert small.encode(text) == expected
    assert all(len(word) <= word_cache.CACHED_CHARACTERS for word in small._cache)


@settings(max_examples=60, deadline=None)
@given(
    st.text("'srlve \n\t1ab中e\u0301👍<|im_end>", max_size=80),
    st.randoms(use_true_random=False),
    st.sampled_from([None, "NFC", "NFD"]),
)
def test_streamed_ids_equal_those_of_the_joined_text(gpt2, text, generator, form):
    tokenizer = ByteBPE(
        gpt2.vocabulary, gpt2.merges, gpt2.special_tokens, patterns.QWEN_PATTERN, form
    )
    pieces = ["<|im_end|>s", "<|im_start|>", "<|im_", text, "  "]
    joined = "".join(generator.choice(pieces) for _ in range(6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "STREAM_CHARACTERS", generator.choice([1, 5, 30]))
        for allowed in ((), "all", ["<|im_end|>"]):
            streamed = list(tokenizer.encode_iterable(in_chunks(joined, generator), allowed))
            assert streamed == tokenizer.encode(joined, allowed)


def test_streaming_a_corpus_equals_encoding_it(tokenizer, text):
    chunks = in_chunks(text, random.Random(1))
    assert list(tokenizer.encode_iterable(chunks, "all")) == tokenizer.encode(text, "all")


def test_streaming_needs_the_same_memory_for_more_text(gpt2):
    page = corpus.train_text(100_000)

    def peak(pages):
        tracemalloc.start()
        count = sum(1 for _ in gpt2.encode_iterable(page for _ in range(pages)))
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, high

    gpt2.encode(page)  # fills the cache
    (short, low), (long, high) = peak(3), peak(12)
    assert long > 3.9 * short
    assert high < 1.1 * low


def test_normalization_composes_first(gpt2):
    composed = ByteBPE(gpt2.vocabulary, gpt2.merges, normalization="NFC")
    text = "cafe\u0301 가"
    assert composed.encode(text) == gpt2.encode("café 가")
    assert composed.encode(text) != gpt2.encode(text)
    assert composed.encode(text) == as_tokenizers(composed).encode(text).ids
    assert normalizers.NFC().normalize_str(text) == composed.decode(composed.encode(text))


def test_a_whole_word_may_need_no_merges(gpt2):
    vocabulary = {**gpt2.vocabulary, b" zyxwv": 5000}
    merged = ByteBPE(vocabulary, gpt2.merges)
    whole = ByteBPE(vocabulary, gpt2.merges, ignore_merges=True)
    assert whole.encode(" zyxwv") == [5000]
    assert merged.encode(" zyxwv") == gpt2.encode(" zyxwv") != [5000]
    for tokenizer in (merged, whole):
        assert tokenizer.encode("a zyxwv") == as_tokenizers(tokenizer).encode("a zyxwv").ids


def test_special_tokens_are_text_unless_allowed(gpt2):
    text = "a<|im_end|>b"
    end = gpt2.special_tokens["<|im_end|>"]
    assert end not in gpt2.encode(text)
    assert gpt2.decode(gpt2.encode(text)) == text
    assert gpt2.encode(text, ["<|im_end|>"]) == [*gpt2.encode("a"), end, *gpt2.encode("b")]
    assert gpt2.encode(text, "<|im_end|>") == gpt2.encode(text, "all")
    assert end not in gpt2.encode(text, ["<|im_start|>"])
    assert gpt2.encode("<|im_end|>s", "all") == [gpt2.special_tokens["<|im_end|>s"]]
    assert gpt2.decode([end]) == "<|im_end|>"


def test_vocabulary_sizes(gpt2):
    assert gpt2.vocab_size == 1500 == len(gpt2.tokens)
    assert sorted(gpt2.special_tokens.values()) == [1496, 1497, 1498, 1499]
    few = ByteBPE.train(["ab ab"], 1000, ["<s>"])
    assert few.vocab_size == 256 + 2 + 1  # "ab" and " ab" are all there is to learn
    assert ByteBPE.train(["ab"], 256).encode("ab") == [64, 65]


def test_saving_and_loading(tmp_path, corpora):
    tokenizer = trained("Qwen")
    tokenizer.save(tmp_path / "bpe.json")
    loaded = ByteBPE.load(tmp_path / "bpe.json")
    for text in corpora.values():
        assert loaded.encode(text, "all") == tokenizer.encode(text, "all")
    assert vars(loaded).keys() == vars(tokenizer).keys()
    assert (loaded.merges, loaded.pattern) == (tokenizer.merges, tokenizer.pattern)


def test_the_attributes_are_what_the_constructor_takes(tokenizer, corpora):
    again = ByteBPE(
        tokenizer.vocabulary,
        tokenizer.merges,
        tokenizer.special_tokens,
        tokenizer.pattern,
        tokenizer.normalization,
        tokenizer.ignore_merges,
    )
    assert again.merges == tokenizer.merges
    assert again.merge_table == tokenizer.merge_table
    assert len(again.merges) == 1500 - 256 - len(SPECIAL)
    for text in corpora.values():
        assert again.encode(text, "all") == tokenizer.encode(text, "all")
    fewer = ByteBPE(tokenizer.vocabulary, tokenizer.merges[:-200], pattern=tokenizer.pattern)
    text = corpora["documentation"]
    assert fewer.encode(text) != tokenizer.encode(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["<s>", "<s>x", "<", "s>", "ab", "b c", " "]), max_size=20))
def test_training_cuts_at_special_tokens(parts):
    text = "ab" + "".join(parts)
    special = ["<s>", "<s>x"]
    between = re.split("<s>x|<s>", text)  # the longer name first
    cut = ByteBPE.train([text], 300, special)
    apart = ByteBPE.train([part for part in between if part], 298)
    assert cut.vocabulary == apart.vocabulary
    assert cut.merges == apart.merges
    assert list(cut.special_tokens.values()) == [len(cut.vocabulary), len(cut.vocabulary) + 1]
    assert not any(b"<s>" in token for token in cut.vocabulary)


def test_without_special_tokens_their_names_are_learned_as_text():
    text = "low<s>low<s>low"
    assert b"<s>" not in ByteBPE.train([text], 300, ["<s>"], pattern=".+").vocabulary
    assert b"<s>low" in ByteBPE.train([text], 300, pattern=".+").vocabulary


def test_byte_order_and_ties_reach_the_tokenizer():
    numeric = ByteBPE.train(["ab"], 256, byte_order=bpe_training.NUMERIC_BYTE_ORDER)
    assert numeric.encode_bytes(bytes(range(256))) == list(range(256))
    numeric = ByteBPE.train(["xy b"], 257, byte_order=bpe_training.NUMERIC_BYTE_ORDER)
    assert (numeric.merges, numeric.encode(" b")) == ([(b" ", b"b")], [256])
    assert ByteBPE.train(["ab cd"], 257).merges == [(b"a", b"b")]
    assert ByteBPE.train(["ab cd"], 257, ties="largest_bytes").merges == [(b"c", b"d")]
    assert ByteBPE.train(["cd ab"], 257, ties="first_seen").merges == [(b"c", b"d")]


def test_errors_name_rule_value_and_remedy(tmp_path, gpt2):
    (tmp_path / "foreign.json").write_text('{"model": 1}')
    alphabet = {bytes([byte]): byte for byte in range(256)}
    cases = [
        (lambda: ByteBPE.train(["a"], 255), r"at least 256 \+ 0.*got 255\. Pass a larger"),
        (lambda: ByteBPE.train(["a"], 256, ["<s>"]), r"at least 256 \+ 1.*got 256"),
        (lambda: ByteBPE.train([], 300), r"must contain text.*got 0 characters\. Pass"),
        (lambda: ByteBPE.train([""], 300), r"must contain text.*got 0 characters\. Pass"),
        (lambda: ByteBPE.train(["<s>"], 300, ["<s>"]), r"got 0 characters\. Pass"),
        (lambda: bpe_training.check_choices("last", bytes(range(256))), r"got 'last'\. Use small"),
        (
            lambda: ByteBPE.train(["a"], 300, byte_order=b"a" * 256),
            r"256 bytes, 1 of them distinct\. Pass GPT2_BYTE_ORDER",
        ),
        (lambda: ByteBPE.train(["a"], 300, ["<s>", "<s>"]), r"listed once.*'<s>' 2 times\. Remove"),
        (lambda: gpt2.decode([1500]), r"one of the tokenizer's 1500 tokens; got 1500\. Check"),
        (lambda: gpt2.decode_bytes([-1]), r"got -1\. Check that the ids come from this tokenizer"),
        (lambda: gpt2.encode("a", ["<x>"]), r"may name special tokens.*got '<x>'\. Choose from"),
        (lambda: gpt2.encode("\ud800"), r"lone surrogate in '\\ud800'\. Decode the file"),
        (lambda: ByteBPE({b"a": 0}, []), r"hold all 256 bytes; got one without 255 of them.*0x00"),
        (lambda: ByteBPE(alphabet, [(b"a", b"b")]), r"b'a' \+ b'b', where b'ab' has no id\. Add"),
        (lambda: ByteBPE(alphabet, [], {"<s>": 65}), r"id 65 for both b'A' and b'<s>'\. Renumber"),
        (lambda: ByteBPE({**alphabet, b"ab": 7}, []), r"id 7 for both b'\\x07' and b'ab'"),
        (lambda: ByteBPE(alphabet, [], normalization="nfc"), r"NFC, NFD.*got 'nfc'\. Use NFC"),
        (lambda: ByteBPE.load(tmp_path / "foreign.json"), r"written by ByteBPE.save.*Read a"),
    ]
    for call, text in cases:
        with pytest.raises(ValueError, match=text):
            call()
