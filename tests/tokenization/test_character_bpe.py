"""The tokenizer of Llama 2 and Mistral, in both layouts, beside `tokenizers`."""

import json
from functools import cache

import pytest
from tokenizers import Tokenizer

from course_lib.tokenization import huggingface
from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.metaspace import BYTE_PIECES, Metaspace, PieceJoiner
from course_lib.tokenization.normalizer import Normalizer
from tests.tokenization import layouts

LLAMA = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}
STYLES = {
    "Llama 2": {"normalizer": Normalizer(LLAMA)},
    "Mistral": {"metaspace": Metaspace("first", split=False)},
}
SMALL = {piece: i for i, piece in enumerate(["<unk>", "▁", "a", "b", "ab", "▁ab"])}
SMALL_MERGES = [("a", "b"), ("▁", "ab")]


@cache
def tokenizer_of(style):
    model = json.loads(layouts.model_texts()["character"])
    special = {"<unk>": 0, "<s>": len(model["vocab"])}
    return CharacterBPE(model["vocab"], map(tuple, model["merges"]), special, **STYLES[style])


@pytest.mark.parametrize("style", STYLES)
def test_written_files_give_the_same_ids_elsewhere_and_here(style, text):
    ours, content = tokenizer_of(style), huggingface.to_json(tokenizer_of(style))
    theirs, again = Tokenizer.from_str(json.dumps(content)), huggingface.from_json(content)
    text = f"{text[:4000]}<s> {text[:300]}字\u0378"
    ids = ours.encode(text, "all")
    assert ids == theirs.encode(text, add_special_tokens=False).ids == again.encode(text, "all")
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)
    assert huggingface.to_json(again) == content


def test_a_text_after_a_special_token_starts_as_the_layout_says():
    mistral, llama = tokenizer_of("Mistral"), tokenizer_of("Llama 2")
    a, start = mistral.vocabulary["a"], mistral.special_tokens["<s>"]
    assert mistral.encode("<s>a", "all") == [start, a]
    assert llama.encode("<s>a", "all") == [start, llama.vocabulary["▁a"]]


def test_bytes_and_the_unknown_token_by_hand():
    small = CharacterBPE(SMALL, SMALL_MERGES, None, "<unk>", False, metaspace=Metaspace())
    assert small.encode("ab ba") == [5, 1, 3, 2]
    assert small.encode("字字a字") == [1, 0, 2, 0]  # two unknown letters in a row are one token
    assert small.decode([5, 1, 3]) == "ab b"
    spelled = {**SMALL, **{piece: 6 + byte for byte, piece in enumerate(BYTE_PIECES)}}
    fallback = CharacterBPE(spelled, SMALL_MERGES, metaspace=Metaspace())
    ids = fallback.encode("字")
    assert ids == [1, *(6 + byte for byte in "字".encode())]
    assert fallback.decode(ids) == "字"
    assert fallback.decode(ids[:-1]) == "\ufffd\ufffd"  # as in `tokenizers`, one for each byte


def test_a_merge_that_crosses_words_keeps_the_text_whole():
    crossing = {**SMALL, "b▁": 6, "b▁a": 7}
    merges = [("b", "▁"), ("b▁", "a"), *SMALL_MERGES]
    whole = Metaspace("never", split=False)
    tokenizer = CharacterBPE(crossing, merges, None, "<unk>", False, metaspace=whole)
    assert tokenizer.encode("ab ab") == [2, 7, 3]


def test_joining_pieces():
    assert PieceJoiner(True, True).text(["▁▁a", "▁b"]) == " a b"
    assert PieceJoiner(False, True).text(["▁▁a", "▁b"]) == "a b"
    assert PieceJoiner(False, False).text(["▁a"]) == " a"
    assert PieceJoiner(True).text(["<0xE2>", "<0x96>", "<0x81>"]) == "▁"
    assert PieceJoiner().text([]) == ""


def test_errors_name_rule_value_and_remedy():
    with pytest.raises(ValueError, match=r"token for every character.*without '<0x00>'\. Add"):
        CharacterBPE(SMALL, SMALL_MERGES)
    with pytest.raises(ValueError, match=r"got one without 'None'\. Add"):
        CharacterBPE(SMALL, SMALL_MERGES, byte_fallback=False)
    with pytest.raises(ValueError, match=r"got 'b' \+ 'b', where 'bb' has no id"):
        CharacterBPE(SMALL, [("b", "b")], None, "<unk>", False)
    with pytest.raises(ValueError, match=r"got 99\. Check"):
        CharacterBPE(SMALL, SMALL_MERGES, None, "<unk>", False).decode([99])
