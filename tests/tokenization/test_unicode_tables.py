"""Every code point, in the steps that depend on a version of Unicode."""

import base64

import pytest
from tokenizers import normalizers, pre_tokenizers

from course_lib.tokenization import normalization, wordpiece
from course_lib.tokenization.precompiled import Precompiled
from course_lib.tokenization.unicode_tables import WHITE_SPACE
from tests.tokenization.charsmaps import compiled

# Beyond U+30000 there are ideographs, tags, private use and nothing else.
EVERY = [*map(chr, [*range(0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE0200)])]


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_normal_forms_are_those_of_tokenizers(form):
    # After each letter an accent above and one below, whose order depends on the letter.
    text = "".join(f"a\u0301{letter}\u0323 " for letter in EVERY)
    theirs = getattr(normalizers, form)().normalize_str(text)
    ours = normalization.normalize(text, form)
    assert ours.split(" ") == theirs.split(" ")


@pytest.mark.parametrize("lowercase", [True, False])
def test_bert_treats_every_letter_as_tokenizers_does(lowercase):
    text = "|".join(EVERY)
    theirs = normalizers.BertNormalizer(lowercase=lowercase).normalize_str(text)
    assert wordpiece.bert_normalize(text, lowercase).split("|") == theirs.split("|")
    words = [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(theirs)]
    assert wordpiece.bert_split(theirs) == words


def test_white_space_is_that_of_tokenizers():
    strip = normalizers.Strip()
    assert [letter for letter in EVERY if not strip.normalize_str(letter)] == sorted(WHITE_SPACE)


@pytest.mark.parametrize("beside", ["a{}", "{}e\u0301", "e\u0301{}", "a\u200d{}", "{}ab"])
def test_clusters_are_those_of_tokenizers(beside):
    # A cluster is replaced as a whole if it is short, and character by character if it is not.
    charsmap = compiled(["a", "e\u0301"])
    text = "|".join(beside.format(letter) for letter in EVERY)
    theirs = normalizers.Precompiled(base64.b64decode(charsmap)).normalize_str(text)
    assert Precompiled(charsmap)(text).split("|") == theirs.split("|")
