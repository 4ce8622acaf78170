import random

import pytest

from course_lib import corpus
from course_lib.chapters.tokenization import answers
from course_lib.tokenization import bpe_training, chat

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": " Hi\n"}
ASSISTANT = {"role": "assistant", "content": "Hello 🙂"}


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(
    "messages", [[USER], [SYSTEM, USER], [USER, ASSISTANT], [SYSTEM, USER, ASSISTANT, USER]]
)
def test_text_is_that_of_the_library(messages, opened):
    assert answers.render_chatml(messages, opened) == chat.render_chatml(messages, opened)


def test_by_hand():
    expected = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert answers.render_chatml([{"role": "user", "content": "Hi"}], True) == expected


def test_turns_keep_their_order():
    assert answers.render_chatml([USER, SYSTEM]) == (
        answers.render_chatml([USER]) + answers.render_chatml([SYSTEM])
    )


def test_the_trainer_that_recounts_learns_the_library_s_merges():
    words = bpe_training.count_words([corpus.train_text(4_000)])
    spelled = [([bpe_training.BYTE_IDS[b] for b in word.encode()], n) for word, n in words.items()]
    merges = answers.train_bpe(spelled, 60)
    assert merges == bpe_training.train_merges(words, 60)
    assert merges != bpe_training.train_merges(words, 60, ties="first_seen"), "ties matter here"


def test_merges_of_a_small_corpus_by_hand():
    words = [([1, 2, 3], 8), ([1, 2], 2), ([2, 3], 1), ([4, 5], 5)]
    assert answers.train_bpe(words, 9) == [(1, 2), (256, 3), (4, 5), (2, 3)]
    assert words[0] == ([1, 2, 3], 8)


@pytest.mark.parametrize("seed", range(20))
def test_changes_added_to_the_counts_are_the_counts_after_a_merge(seed):
    rng = random.Random(seed)
    ids, pair = rng.choices([1, 2, 3], k=12), tuple(rng.choices([1, 2, 3], k=2))
    counts = bpe_training.count_pairs([(ids, 1)])
    counts.update(answers.count_changes(ids, pair, 256))
    assert +counts == bpe_training.count_pairs([(bpe_training.merge(ids, pair, 256), 1)])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_streamed_text_is_the_whole_text_and_never_breaks_a_character(size):
    text = "".join(corpus.SAMPLES.values())
    data = text.encode()
    shown = answers.stream_decode([data[i : i + size] for i in range(0, len(data), size)])
    assert "".join(shown) == text
    assert "\ufffd" not in text
    assert shown[-1] == ""


def test_streamed_halves_by_hand():
    assert answers.stream_decode([b"a\xf0\x9f", b"\xa7", b"\xa9", b"\xe5"]) == [
        *("a", "", "🧩", ""),
        "\ufffd",
    ]
