"""Files of GPT-2 and of tiktoken, written here by their own rules and read by others too."""

import base64
import functools
import itertools
import json
import random

import pytest
import tiktoken
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.convert_slow_tokenizer import bytes_to_unicode

from course_lib import corpus
from course_lib.checkpoint import load_tokenizer
from course_lib.tokenization import patterns, vocab_files
from course_lib.tokenization.byte_bpe import ByteBPE

END = "<|endoftext|>"
M, QWEN = {"content": "<m>"}, {"tokenizer_class": "Qwen2Tokenizer"}
TEXT = corpus.train_text(40_000) + "\n".join(corpus.SAMPLES.values())
LETTERS = bytes_to_unicode()


@functools.cache
def trained():
    return ByteBPE.train([TEXT], 900, [END])


def written(token):
    return "".join(LETTERS[byte] for byte in token)


def write_vocab_merges(folder, version="#version: 0.2\n", **settings):
    """Write the two files of GPT-2's kind, and its settings where there are some."""
    vocab = {
        written(token): i for token, i in trained().vocabulary.items()
    } | trained().special_tokens
    lines = [f"{written(left)} {written(right)}\n" for left, right in trained().merges]
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "merges.txt").write_text(version + "".join(lines), encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_tiktoken(path, ranks):
    lines = [base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()]
    path.write_bytes(b"".join(lines))


def test_two_files_give_the_ids_of_transformers(tmp_path, text):
    write_vocab_merges(tmp_path)
    ours = vocab_files.load_vocab_merges_folder(tmp_path)
    theirs = transformers.GPT2Tokenizer.from_pretrained(tmp_path)
    text += f"{END} and {END}"
    assert ours.encode(text, "all") == theirs.encode(text)
    assert ours.special_tokens == {END: 899}
    assert load_tokenizer(tmp_path).encode(text, "all") == theirs.encode(text)


@pytest.mark.parametrize("version", ["#version: 0.2\n", ""])
def test_two_files_of_any_name_give_the_ids_of_tokenizers(tmp_path, version, text):
    write_vocab_merges(tmp_path, version)
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    model = tokenizers.models.BPE.from_file(str(vocab), str(merges))
    theirs = tokenizers.Tokenizer(model)
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocab, merges = vocab.rename(tmp_path / "ours.json"), merges.rename(tmp_path / "ours.txt")
    ours = vocab_files.load_vocab_merges(vocab, merges)
    assert ours.encode(text) == theirs.encode(text).ids
    assert ours.merges == trained().merges


def test_settings_of_a_folder_are_followed(tmp_path):
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    listed = {"950": {"content": "<|im_start|>", "special": True, **flags}}
    write_vocab_merges(tmp_path, tokenizer_class="Qwen2TokenizerFast", added_tokens_decoder=listed)
    (tmp_path / "added_tokens.json").write_text('{"<|im_end|>": 951}')
    ours = vocab_files.load_vocab_merges_folder(tmp_path)
    assert ours.special_tokens == {END: 899, "<|im_start|>": 950, "<|im_end|>": 951}
    assert (ours.pattern, ours.normalization) == (patterns.QWEN_PATTERN, "NFC")
    assert ours.encode("cafe\u0301 2024<|im_end|>", "all") == [*ours.encode("café 2024"), 951]


def test_a_token_of_a_folder_takes_the_white_space_that_its_flags_name(tmp_path):
    listed = {"950": {**M, "lstrip": True}, "951": {"content": "<r>", "rstrip": True}}
    write_vocab_merges(tmp_path, added_tokens_decoder=listed)
    ours = vocab_files.load_vocab_merges_folder(tmp_path)
    assert ours.encode("a <m> b<r>\n c", "all") == ours.encode("a<m> b<r>c", "all")
    (tmp_path / "added_tokens.json").write_text('{" x": 952}')
    with pytest.raises(ValueError, match=r"free of white space.*got ' x'"):
        vocab_files.load_vocab_merges_folder(tmp_path)


def test_settings_that_would_change_ids_are_errors(tmp_path):
    for content, value in [
        ({"tokenizer_class": "CLIPTokenizer"}, "got CLIPTokenizer"),
        ({"add_prefix_space": True}, "add_prefix_space=True"),
        ({"added_tokens_decoder": {"9": {**M, "single_word": True}}}, "single_word.*'<m>'"),
        ({"added_tokens_decoder": {"9": {**M, "normalized": True}}, **QWEN}, "normalized.*'<m>'"),
    ]:
        write_vocab_merges(tmp_path, **content)
        with pytest.raises(ValueError, match=value):
            load_tokenizer(tmp_path)


@pytest.mark.parametrize("pattern", [patterns.GPT2_PATTERN, patterns.GPT4_PATTERN])
def test_ranks_give_the_ids_and_merges_of_the_tokenizer(tmp_path, pattern, text):
    trained = ByteBPE.train([TEXT], 900, pattern=pattern)
    write_tiktoken(tmp_path / "small.tiktoken", trained.vocabulary)
    ours = vocab_files.load_tiktoken(tmp_path / "small.tiktoken", pattern, {END: 900})
    theirs = tiktoken.Encoding(
        "small", pat_str=pattern, mergeable_ranks=trained.vocabulary, special_tokens={END: 900}
    )
    text += f"{END} and {END}"
    assert ours.encode(text, "all") == theirs.encode(text, allowed_special="all")
    assert ours.merges == trained.merges


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.text("abc ", max_size=60))
def test_any_ranks_give_the_ids_of_tiktoken(generator, text):
    # Ranks in a random order: parts may rank after the whole, and some tokens no merge can make.
    longer = [bytes(t) for n in (2, 3, 4, 5) for t in itertools.product(b"abc", repeat=n)]
    chosen = generator.sample(longer, 30)
    tokens = [bytes([byte]) for byte in range(256)] + chosen
    ranks = {token: rank for rank, token in enumerate(tokens)}
    theirs = tiktoken.Encoding(
        "any", pat_str=patterns.GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    merges = vocab_files.merges_from_ranks(ranks)
    ours = ByteBPE(ranks, merges, ignore_merges=True)
    words = text + " " + "".join(generator.choice("abc") for _ in range(40))
    assert ours.encode(words) == theirs.encode_ordinary(words)


def test_a_token_that_no_merge_makes_is_a_whole_word(tmp_path):
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"xy": 256, b" wxyz": 300}
    write_tiktoken(tmp_path / "ranks.tiktoken", ranks)
    ours = vocab_files.load_tiktoken(tmp_path / "ranks.tiktoken", patterns.GPT4_PATTERN)
    assert ours.merges == [(b"x", b"y")]
    assert ours.encode("xy wxyz wxyzz") == [256, 300, *b" w", 256, *b"zz"]


def test_merges_from_ranks_by_hand():
    tokens = [b" t", b" a", b"he", b"in", b" the", b"xyz", b"then"]
    ranks = {token: 256 + i for i, token in enumerate(tokens)}
    expected = [(b" ", b"t"), (b" ", b"a"), (b"h", b"e"), (b"i", b"n"), (b" t", b"he")]
    assert vocab_files.merges_from_ranks(ranks) == expected  # none makes "xyz" or "then"
    assert vocab_files.merges_from_ranks({b"a": 0, b"b": 1}) == []
    random_order = dict(random.Random(0).sample(sorted(ranks.items()), len(ranks)))
    assert vocab_files.merges_from_ranks(random_order) == expected


def test_malformed_files_are_errors(tmp_path):
    path = tmp_path / "ranks.tiktoken"
    for data, value in [
        (b"YQ== 0\nYg==\n", "line 2"),
        (b"YQ== 0\n\nYg== one\n", r"Yg== one.*line 3"),
        (b"Y\xc3 0", "line 1"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
    ]:
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"{value}.*Download"):
            vocab_files.read_ranks(path)
    path.write_bytes(b"YQ== 0\n")
    with pytest.raises(ValueError, match="without 255"):
        vocab_files.load_tiktoken(path, patterns.GPT2_PATTERN)
    for name, data, value in [
        ("merges.txt", "a b\na b c\n", r"'a b c' in line 2"),
        ("vocab.json", "[1, 2]", r"vocab\.json.*\[1, 2\]"),
        ("vocab.json", "{", r"vocab\.json must be a JSON object"),
        ("vocab.json", '{"中": 0}', "'中' in '中'"),
    ]:
        write_vocab_merges(tmp_path)
        (tmp_path / name).write_text(data, encoding="utf-8")
        with pytest.raises(ValueError, match=value):
            vocab_files.load_vocab_merges(tmp_path / "vocab.json", tmp_path / "merges.txt")
