"""Files that ask for what this library does not do: the error says what, and what to do."""

import pytest

from course_lib.tokenization import huggingface
from tests.tokenization.small_files import STYLES, changed, style, written

QWEN, GPT2, BERT, T5 = "Qwen", "GPT-2", "wordpiece", "unigram"
NO_TOKENIZERS = {
    "no object": ([1, 2], r"an object with a model that has a vocab; got \[1, 2\]\. Pass the file"),
    "no model": ({"vocab": {}}, r"an object with a model.*not tokenizer_config.json or vocab"),
    "no vocab": ({"model": {"type": "BPE"}}, r"an object with a model that has a vocab"),
}
REFUSED = {
    "word level": (QWEN, "model.type", "WordLevel", r"BPE, WordPiece or Unigram; got W"),
    "dropout": (QWEN, "model.dropout", 0.1, r"model.dropout.*none.*got 0\.1.*`token"),
    "suffix": (QWEN, "model.end_of_word_suffix", "</w>", r"end_of_word_suffix.*got </w>"),
    "no bytes": (QWEN, "model.vocab.▁x", 9999, r"byte alphabet.*got '▁' in '▁x'"),
    "one half": (QWEN, "model.merges.0", ["a"], r"a merge.*two tokens; got \['a'\]"),
    "three": (QWEN, "model.merges.0", "a b c", r"two tokens; got \['a', 'b', 'c'\]"),
    "no such half": (QWEN, "model.merges.0", "a ĊĊa", r"b'a' \+ b'\\n\\na', where"),
    "merges": (QWEN, "model.merges", 3, r"of kind BPE.*fields that `tokenizers` writes"),
    "lower": (QWEN, "normalizer", {"type": "Lowercase"}, r"normalizer.*NFKD; got .*Lower"),
    "no split": (QWEN, "pre_tokenizer", None, r"pre_tokenizer.*ByteLevel, or Split"),
    "words": (QWEN, "pre_tokenizer", {"type": "Whitespace"}, r"pre_tokenizer.*Whitespace"),
    "prefix": (GPT2, "pre_tokenizer.add_prefix_space", True, r"add_prefix_sp"),
    "not split": (QWEN, "pre_tokenizer.pretokenizers.0.type", "X", r"Split or Digits.*X"),
    "pattern": (
        QWEN, "pre_tokenizer.pretokenizers.0.pattern.Regex", "[a&&b]",
        r"to Oniguruma.*got '&&' in '\[a&&b\]'.*Use `tokenizers`",
    ),
    "decoder": (QWEN, "decoder", {"type": "Fuse"}, r"decoder.*must be ByteLevel.*Fuse"),
    "byte": (
        QWEN, "added_tokens.0.content", "é",
        r"letters that stand for bytes, as all of 'é' do.*got é",
    ),
    "other id": (QWEN, "added_tokens.0.id", 777, r"'<\|endof.*must be 600.*got 777"),
    "overlap": (
        GPT2, "added_tokens.1.content", "x<|endoftext|>",
        r"normalized of the added token '<\|endoftext\|>'.*with which it overlaps; got True",
    ),
    "word": (QWEN, "added_tokens.0.single_word", True, r"single_word of the added token"),
    "normalized": (QWEN, "added_tokens.0.normalized", True, r"normalized of the added"),
    "same id": (QWEN, "added_tokens.0.id", 5, r"id of its own; got id 5 for both"),
    "no byte": (QWEN, "model.vocab", {"a": 0}, r"all 256 bytes; got one without 255"),
    "bert prefix": (BERT, "model.continuing_subword_prefix", "@@", r"must be ##; got @@"),
    "bert split": (BERT, "pre_tokenizer.type", "Whitespace", r"must be BertPreTokenizer"),
    "bert accents": (BERT, "normalizer.strip_accents", False, r"a BertNormalizer that cl"),
    "bert none": (BERT, "normalizer", None, r"a BertNormalizer that cleans"),
    "bert unknown": (BERT, "model.unk_token", "[NO]", r"without '\[NO\]'\. Add it"),
    "nmt": (T5, "normalizer", {"type": "Nmt"}, r"normalizer.*Precompiled.*got .*Nmt"),
    "charsmap": (
        T5, "normalizer", {"type": "Precompiled", "precompiled_charsmap": "AA=="},
        r"precompiled_charsmap must be base64.*got 'AA=='.*Fetch",
    ),
    "first": (T5, "pre_tokenizer.replacement", "_", r"Metaspace with ▁; got .*'_'"),
    "no unk": (T5, "model.unk_id", None, r"model.unk_id.*got None"),
    "bad pieces": (T5, "model.vocab.3", 7, r"of kind Unigram.*reading failed with T"),
}  # fmt: skip


def content_of(base, path, value):
    """Return the content of a good file with one field changed."""
    return changed(style(base) if base in STYLES else written(base), path, value)


@pytest.mark.parametrize("name", NO_TOKENIZERS)
def test_content_that_is_no_tokenizer_is_an_error(name):
    content, text = NO_TOKENIZERS[name]
    with pytest.raises(ValueError, match=text):
        huggingface.from_json(content)


@pytest.mark.parametrize("name", REFUSED)
def test_foreign_and_malformed_content_is_an_error(name):
    *change, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        huggingface.from_json(content_of(*change))


def test_the_same_special_token_twice_is_an_error():
    content = style(QWEN)
    content["added_tokens"] = content["added_tokens"][:1] * 2
    with pytest.raises(ValueError, match=r"listed once.*'<\|endoftext\|>' twice.*Re"):
        huggingface.from_json(content)
