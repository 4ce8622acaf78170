import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.tokenization import normalization

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
JOINING = st.text(
    "ae\u0301\u0323\u0308 \u1100\u1161\u11a8가한中。\u09c7\u09be\u3099かﬁ\uff9e", max_size=20
)


@settings(max_examples=300)
@given(st.lists(JOINING, max_size=8), st.sampled_from(FORMS))
def test_streamed_text_equals_the_joined_text(chunks, form):
    streamed = "".join(normalization.stream_normalize(chunks, form))
    assert streamed == unicodedata.normalize(form, "".join(chunks))


def test_normalizing_chunk_by_chunk_would_not_do():
    chunks = ["cafe", "\u0301"]
    assert "".join(unicodedata.normalize("NFC", chunk) for chunk in chunks) != "café"
    assert "".join(normalization.stream_normalize(chunks, "NFC")) == "café"


@pytest.mark.parametrize("form", FORMS)
def test_no_character_that_may_be_cut_off_joins_with_the_one_before(form):
    generator = random.Random(0)
    starts = [chr(c) for c in range(0x30000) if normalization._starts(chr(c))]
    assert len(starts) > 20_000
    joining = [chr(c) for c in range(0x30000) if unicodedata.decomposition(chr(c))]
    for after in [*generator.sample(starts, 3000), *map(chr, range(0x300))]:
        before = generator.choice("aeoi\u1100가\u0b47") + generator.choice(joining)
        apart = unicodedata.normalize(form, before) + unicodedata.normalize(form, after)
        assert unicodedata.normalize(form, before + after) == apart


def test_text_is_handed_on_while_more_comes():
    def chunks():
        yield "hello wor"
        yield "ld 中"
        assert handed == ["hello wo", "rld "]
        yield "文"

    handed = []
    for part in normalization.stream_normalize(chunks(), "NFC"):
        handed.append(part)
    assert "".join(handed) == "hello world 中文"


def test_forms():
    assert normalization.normalize("e\u0301", "NFC") == "é"
    assert normalization.normalize("e\u0301", None) == "e\u0301"
    normalization.check_form(None)
    with pytest.raises(ValueError, match=r"must be NFC, NFD.* or None; got 'C'\. Use NFC for Qwen"):
        normalization.check_form("C")
