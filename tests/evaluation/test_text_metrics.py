"""BLEU, chrF, ROUGE and short answers beside sacrebleu and rouge-score."""

import random

import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from course_lib.evaluation import (
    bleu,
    bleu_from,
    bleu_terms,
    chrf,
    exact_match,
    normalised,
    rouge_l,
    rouge_l_of_words,
    rouge_lsum,
    word_f1,
    words_13a,
)

WORDS = (
    *("the", "a", "cat", "dog,", "sat", "on", "mat.", "3.5"),
    *("well-known", "U.S.", '"yes"', "it's", "10-20", "(no)"),
)


def sentence(source, least=1):
    return " ".join(source.choice(WORDS) for _ in range(source.randint(least, 12)))


def corpora(count, references=1):
    source = random.Random(5)
    for _ in range(count):
        rows = source.randint(1, 4)
        yield (
            [sentence(source) for _ in range(rows)],
            [[sentence(source) for _ in range(references)] for _ in range(rows)],
        )


@pytest.mark.parametrize("references", [1, 3])
def test_bleu_equals_sacrebleu(references):
    scores = []
    for hypotheses, rows in corpora(60, references):
        expected = sacrebleu.corpus_bleu(hypotheses, list(zip(*rows, strict=True))).score
        assert bleu(hypotheses, rows) == pytest.approx(expected, abs=1e-9)
        scores.append(expected)
    assert len(set(scores)) > 40


def test_words_and_bleu_without_smoothing_equal_sacrebleu():
    tokenise = sacrebleu.metrics.bleu._get_tokenizer("13a")()
    for hypotheses, rows in corpora(40):
        for text in [*hypotheses, *(row[0] for row in rows), "a &quot;b&quot; <c>  d.\n"]:
            assert words_13a(text) == tokenise(text.rstrip()).split()
        expected = sacrebleu.corpus_bleu(
            hypotheses, [[row[0] for row in rows]], smooth_method="none"
        ).score
        words = [words_13a(each) for each in hypotheses]
        terms = bleu_terms(words, [[words_13a(row[0])] for row in rows])
        assert bleu_from(terms) == pytest.approx(expected)


def test_bleu_by_hand():
    terms = bleu_terms([["the", "the", "cat"]], [[["the", "cat", "sat"]]])
    assert (terms.matches, terms.totals) == ((2, 1, 0, 0), (3, 2, 1, 0))
    assert bleu_from(terms) == 0
    assert bleu(["the cat sat"], [["the cat sat"]]) == 0  # three words have no 4-gram
    short = bleu_terms([["a", "b", "c", "d"]], [[["a", "b", "c", "d", "e", "f"]]])
    assert short.brevity_penalty == pytest.approx(2.718281828 ** (1 - 6 / 4))
    assert bleu_terms([[]], [[["a"]]]).brevity_penalty == 0


def test_chrf_equals_sacrebleu():
    scores = set()
    for hypotheses, rows in corpora(40):
        references = [row[0] for row in rows]
        expected = sacrebleu.corpus_chrf(hypotheses, [references]).score
        assert chrf(hypotheses, references) == pytest.approx(expected, abs=1e-9)
        scores.add(round(expected, 3))
    assert len(scores) > 20
    assert chrf(["xyz"], ["abc"]) == 0


def test_rouge_equals_rouge_score():
    source, scorer, differ = random.Random(6), RougeScorer(["rougeL", "rougeLsum"]), 0
    for _ in range(120):
        texts = ["\n".join(sentence(source) for _ in range(source.randint(1, 4))) for _ in "ab"]
        expected = scorer.score(texts[1], texts[0])
        assert rouge_l(*texts) == pytest.approx(expected["rougeL"].fmeasure)
        assert rouge_lsum(*texts) == pytest.approx(expected["rougeLsum"].fmeasure)
        differ += rouge_l(*texts) != rouge_lsum(*texts)
    assert differ > 30


def test_rouge_by_hand():
    assert rouge_l_of_words(["a", "cat", "sat"], ["a", "big", "cat", "often", "sat"]) == 0.75
    assert rouge_l("the dog ran\nthe cat sat", "the cat sat\nthe dog ran") == 0.5
    assert rouge_lsum("the dog ran\nthe cat sat", "the cat sat\nthe dog ran") == 1.0
    assert rouge_l_of_words([], ["a"]) == 0


def test_short_answers_by_hand():
    assert normalised("The  Nile, an old river.") == "nile old river"
    assert exact_match("the Nile", ["Rhine", "Nile!"])
    assert not exact_match("42.0", ["42"])
    assert word_f1("river Nile in Africa", ["Nile", "river Nile"]) == pytest.approx(2 * 2 / 6)
    assert word_f1("the", ["a"]) == 1.0
    assert word_f1("the", ["cat"]) == 0.0


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: bleu([], []), "0 hypotheses"),
        (lambda: bleu(["a"], [[]]), r"\[0\]"),
        (lambda: chrf(["a"], []), "1 hypotheses"),
        (lambda: rouge_l("a", "..."), "'...'"),
        (lambda: rouge_lsum("a", ""), "''"),
        (lambda: exact_match("a", []), r"\[\]"),
        (lambda: word_f1("a", "a"), "'a'"),
    ],
)
def test_an_empty_reference_is_an_error(action, message):
    with pytest.raises(ValueError, match=message):
        action()
