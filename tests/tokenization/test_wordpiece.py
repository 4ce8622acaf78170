import functools
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from course_lib import corpus
from course_lib.tokenization import wordpiece
from course_lib.tokenization.pair_counts import PairCounts
from course_lib.tokenization.wordpiece import WordPiece

TEXTS = [corpus.train_text(15_000), *corpus.SAMPLES.values()]


@functools.cache
def trained(lowercase):
    return WordPiece.train(TEXTS, 500, lowercase=lowercase)


def reference(tokenizer):
    model = models.WordPiece(
        tokenizer.vocabulary, unk_token="[UNK]", max_input_chars_per_word=tokenizer.max_characters
    )
    built = Tokenizer(model)
    built.normalizer = normalizers.BertNormalizer(lowercase=tokenizer.lowercase)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return built


@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_equal_the_reference(text, lowercase):
    tokenizer = trained(lowercase)
    assert tokenizer.encode(text) == reference(tokenizer).encode(text).ids


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        "abcdeİÀéßΣ中文ी़🙂#_-. \t\n\v\x1c\x85\u00a0\u2028\u3000\u00ad\u200d\u0301", max_size=40
    ),
    st.booleans(),
)
def test_ids_equal_the_reference_on_random_text(text, lowercase):
    tokenizer = trained(lowercase)
    assert tokenizer.encode(text) == reference(tokenizer).encode(text).ids


def test_what_stands_between_spaces_is_normalized_once(monkeypatch):
    tokenizer, seen, normalize = (
        WordPiece.train(["the cat, the mat"], 40),
        [],
        wordpiece.bert_normalize,
    )

    def counting(text, lowercase):
        seen.append(text)
        return normalize(text, lowercase)

    monkeypatch.setattr(wordpiece, "bert_normalize", counting)
    assert len(tokenizer.encode("The cat,\u3000 the cat,\n" * 50)) >= 5 * 50
    assert sorted(seen) == ["", "The", "cat,", "the"]


@settings(max_examples=200, deadline=None)
@given(
    st.text("ab", max_size=12),
    st.sets(st.text("ab", min_size=1, max_size=4)),
    st.sets(st.text("ab", min_size=1, max_size=4)),
    st.integers(1, 12),
)
def test_greedy_match_equals_the_reference(word, first, later, limit):
    pieces = ["[UNK]", *sorted(first), *("##" + piece for piece in sorted(later))]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=limit)
    ours = wordpiece.wordpiece_encode(word, vocabulary, max_characters=limit)
    assert ours == [token.value for token in model.tokenize(word)]


def test_greedy_match_by_hand():
    vocabulary = {"un", "want", "##want", "##ed", "##e", "unw", "##d"}
    assert wordpiece.wordpiece_encode("unwed", vocabulary) == ["unw", "##ed"]
    # Greedy: `unw` is longer than `un`, and then nothing continues; no second thought is given.
    assert wordpiece.wordpiece_encode("unwanted", vocabulary) == ["[UNK]"]
    assert wordpiece.wordpiece_encode("unwanted", vocabulary - {"unw"}) == ["un", "##want", "##ed"]
    assert wordpiece.wordpiece_encode("", vocabulary) == []
    assert wordpiece.wordpiece_encode("un", vocabulary, "<unk>", 1) == ["<unk>"]


def test_score_by_hand():
    # a b five times, a c once, b c once: a 6, b 6, c 2
    counts = PairCounts([("ab", 5), ("ac", 1), ("bc", 1)])
    assert wordpiece.pair_score("ab", counts) == pytest.approx(5 / 36)
    assert wordpiece.pair_score("ac", counts) == pytest.approx(1 / 12)


def test_the_score_prefers_partners_that_are_rare_elsewhere():
    # t+h is frequent, but t and h are everywhere; q is nearly always followed by u.
    words = Counter({"th": 30, "t": 200, "h": 200, "qu": 6, "u": 4})
    letters = ["##h", "##u", "h", "q", "t", "u"]
    assert wordpiece.train_pieces(words, 7) == [*letters, "qu"]
    assert wordpiece.train_pieces(words, 8) == [*letters, "qu", "th"]
    assert wordpiece.train_pieces(words, 8, min_count=10) == [*letters, "th"]


def test_training_equals_scoring_anew_before_each_merge():
    words = Counter(wordpiece.bert_split(wordpiece.bert_normalize(corpus.train_text(3000))))
    spelled = {w: [w[0], *("##" + c for c in w[1:])] for w in words}
    pieces = sorted({p for ps in spelled.values() for p in ps})
    order = list(pieces)
    while len(order) < len(pieces) + 60:
        single, pairs = Counter(), Counter()
        for word, ps in spelled.items():
            for p in ps:
                single[p] += words[word]
            for pair in pairwise(ps):
                pairs[pair] += words[word]

        def rank(pair, single=single, pairs=pairs, order=tuple(order)):
            a, b = pair
            ids = -order.index(a), -order.index(b)
            return pairs[pair] / (single[a] * single[b]), pairs[pair], *ids

        a, b = max((pair for pair in pairs if pairs[pair] >= 2), key=rank)
        joined = a + b.removeprefix("##")
        order += [joined] if joined not in order else []
        for word, ps in spelled.items():
            merged = []
            for p in ps:
                if merged and merged[-1] == a and p == b:
                    merged[-1] = joined
                else:
                    merged.append(p)
            spelled[word] = merged
    assert wordpiece.train_pieces(words, len(order)) == order


def test_every_character_of_the_corpus_is_known():
    tokenizer = trained(False)
    assert tokenizer.vocabulary["[UNK]"] not in tokenizer.encode(TEXTS[0])
    assert tokenizer.vocabulary["[UNK]"] in tokenizer.encode("ꙮ")


def test_decoding_and_special_tokens():
    tokenizer = trained(True)
    mask = tokenizer.special_tokens["[MASK]"]
    assert tokenizer.decode(tokenizer.encode("The Statement is")) == "the statement is"
    assert tokenizer.encode("a [MASK] b", "all")[1] == mask
    assert mask not in tokenizer.encode("a [MASK] b")
    assert tokenizer.vocab_size == len(tokenizer.vocabulary) == 500
    assert tokenizer.decode([]) == ""


def test_normalization_by_hand():
    assert wordpiece.bert_split(wordpiece.bert_normalize("Café, 中文\u00ad!")) == [
        "cafe", ",", "中", "文", "!",
    ]  # fmt: skip
    assert wordpiece.bert_normalize("Café\t中", lowercase=False) == "Café  中 "


def test_errors_name_rule_value_and_remedy():
    cases = [
        (lambda: WordPiece.train(["abc"], 6), r"every character.*here 3 pieces; got room for 1\."),
        (lambda: WordPiece.train([" "], 60), r"must contain words.*got none\. Pass a list"),
        (lambda: WordPiece.train(["a"], 60, ["[UNK]"] * 2), r"'\[UNK\]' 2 times\. Remove"),
        (lambda: WordPiece({"a": 0}, []), r"without '\[UNK\]'\. Add it, or leave it out"),
        (lambda: trained(True).decode([500]), r"500 tokens; got 500\. Check that the ids"),
    ]
    for call, text in cases:
        with pytest.raises(ValueError, match=text):
            call()
