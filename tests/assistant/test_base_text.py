import random
import re
from collections import Counter

import torch

from course_lib.assistant.arithmetic import PHRASINGS, Question, is_held_out
from course_lib.assistant.base_text import (
    KINDS,
    SHARES,
    WIDE,
    WIDE_SHARE,
    base_batch,
    document,
    row_of_documents,
)
from course_lib.assistant.evaluation import chat_prompts, text_prompts
from course_lib.assistant.tokenizer import END_OF_TEXT, role_tokenizer
from course_lib.device import seeded

ASKED = re.compile(r"What is (\d+) plus (\d+)\?|(\d+) \+ (\d+) = \?|Add (\d+) and (\d+)\.")


def operands(text):
    for found in ASKED.finditer(text):
        a, b = (int(each) for each in found.groups() if each)
        yield a, b


def pages(count=400, varied=False):
    source = random.Random(0)
    return [document(source, varied) for _ in range(count)]


def test_no_held_out_pair_is_ever_read():
    asked = [pair for text in pages() + pages(varied=True) for pair in operands(text)]
    assert len(asked) > 500
    assert not any(is_held_out(a, b) for a, b in asked)


def test_every_phrasing_and_every_kind_occurs():
    text = "\n".join(pages())
    assert all(each.partition("{")[0] in text for each in PHRASINGS)
    kinds = Counter(
        "thinking" if " so " in each else "table" if "=" in each and "?" not in each else "other"
        for each in pages()
    )
    assert abs(kinds["thinking"] / 400 - SHARES[KINDS.index("thinking")]) < 0.08


def test_gaps_are_one_character_wide_or_as_wide_as_a_template():
    def gaps(varied):
        for text in pages(varied=varied):
            found = re.search(r"[?.](\s+)\d\+\d\S* .* so ", text)
            if found and len(list(operands(text))) == 1:
                yield len(found[1])

    assert set(gaps(False)) == {1}
    found = list(gaps(True))
    assert set(found) == {1, len(WIDE)}
    assert abs(found.count(len(WIDE)) / len(found) - WIDE_SHARE) < 0.1


def test_a_wide_gap_is_what_the_template_puts_between():
    tokenizer, question = role_tokenizer(), Question(347, 496)
    (prompt,) = chat_prompts(tokenizer, [question])
    (page,) = text_prompts(tokenizer, [question], WIDE)
    opening = 3  # <|im_start|>, user, a line break; a page has one separator
    assert len(prompt) - opening == len(page) - 1


def test_rows_begin_with_a_separator_and_have_their_length():
    tokenizer = role_tokenizer()
    row = row_of_documents(tokenizer, 80, random.Random(0))
    assert len(row) == 80
    assert row[0] == tokenizer.special_tokens[END_OF_TEXT]


def test_batches_follow_their_generator():
    tokenizer = role_tokenizer()
    one, same, other = (base_batch(tokenizer, 3, 40, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(one.ids, same.ids)
    assert not torch.equal(one.ids, other.ids)
    assert one.counted.all()
