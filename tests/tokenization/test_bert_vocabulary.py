"""`vocab.txt` as transformers reads it."""

import json

import pytest
import transformers

from course_lib.checkpoint import load_tokenizer
from course_lib.tokenization.bert_vocabulary import load_wordpiece, read_vocabulary
from course_lib.tokenization.wordpiece import WordPiece

TEXTS = ["The lowest newt, naïvely: 東京!", "low LOWER unwanted \u2603", "", " a\tb\r\n [MASK] "]


@pytest.fixture
def folder(tmp_path):
    learned = WordPiece.train(
        ["low lower lowest new newer the a b naive", "!,: [ ] 東 京"] * 3, 120
    )
    lines = sorted(learned.vocabulary, key=learned.vocabulary.__getitem__)
    (tmp_path / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_are_those_of_transformers(folder, lowercase):
    theirs = transformers.BertTokenizer.from_pretrained(folder, do_lower_case=lowercase)
    settings = {"do_lower_case": lowercase, "strip_accents": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ours = load_tokenizer(folder)
    for text in TEXTS:
        expected = theirs.encode(text, add_special_tokens=False)
        assert ours.encode(text, allowed_special="all") == expected, text
    assert ours.special_tokens == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}


def test_both_files_of_transformers_give_the_same_ids(folder, tmp_path):
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    theirs.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved/tokenizer.json").is_file()
    by_json, by_text = load_tokenizer(tmp_path / "saved"), load_tokenizer(folder)
    assert isinstance(by_json, WordPiece)
    for text in TEXTS:
        assert by_json.encode(text) == by_text.encode(text)


def test_ids_are_line_numbers(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\n\u2028\nb\n##c", encoding="utf-8")  # no end of a line at the end
    assert read_vocabulary(path) == {"[UNK]": 0, "\u2028": 1, "b": 2, "##c": 3}
    tokenizer = load_wordpiece(path)
    assert tokenizer.encode("bcc d") == [2, 3, 3, 0]
    assert tokenizer.special_tokens == {"[UNK]": 0}


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"a\nb\na\n", {}, "'a' twice"),
        (b"a\nb\n", {}, r"'\[UNK\]'; got 2 pieces without it"),
        (b"\xff\n", {}, "UTF-8.*Fetch the file again"),
        (b"[UNK]\n", {"strip_accents": False}, "strip_accents.*got False.*`transformers`"),
        (b"[UNK]\n", {"tokenize_chinese_chars": False}, "must be True; got False"),
    ],
)
def test_files_that_would_give_other_ids(content, settings, message, tmp_path):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_wordpiece(tmp_path / "vocab.txt", settings)


def test_settings_that_are_no_json(folder):
    (folder / "tokenizer_config.json").write_text("[1")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json must be an object in JSON"):
        load_tokenizer(folder)
