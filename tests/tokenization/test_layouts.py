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
from tests.tokenization import layouts

SECONDS = float(os.environ.get("LAYOUTS_SECONDS", "0"))
FIXED = 150  # layouts
FIRST = int(os.environ.get("LAYOUTS_FIRST", FIXED))


def outcome(seed):
    """Return "refused", "invalid" or "equal" for a layout; fail where the two differ."""
    generator = random.Random(seed)
    content = layouts.layout(generator)
    try:
        theirs = Tokenizer.from_str(json.dumps(content))
    except KeyboardInterrupt:
        raise
    except BaseException:  # `tokenizers` raises nothing narrower, and a panic is no Exception
        return "invalid"
    theirs.no_truncation()
    try:
        ours = huggingface.from_json(content)
    except ValueError:
        return "refused"
    shown = {key: value for key, value in content.items() if key != "model"}
    for text in layouts.strings(generator, content):
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, "all") == expected, (seed, text, shown)
        if content["decoder"]:
            decoded = theirs.decode(expected, skip_special_tokens=False)
            assert ours.decode(expected) == decoded, (seed, text, expected, shown)
    return "equal"


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
