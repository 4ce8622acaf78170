"""One word of many letters: the same merges, in time for what they change."""

import json
import random
from collections import Counter

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from course_lib import corpus
from course_lib.tokenization import bpe_training, long_words, pair_counts
from course_lib.tokenization.byte_bpe import ByteBPE, encode_by_rank, encode_long

LETTERS = "".join(filter(str.isalpha, corpus.train_text(60_000)))
WORDS = {
    "text": LETTERS[:6000],
    "runs": "a" * 1500 + LETTERS[:2000] + "ab" * 500 + "aab" * 301,
    "one letter": "a" * 1001,
}


class CountingList(list):
    """A list that counts how often it is read."""

    reads = 0

    def __getitem__(self, place):
        CountingList.reads += 1
        return super().__getitem__(place)


class CountingDict(dict):
    """A dictionary that counts how often it is asked."""

    reads = 0

    def get(self, key, default=None):
        CountingDict.reads += 1
        return super().get(key, default)


@pytest.mark.parametrize("name", WORDS)
def test_merges_equal_the_reference_trainer(name):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=656, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([WORDS[name]], trainer)
    ids = tokenizer.get_vocab()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    words = Counter({WORDS[name]: 1})
    assert bpe_training.train_merges(words, 400) == [(ids[a], ids[b]) for a, b in merges]


def test_long_words_count_beside_short_ones(monkeypatch):
    words = Counter({"ab" * 200: 2, "abc": 5, "b" * 300 + "abcab" * 40: 3, "ca": 9})
    expected = bpe_training.train_merges(words, 40)
    monkeypatch.setattr(pair_counts, "LONG", 10_000)  # all are written anew
    assert bpe_training.train_merges(words, 40) == expected
    assert long_words.LONG == 256


def test_training_reads_a_long_word_a_few_times_and_not_once_a_merge(monkeypatch):
    original = long_words.LongWord.__init__

    def counting(word, letters):
        original(word, letters)
        word.tokens = CountingList(word.tokens)

    monkeypatch.setattr(long_words.LongWord, "__init__", counting)
    CountingList.reads = 0
    assert len(bpe_training.train_merges(Counter({LETTERS: 1}), 2000)) == 2000
    assert 0 < CountingList.reads < 20 * len(LETTERS)


@pytest.mark.parametrize("text", [LETTERS, "a" * 30_000])
def test_encoding_looks_up_a_few_pairs_for_each_letter(text):
    tokenizer = ByteBPE.train([LETTERS, "a" * 1000], 1500)
    ids = [tokenizer.vocabulary[bytes([byte])] for byte in text.encode()]
    table = CountingDict(tokenizer.merge_table)
    CountingDict.reads = 0
    merged = encode_long(ids, table)
    assert len(merged) < len(ids) / 2
    assert CountingDict.reads < 4 * len(ids)


def test_merges_listed_before_those_of_their_parts():
    # The merge of ab and c ranks before that of a and b, so each ab becomes abc at once.
    generator = random.Random(0)
    table = {(0, 1): (5, 3), (3, 2): (1, 4), (4, 0): (0, 6), (1, 2): (7, 5), (6, 3): (2, 7)}
    for _ in range(300):
        ids = generator.choices([0, 1, 2], weights=[3, 3, 2], k=60)
        assert encode_long(ids, table) == encode_by_rank(ids, table)
