import copy
import gc
import json
import random

import pytest
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from course_lib import corpus
from course_lib.tokenization import byte_characters, huggingface, patterns
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece

TEXT = corpus.train_text(20_000) + "\n".join(corpus.SAMPLES.values())
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def train_foreign(pre_tokenizer, normalizer=None, special=()):
    """Return a tokenizer trained and set up by `tokenizers` alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(name, normalized=False, special=True) for name in special],
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def gpt2_style():
    """Like GPT-2's file: one pre-tokenizer, merges as strings, the special token in the vocab."""
    special = [SPECIAL[0], "<｜end▁of▁turn｜>"]  # the second is not written in byte characters
    tokenizer = train_foreign(pre_tokenizers.ByteLevel(add_prefix_space=False), None, special)
    content = json.loads(tokenizer.to_str())
    del content["model"]["type"]
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    content["model"]["continuing_subword_prefix"] = ""
    content["model"]["end_of_word_suffix"] = ""
    content["added_tokens"][0]["normalized"] = True
    return content


def qwen_style():
    """Like Qwen's file: NFC, a Split and a ByteLevel, special tokens outside the vocab."""
    steps = [
        pre_tokenizers.Split(Regex(patterns.QWEN_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer = train_foreign(pre_tokenizers.Sequence(steps), normalizers.NFC())
    added = [AddedToken(name, normalized=False, special=True) for name in SPECIAL]
    tokenizer.add_tokens([*added, AddedToken("<tool_call>", normalized=False, special=False)])
    return json.loads(tokenizer.to_str())


def gpt4_style():
    """Like converted `tiktoken` files: what is between matches is removed, whole words first."""
    steps = [
        pre_tokenizers.Split(Regex(patterns.GPT4_PATTERN), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    content = json.loads(train_foreign(pre_tokenizers.Sequence(steps)).to_str())
    content["model"]["ignore_merges"] = True
    content["model"]["vocab"]["Ġcontextual"] = 777
    return content


STYLES = {"GPT-2": gpt2_style(), "Qwen": qwen_style(), "GPT-4": gpt4_style()}
OURS = {
    "bpe": ByteBPE.train([TEXT], 500, SPECIAL),
    "bpe, Qwen's pattern": ByteBPE.train([TEXT], 500, SPECIAL, patterns.QWEN_PATTERN),
    "wordpiece": WordPiece.train([TEXT], 500),
    "wordpiece, cased": WordPiece.train([TEXT], 500, lowercase=False),
    "unigram": Unigram.train([TEXT[-3000:]], 400, ["<unk>", "<s>"]),
    "unigram, bytes": Unigram(
        [("<unk>", 0.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256)), ("▁", -2.0)],
        byte_fallback=True,
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_ids_of_foreign_files(tmp_path, style, text):
    content = STYLES[style]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    loaded = huggingface.load_tokenizer_json(tmp_path / "tokenizer.json")
    if "type" not in content["model"]:
        content = copy.deepcopy(content)
        content["model"]["type"] = "BPE"
    reference = Tokenizer.from_str(json.dumps(content))
    text += " contextual cafe\u0301<tool_call><｜end▁of▁turn｜>"
    ids = loaded.encode(text, allowed_special="all")
    assert ids == reference.encode(text, add_special_tokens=False).ids
    assert loaded.decode(ids) == reference.decode(ids, skip_special_tokens=False)
    assert set(loaded.special_tokens.items()) == {
        (token["content"], token["id"]) for token in content["added_tokens"]
    }


@pytest.mark.parametrize("name", OURS)
def test_written_files_give_the_same_ids_elsewhere_and_here(tmp_path, name, text):
    tokenizer, path = OURS[name], tmp_path / "tokenizer.json"
    huggingface.save_tokenizer_json(tokenizer, path)
    reference, again = Tokenizer.from_file(str(path)), huggingface.load_tokenizer_json(path)
    ids = tokenizer.encode(text, allowed_special="all")
    assert ids == reference.encode(text, add_special_tokens=False).ids
    assert ids == again.encode(text, allowed_special="all")
    assert type(again) is type(tokenizer)
    assert huggingface.to_json(again) == huggingface.to_json(tokenizer)


@pytest.mark.parametrize("name", ["bpe", "bpe, Qwen's pattern", "unigram"])
def test_written_files_decode_the_same(name):
    tokenizer = OURS[name]
    reference = Tokenizer.from_str(json.dumps(huggingface.to_json(tokenizer)))
    ids = tokenizer.encode(TEXT[-1500:])
    assert reference.decode(ids) == tokenizer.decode(ids) == TEXT[-1500:]


def test_bytes_are_written_as_gpt2_writes_them():
    assert bytes_to_unicode() == byte_characters.BYTE_CHARACTERS
    assert byte_characters.bytes_to_characters(b" the\n") == "ĠtheĊ"
    every = bytes(range(256))
    assert byte_characters.characters_to_bytes(byte_characters.bytes_to_characters(every)) == every


def changed(content, path, value):
    """Return a copy of the content with one field set; `path` is dotted."""
    content = copy.deepcopy(content)
    *parents, last = path.split(".")
    inner = content
    for key in parents:
        inner = inner[int(key) if key.isdigit() else key]
    inner[int(last) if last.isdigit() else last] = value
    return content


QWEN, BERT = STYLES["Qwen"], huggingface.to_json(OURS["wordpiece"])
PIECES = huggingface.to_json(OURS["unigram"])
DOUBLE = [QWEN["added_tokens"][0]] * 2
REFUSED = {
    "no object": ([1, 2], r"an object with a model that has a vocab; got \[1, 2\]\. Pass the file"),
    "no model": ({"vocab": {}}, r"an object with a model.*not tokenizer_config.json or vocab"),
    "no vocab": ({"model": {"type": "BPE"}}, r"an object with a model that has a vocab"),
    "word level": (changed(QWEN, "model.type", "WordLevel"), r"BPE, WordPiece or Unigram; got W"),
    "dropout": (changed(QWEN, "model.dropout", 0.1), r"model.dropout.*none.*got 0\.1.*`token"),
    "fallback": (changed(QWEN, "model.byte_fallback", True), r"model.byte_fallback.*got True"),
    "suffix": (changed(QWEN, "model.end_of_word_suffix", "</w>"), r"end_of_word_suffix.*got </w>"),
    "no bytes": (changed(QWEN, "model.vocab.▁x", 9999), r"byte alphabet.*got '▁' in '▁x'"),
    "one half": (changed(QWEN, "model.merges.0", ["a"]), r"a merge.*two tokens; got \['a'\]"),
    "three": (changed(QWEN, "model.merges.0", "a b c"), r"two tokens; got \['a', 'b', 'c'\]"),
    "no such half": (changed(QWEN, "model.merges.0", "a ĊĊa"), r"b'a' \+ b'\\n\\na', where"),
    "merges": (changed(QWEN, "model.merges", 3), r"of kind BPE.*fields that `tokenizers` writes"),
    "lower": (changed(QWEN, "normalizer", {"type": "Lowercase"}), r"normalizer.*NFKD; got .*Lower"),
    "no split": (changed(QWEN, "pre_tokenizer", None), r"pre_tokenizer.*ByteLevel, or Split"),
    "words": (changed(QWEN, "pre_tokenizer", {"type": "Whitespace"}), r"pre_tokenizer.*Whitespace"),
    "prefix": (changed(STYLES["GPT-2"], "pre_tokenizer.add_prefix_space", True), r"add_prefix_sp"),
    "not split": (changed(QWEN, "pre_tokenizer.pretokenizers.0.type", "X"), r"Split or Digits.*X"),
    "pattern": (
        changed(QWEN, "pre_tokenizer.pretokenizers.0.pattern.Regex", "[a&&b]"),
        r"to Oniguruma.*got '&&' in '\[a&&b\]'.*Use `tokenizers`",
    ),
    "decoder": (changed(QWEN, "decoder", {"type": "Fuse"}), r"decoder.*must be ByteLevel.*Fuse"),
    "byte": (
        changed(QWEN, "added_tokens.0.content", "é"),
        r"letters that stand for bytes, as all of 'é' do.*got é",
    ),
    "other id": (changed(QWEN, "added_tokens.0.id", 777), r"'<\|endof.*must be 600.*got 777"),
    "overlap": (
        changed(STYLES["GPT-2"], "added_tokens.1.content", "x<|endoftext|>"),
        r"normalized of the added token '<\|endoftext\|>'.*with which it overlaps; got True",
    ),
    "word": (changed(QWEN, "added_tokens.0.single_word", True), r"single_word of the added token"),
    "normalized": (changed(QWEN, "added_tokens.0.normalized", True), r"normalized of the added"),
    "double": (changed(QWEN, "added_tokens", DOUBLE), r"listed once.*'<\|endoftext\|>' twice.*Re"),
    "same id": (changed(QWEN, "added_tokens.0.id", 5), r"id of its own; got id 5 for both"),
    "no byte": (changed(QWEN, "model.vocab", {"a": 0}), r"all 256 bytes; got one without 255"),
    "bert prefix": (changed(BERT, "model.continuing_subword_prefix", "@@"), r"must be ##; got @@"),
    "bert split": (changed(BERT, "pre_tokenizer.type", "Whitespace"), r"must be BertPreTokenizer"),
    "bert accents": (changed(BERT, "normalizer.strip_accents", False), r"a BertNormalizer that cl"),
    "bert none": (changed(BERT, "normalizer", None), r"a BertNormalizer that cleans"),
    "bert unknown": (changed(BERT, "model.unk_token", "[NO]"), r"without '\[NO\]'\. Add it"),
    "nmt": (changed(PIECES, "normalizer", {"type": "Nmt"}), r"normalizer.*Precompiled.*got .*Nmt"),
    "charsmap": (
        changed(PIECES, "normalizer", {"type": "Precompiled", "precompiled_charsmap": "AA=="}),
        r"precompiled_charsmap must be base64.*got 'AA=='.*Fetch",
    ),
    "first": (changed(PIECES, "pre_tokenizer.replacement", "_"), r"Metaspace with ▁; got .*'_'"),
    "no unk": (changed(PIECES, "model.unk_id", None), r"model.unk_id.*got None"),
    "bad pieces": (changed(PIECES, "model.vocab.3", 7), r"of kind Unigram.*reading failed with T"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_foreign_and_malformed_content_is_an_error(name):
    content, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        huggingface.from_json(content)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"version https://git-lfs"])
def test_files_that_are_no_json_are_errors(tmp_path, data):
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"must be JSON in UTF-8; got '.*tokenizer.json', which"):
        huggingface.load_tokenizer_json(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("pattern", [r"\p{N}{1,3}+|\p{L}+", r"\s+$|.", r"\w+"])
def test_a_pattern_that_would_be_read_differently_is_not_written(pattern):
    tokenizer = ByteBPE(OURS["bpe"].vocabulary, OURS["bpe"].merges, None, pattern)
    with pytest.raises(ValueError, match="Oniguruma"):
        huggingface.to_json(tokenizer)


def test_several_splits_survive_every_file(tmp_path):
    steps = [patterns.Split(r"\p{N}{1,3}"), patterns.Split("[一-龥]+", "MergedWithNext")]
    ours = ByteBPE(OURS["bpe"].vocabulary, OURS["bpe"].merges, None, steps)
    reference = Tokenizer.from_str(json.dumps(huggingface.to_json(ours)))
    ours.save(tmp_path / "bpe.json")
    text = TEXT[-3000:] + " 12345 中文 x"
    for again in (
        ByteBPE.load(tmp_path / "bpe.json"),
        huggingface.from_json(huggingface.to_json(ours)),
    ):
        assert again.pattern == steps
        assert again.encode(text) == ours.encode(text) == reference.encode(text).ids


@pytest.mark.parametrize("style", ["GPT-2", "Qwen"])
@pytest.mark.parametrize("change", ["as written", "other order", "listed twice"])
def test_merges_are_ranked_as_the_tokenizer_ranks_them(style, change):
    """Files list the tokens in the order of the merges, and need not."""
    content = copy.deepcopy(STYLES[style])
    model = content["model"]
    if change == "other order":
        model["vocab"] = dict(random.Random(0).sample(list(model["vocab"].items()), 600))
    if change == "listed twice":
        model["merges"] += model["merges"][:40]
    loaded = huggingface.from_json(content)
    again = ByteBPE(loaded.vocabulary, loaded.merges, pattern=loaded.pattern)
    assert loaded.merge_table == again.merge_table
    assert len(loaded.merges) == len(model["merges"])
    expected = Tokenizer.from_str(json.dumps(content)).encode(TEXT[-3000:]).ids
    assert loaded.encode(TEXT[-3000:]) == expected


@pytest.mark.parametrize("enabled", [True, False])
def test_reading_a_file_leaves_the_garbage_collector_as_it_was(tmp_path, enabled):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(QWEN), encoding="utf-8")
    bad.write_text(json.dumps(REFUSED["dropout"][0]), encoding="utf-8")
    try:
        (gc.enable if enabled else gc.disable)()
        huggingface.load_tokenizer_json(good)
        assert gc.isenabled() == enabled
        with pytest.raises(ValueError, match="dropout"):
            huggingface.load_tokenizer_json(bad)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_many_tokens_are_read_as_each_alone():
    written = ["".join(bytes_to_unicode().values()), "", "Ġa", "é", "ġ!"]
    expected = list(map(byte_characters.characters_to_bytes, written))
    assert byte_characters.many_to_bytes(written) == expected
    assert byte_characters.many_to_bytes([]) == []
    for strange in ("▁", "\u0144", "\U0001f600", "\ud800", "\u00ad", "\0"):
        with pytest.raises(ValueError, match="byte alphabet") as alone:
            byte_characters.characters_to_bytes(f"a{strange}")
        with pytest.raises(ValueError, match="byte alphabet") as together:
            byte_characters.many_to_bytes(["b", f"a{strange}"])
        assert str(alone.value) == str(together.value)
