"""Edges of `tokenizer.json` that random layouts found: equal ids, or an error that says why."""

import json

import pytest
from tokenizers import Tokenizer

from course_lib.tokenization import huggingface
from tests.tokenization import layouts
from tests.tokenization.small_files import TEXT, ours, style, written

TEXTS = [TEXT[-2000:], "cafe\u0301 \U0001f600\u200d\U0001f466 \u1112\u1161 中文", "a <unk> b", ""]
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def token(name, i):
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": i, "content": name, "special": True, **flags}


def layout(kind, pre_tokenizer=METASPACE, normalizer=None, added=()):
    model = json.loads(layouts.model_texts()[kind])
    steps = {"pre_tokenizer": pre_tokenizer, "normalizer": normalizer, "decoder": None}
    return {**steps, "added_tokens": [token(*each) for each in added], "model": model}


def bert():
    content = written("wordpiece")
    content["model"] = json.loads(json.dumps(content["model"]))
    return content


def check_equal(content, texts=TEXTS):
    loaded, reference = huggingface.from_json(content), Tokenizer.from_str(json.dumps(content))
    for text in texts:
        expected = reference.encode(text, add_special_tokens=False).ids
        assert loaded.encode(text, "all") == expected, text
    return loaded


@pytest.mark.parametrize("field", [{"unk_token": "a"}, {"byte_fallback": True}, {"fuse_unk": True}])
def test_what_is_for_unknown_characters_changes_nothing_where_every_byte_is_known(field):
    content = style("Qwen")
    content["model"] |= field
    check_equal(content)


@pytest.mark.parametrize("before", [[], [{"type": "WhitespaceSplit"}]])
def test_characters_after_a_sequence_of_steps(before):
    steps = {"type": "Sequence", "pretokenizers": [*before, METASPACE]}
    loaded = check_equal(layout("character", steps), [*TEXTS, "a  b\t c\n", " \u3000 x"])
    assert loaded.metaspace.at_white_space == bool(before)


def test_names_that_normalization_makes_are_tokens_only_where_these_are_allowed():
    content = layout("unigram", METASPACE, {"type": "NFKC"}, [("<unk>", 0), ("<x>", 450)])
    content["model"]["vocab"].append(["<x>", 0.0])
    content["added_tokens"][1]["id"] = len(content["model"]["vocab"]) - 1
    loaded = check_equal(content, ["a＜x＞b", "q＜unk＞☃", "＜ｘ＞＜x>", "<x>＜x"])
    i = loaded.special_tokens["<x>"]
    assert i in loaded.encode("a＜x＞b", "all")
    for allowed in ((), ["<x>"]):
        assert i not in loaded.encode("a＜x＞b", allowed)


def test_the_unknown_piece_may_be_one_that_text_spells():
    content = layout("unigram")
    for unknown, (piece, _) in enumerate(content["model"]["vocab"][:30]):
        content["model"]["unk_id"] = unknown
        check_equal(content, [f"x{piece}☃", f"☃{piece}{piece} the", TEXT[-500:]])


@pytest.mark.parametrize("kind", ["character", "wordpiece", "unigram"])
def test_two_tokens_may_not_share_an_id(kind):
    content = bert() if kind == "wordpiece" else layout(kind)
    vocab = content["model"]["vocab"]
    if kind == "unigram":
        vocab.append(list(vocab[7]))
        match = rf"each piece may be listed once.*got '{vocab[7][0]}' 2 times"
    else:
        first, second, *_ = (name for name in vocab if name.isalpha())
        vocab[second] = vocab[first]
        match = rf"an id of its own; got id {vocab[first]} for both '\S+' and '\S+'\. Renumber"
    with pytest.raises(ValueError, match=match):
        huggingface.from_json(content)


def test_an_added_token_may_not_take_the_id_of_a_piece_after_a_hole():
    content = bert()
    vocab = content["model"]["vocab"]
    *_, hole, last = vocab
    del vocab[hole]
    content["added_tokens"].append(token("<|x|>", len(vocab)))
    assert vocab[last] == len(vocab)
    with pytest.raises(ValueError, match=rf"of its own; got id {len(vocab)} for both .*'<\|x\|>'"):
        huggingface.from_json(content)


@pytest.mark.parametrize("name", ["zqx", "##zqx"])
def test_an_added_word_that_the_wordpieces_lack_is_refused(name):
    content = bert()
    content["added_tokens"].append(token(name, len(content["model"]["vocab"])))
    reference = Tokenizer.from_str(json.dumps(content))
    assert content["added_tokens"][-1]["id"] not in reference.encode("ZQX aZQX").ids
    with pytest.raises(
        ValueError, match=rf"in the model's vocab, or no word.*got {name}\. .*use `t"
    ):
        huggingface.from_json(content)
    content["added_tokens"][-1]["content"] = "<zqx>"
    check_equal(content, ["ZQX <zqx> aZQX <ZQX>"])


@pytest.mark.parametrize("kind", ["byte", "character", "unigram"])
def test_a_sequence_of_no_steps_is_refused(kind):
    content = layout(kind, {"type": "Sequence", "pretokenizers": []})
    with pytest.raises(ValueError, match=r"pre_tokenizer in a tokenizer's file.*use `tokenizers`"):
        huggingface.from_json(content)


@pytest.mark.parametrize("name", ["bpe", "wordpiece", "unigram", "character"])
@pytest.mark.parametrize("allowed", ["all", ()])
def test_a_lone_surrogate_is_refused_by_every_kind(name, allowed):
    tokenizer = huggingface.from_json(layout(name)) if name == "character" else ours(name)
    assert tokenizer.encode("a\U00010000 b", allowed)
    for text in ("\ud800", "the \udfff cat", "a" * 500 + "\udcff"):
        with pytest.raises(ValueError, match=r"lone surrogate.*Decode the file with errors='repl"):
            tokenizer.encode(text, allowed)
        with pytest.raises(ValueError, match="lone surrogate"):
            tokenizer.encode_ordinary(text)
