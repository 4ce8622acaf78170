"""Random layouts of `tokenizer.json`: read as `tokenizers` reads them, or refused.

python -m pytest tests/tokenization/test_layouts.py                         a fixed sample
LAYOUTS_SECONDS=600 python -m pytest tests/tokenization/test_layouts.py     ten minutes of others
LAYOUTS_SECONDS=600 LAYOUTS_FIRST=1000000 python -m pytest …                and of others again
"""

import collections
import itertools
import json
import os
import random
import time

import pytest
from tokenizers import Tokenizer

from course_lib.tokenization import huggingface
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.byte_characters import bytes_to_characters
from course_lib.tokenization.unigram import Unigram
from tests.tokenization import layouts

SECONDS = float(os.environ.get("LAYOUTS_SECONDS", "0"))
FIXED = 150  # layouts
FAILED = object()
FIRST = int(os.environ.get("LAYOUTS_FIRST", FIXED))


def outcome(seed):
    """Return "refused", "invalid" or "equal" for a layout; fail where the two differ."""
    generator = random.Random(seed)
    content = layouts.layout(generator)
    try:
        ours = huggingface.from_json(content)
    except ValueError:
        return "refused"
    theirs = answer(lambda: Tokenizer.from_str(json.dumps(content)))
    if theirs is FAILED:
        return "invalid"
    theirs.no_truncation()
    theirs.no_padding()
    shown = {key: value for key, value in content.items() if key != "model"}
    check_vocabulary(ours, theirs, (seed, shown))
    for text in layouts.strings(generator, content):
        expected = answer(lambda text=text: theirs.encode(text, add_special_tokens=False).ids)
        if expected is not FAILED:
            assert ours.encode(text, "all") == expected, (seed, text, shown)
            check_plain_text(ours, theirs, text, (seed, shown))
            ids = generator.choice([expected, generator.choices(sorted(ours.tokens), k=9)])
            check_decoding(ours, theirs, ids, (seed, shown))
    return "equal"


def answer(call):
    """Return what `tokenizers` answers, or FAILED."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException:  # it raises nothing narrower, and a panic is no Exception
        return FAILED


def check_vocabulary(ours, theirs, shown):
    """Compare every token, those of the model and the added ones."""
    expected = {i: name for name, i in theirs.get_vocab().items()}
    found = dict(ours.tokens)
    if isinstance(ours, ByteBPE):
        found |= {i: bytes_to_characters(token) for token, i in ours.vocabulary.items()}
        found |= {i: name for name, i in ours.special_tokens.items()}
    assert found == expected, shown
    assert ours.vocab_size == max(expected) + 1


def check_plain_text(ours, theirs, text, shown):
    """Compare the ids where no special token is allowed."""
    if isinstance(ours, Unigram) or not all(
        token.special for token in theirs.get_added_tokens_decoder().values()
    ):
        return  # names of Unigram's special tokens are text here, and pieces there
    theirs.encode_special_tokens = True
    expected = answer(lambda: theirs.encode(text, add_special_tokens=False).ids)
    theirs.encode_special_tokens = False
    assert expected in (ours.encode(text), FAILED), (text, *shown)


def check_decoding(ours, theirs, ids, shown):
    """Compare the text of all ids, and of those that are not special."""
    if theirs.decoder is None:
        return  # `tokenizers` joins the names of tokens by spaces
    decoded = answer(lambda: theirs.decode(ids, skip_special_tokens=False))
    assert decoded in (ours.decode(ids), FAILED), (ids, *shown)
    special = {i for i, token in theirs.get_added_tokens_decoder().items() if token.special}
    plain = [i for i in ids if i not in special]
    decoded = answer(lambda: theirs.decode(ids, skip_special_tokens=True))
    assert decoded in (ours.decode(plain), FAILED), (ids, *shown)


def test_layouts_made_at_random_are_read_alike_or_refused():
    outcomes = collections.Counter(map(outcome, range(FIXED)))
    assert outcomes["equal"] > FIXED / 4  # so much is compared
    assert outcomes["refused"] > FIXED / 10


@pytest.mark.skipif(not SECONDS, reason="LAYOUTS_SECONDS is not set")
def test_more_layouts_on_demand():
    start = time.monotonic()
    for seed in itertools.count(FIRST):
        outcome(seed)
        if time.monotonic() - start > SECONDS:
            print(f"{seed + 1 - FIRST} layouts")
            break
