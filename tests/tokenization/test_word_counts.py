"""Counting in several processes: the words of one process, in the same order."""

import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections import Counter

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import corpus
from course_lib.tokenization import bpe_training, patterns, word_counts
from course_lib.tokenization.byte_bpe import ByteBPE
from tests.tokenization.layouts import LATER, LETTERS

STARTS = [
    method for method in ("fork", "spawn") if method in multiprocessing.get_all_start_methods()
]
# What the patterns treat in a way of its own, and so may be cut in two.
NASTY = [
    "'",
    "'re",
    "'S",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t ",
    " \n",
    "\u00a0",
    "\u3000",
    "\x1c",
    "\x85",
]
NASTY += ["\u180e", "\u200b", "2024", "½", "!?", "e\u0301", "中文", "👩‍💻", "it's", " x", "\ufeff"]
TEXTS = st.lists(st.sampled_from(NASTY) | st.sampled_from(LETTERS + "".join(LATER)), max_size=60)


def cut(text, pattern, size):
    """Return the chunks of a text, which are this long or a little longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "CHUNK_CHARACTERS", size)
        return list(patterns.chunks_between_words(text, pattern))


@pytest.fixture
def small_portions(monkeypatch):
    monkeypatch.setattr(patterns, "CHUNK_CHARACTERS", 100)
    monkeypatch.setattr(word_counts, "PORTION", 3000)


@pytest.fixture
def started_by():
    """Return a function that sets how processes start, until the test ends."""
    usual = multiprocessing.get_start_method()
    yield lambda method: multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_start_method(usual, force=True)


@pytest.mark.parametrize("pattern", patterns.KNOWN_PATTERNS)
@settings(max_examples=300, deadline=None)
@given(TEXTS.map("".join), st.integers(1, 6))
def test_words_of_chunks_are_those_of_the_text(pattern, text, size):
    compiled = patterns.compile_pattern(pattern)
    chunks = cut(text, pattern, size)
    assert "".join(chunks) == text
    words = [word for chunk in chunks for word in patterns.pre_split(chunk, compiled)]
    assert words == patterns.pre_split(text, compiled)


@pytest.mark.parametrize("pattern", patterns.KNOWN_PATTERNS)
@pytest.mark.parametrize("before", [r"\s", r"(?=\n)", r"(?<=\s) ", r"(?=[a-z])"])
def test_a_cut_at_other_places_changes_words(monkeypatch, pattern, before):
    compiled = patterns.compile_pattern(pattern)
    monkeypatch.setattr(patterns, "_BETWEEN_WORDS", regex.compile(before))
    generator, changed = random.Random(0), 0
    for _ in range(100):
        text = "".join(generator.choices([*NASTY, "ab"], k=30))
        chunks = cut(text, pattern, 3)
        words = [word for chunk in chunks for word in patterns.pre_split(chunk, compiled)]
        changed += words != patterns.pre_split(text, compiled)
    assert changed


def test_chunks_by_hand():
    assert cut("it's  a\n b c", patterns.GPT2_PATTERN, 1) == ["it's", "  a\n b", " c"]
    assert cut("it's  a\n b c", patterns.GPT2_PATTERN, 8) == ["it's  a\n b", " c"]
    assert cut("it's  a\n b c", r"(?s).{3}", 1) == ["it's  a\n b c"], "an unknown pattern"
    assert cut("", patterns.GPT2_PATTERN, 1) == [""]
    assert cut("x" * 50, patterns.GPT2_PATTERN, 1) == ["x" * 50]


@pytest.mark.parametrize("method", STARTS)
def test_several_processes_learn_the_same(small_portions, started_by, method):
    started_by(method)
    text = corpus.train_text(20_000) + "<s>".join(corpus.SAMPLES.values())
    texts = [text[:9000], "", "<s>", text[9000:]]
    counted = bpe_training.count_words(iter(texts), special_tokens=["<s>"], processes=3)
    assert counted == bpe_training.count_words(texts, special_tokens=["<s>"])
    trained = [ByteBPE.train(texts, 600, ["<s>"], ties="first_seen", processes=p) for p in (1, 2)]
    assert trained[0].merges == trained[1].merges


@pytest.mark.parametrize("processes", [2, 5])
def test_words_keep_the_order_of_first_occurrence(small_portions, processes):
    text = corpus.train_text(30_000)
    counted = bpe_training.count_words([text], processes=processes)
    compiled = patterns.compile_pattern(patterns.GPT2_PATTERN)
    assert list(counted.items()) == list(Counter(patterns.pre_split(text, compiled)).items())


def test_other_patterns_share_out_whole_texts(small_portions):
    texts, pattern = [corpus.train_text(9000)] * 3, r"(?s).{5}"
    alone = bpe_training.count_words(texts, pattern)
    assert bpe_training.count_words(texts, pattern, processes=2) == alone
    assert max(map(len, alone)) == 5


def test_a_short_text_starts_no_process(monkeypatch):
    monkeypatch.setattr(word_counts, "ProcessPoolExecutor", None)
    text = corpus.train_text(100_000)
    assert bpe_training.count_words([text], processes=2) == bpe_training.count_words([text])
    assert bpe_training.count_words([], processes=2) == {}


def test_few_portions_wait_at_a_time(monkeypatch, small_portions):
    """A corpus may be longer than memory: it is read as it is counted."""
    read, unfinished = itertools.count(), []

    class Done:
        def __init__(self, words):
            self.words = words
            unfinished.append(self)

        def result(self):
            unfinished.remove(self)
            return self.words

    class Pool:
        most = 0

        def __init__(self, *_, **__):
            pass

        def submit(self, function, *given):
            done = Done(function(*given))
            Pool.most = max(Pool.most, len(unfinished))
            return done

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(word_counts, "ProcessPoolExecutor", Pool)
    texts = (f"word{next(read)} " * 500 for _ in range(60))
    assert len(bpe_training.count_words(texts, processes=2)) > 60
    assert Pool.most == 5


def fail(chunks, pattern):
    raise MemoryError(f"no room for {pattern[:5]}")


def die(chunks, pattern):
    os._exit(1)


@pytest.mark.skipif("fork" not in STARTS, reason="what a test replaces is inherited by forking")
def test_an_error_in_a_process_keeps_its_message(monkeypatch, small_portions):
    monkeypatch.setattr(word_counts, "count_chunks", fail)
    with pytest.raises(MemoryError, match="no room for '"):
        bpe_training.count_words([corpus.train_text(20_000)], processes=2)
    monkeypatch.setattr(word_counts, "count_chunks", die)
    with pytest.raises(RuntimeError, match=r"2 processes .* one died.*__main__"):
        bpe_training.count_words([corpus.train_text(20_000)], processes=2)
    assert not multiprocessing.active_children()


def test_an_error_in_the_texts_ends_the_processes(small_portions):
    def texts():
        yield corpus.train_text(20_000)
        raise OSError("the file ends here")

    with pytest.raises(OSError, match="ends here"):
        bpe_training.count_words(texts(), processes=2)
    assert not multiprocessing.active_children()


def test_wrong_inputs():
    with pytest.raises(ValueError, match="processes must be at least 1; got 0"):
        bpe_training.count_words(["a"], processes=0)
    with pytest.raises(ValueError, match="regular expression"):
        bpe_training.count_words([], "(", processes=2)


ENDLESS = """
import itertools, multiprocessing
from course_lib.tokenization.byte_bpe import ByteBPE

def texts():
    for n in itertools.count():
        yield f"word{n} " * 9999
        if n == 200:  # more than can be waiting, so some are counted
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    ByteBPE.train(texts(), 400, processes=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent to a group of processes")
def test_an_interrupt_leaves_no_process(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    trainer = subprocess.Popen([sys.executable, script], start_new_session=True, **kept)
    try:
        children = list(map(int, trainer.stdout.readline().split()))
        os.killpg(trainer.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, errors = trainer.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(trainer.pid, signal.SIGKILL)
    assert trainer.returncode
    assert errors.count("Traceback") == 1, errors
    assert "KeyboardInterrupt" in errors
    assert len(children) == 2
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
