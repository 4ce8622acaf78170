import gc
import json
import random

import pytest
from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from course_lib.tokenization import byte_characters, huggingface, patterns
from course_lib.tokenization.byte_bpe import ByteBPE
from tests.tokenization.small_files import OURS, STYLES, TEXT, changed, ours, style


@pytest.mark.parametrize("name", STYLES)
def test_ids_of_foreign_files(tmp_path, name, text):
    content = style(name)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    loaded = huggingface.load_tokenizer_json(tmp_path / "tokenizer.json")
    if "type" not in content["model"]:
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
    tokenizer, path = ours(name), tmp_path / "tokenizer.json"
    huggingface.save_tokenizer_json(tokenizer, path)
    reference, again = Tokenizer.from_file(str(path)), huggingface.load_tokenizer_json(path)
    ids = tokenizer.encode(text, allowed_special="all")
    assert ids == reference.encode(text, add_special_tokens=False).ids
    assert ids == again.encode(text, allowed_special="all")
    assert type(again) is type(tokenizer)
    assert huggingface.to_json(again) == huggingface.to_json(tokenizer)


@pytest.mark.parametrize("name", ["bpe", "bpe, Qwen's pattern", "unigram"])
def test_written_files_decode_the_same(name):
    tokenizer = ours(name)
    reference = Tokenizer.from_str(json.dumps(huggingface.to_json(tokenizer)))
    ids = tokenizer.encode(TEXT[-1500:])
    assert reference.decode(ids) == tokenizer.decode(ids) == TEXT[-1500:]


def test_bytes_are_written_as_gpt2_writes_them():
    assert bytes_to_unicode() == byte_characters.BYTE_CHARACTERS
    assert byte_characters.bytes_to_characters(b" the\n") == "ĠtheĊ"
    every = bytes(range(256))
    assert byte_characters.characters_to_bytes(byte_characters.bytes_to_characters(every)) == every


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"version https://git-lfs"])
def test_files_that_are_no_json_are_errors(tmp_path, data):
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"must be JSON in UTF-8; got '.*tokenizer.json', which"):
        huggingface.load_tokenizer_json(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("pattern", [r"\p{N}{1,3}+|\p{L}+", r"\s+$|.", r"\w+"])
def test_a_pattern_that_would_be_read_differently_is_not_written(pattern):
    tokenizer = ByteBPE(ours("bpe").vocabulary, ours("bpe").merges, None, pattern)
    with pytest.raises(ValueError, match="Oniguruma"):
        huggingface.to_json(tokenizer)


def test_several_splits_survive_every_file(tmp_path):
    steps = [patterns.Split(r"\p{N}{1,3}"), patterns.Split("[一-龥]+", "MergedWithNext")]
    tokenizer = ByteBPE(ours("bpe").vocabulary, ours("bpe").merges, None, steps)
    reference = Tokenizer.from_str(json.dumps(huggingface.to_json(tokenizer)))
    tokenizer.save(tmp_path / "bpe.json")
    text = TEXT[-3000:] + " 12345 中文 x"
    for again in (
        ByteBPE.load(tmp_path / "bpe.json"),
        huggingface.from_json(huggingface.to_json(tokenizer)),
    ):
        assert again.pattern == steps
        assert again.encode(text) == tokenizer.encode(text) == reference.encode(text).ids


@pytest.mark.parametrize("name", ["GPT-2", "Qwen"])
@pytest.mark.parametrize("change", ["as written", "other order", "listed twice"])
def test_merges_are_ranked_as_the_tokenizer_ranks_them(name, change):
    """Files list the tokens in the order of the merges, and need not."""
    content = style(name)
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
    good.write_text(json.dumps(style("Qwen")), encoding="utf-8")
    bad.write_text(json.dumps(changed(style("Qwen"), "model.dropout", 0.1)), encoding="utf-8")
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
