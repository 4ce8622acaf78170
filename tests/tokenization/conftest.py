"""Corpora on which every tokenizer must agree with its references."""

import os
from functools import cache

import pytest

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from course_lib import corpus

CORPORA = {
    "documentation": lambda: corpus.train_text(60_000),
    "code": lambda: corpus.train_text(60_000, "sources"),
    "scripts": "\n".join(corpus.SAMPLES.values()) * 3,
    "Chinese": corpus.SAMPLES["Chinese"] * 20,
    "emoji": corpus.SAMPLES["emoji"] * 5 + "🏴󠁧󠁢󠁷󠁬󠁳󠁿❤️‍🔥",
    "empty": "",
    "one byte": "a",
    "one space": " ",
    "a run of letters": "a" * 20_000,
    "a run of spaces": " " * 5000 + "x" + " \n" * 3000,
    "contractions": "it's we'll I'M don't 'tis ''ll 'r",
    "digits and signs": "3.14159 2024-11-05 1_000_000 !!\n\n  \n\t== => ...",
    "special names": "<|im_start|>user<|endoftext|>",
    "control characters": "".join(map(chr, range(256))),
}


@cache
def corpus_of(name):
    """Return a corpus; the long ones are read when a test asks for them."""
    found = CORPORA[name]
    return found() if callable(found) else found


@pytest.fixture(params=CORPORA, scope="session")
def text(request):
    return corpus_of(request.param)


@pytest.fixture(scope="session")
def corpora():
    return {name: corpus_of(name) for name in CORPORA}
