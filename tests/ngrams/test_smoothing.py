"""Smoothing against the definitions of Chen and Goodman 1998, evaluated with fractions."""

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.ngrams import AddK, KneserNey, add_k, discounted, estimated_discount

V = 3
TEXTS = st.lists(st.integers(0, V - 1), min_size=4, max_size=30)
ORDERS = st.integers(1, 4)
CONTEXTS = st.lists(st.integers(0, V - 1), max_size=6)


def occurrences(ids, gram):
    """c(gram), by looking at every position."""
    return sum(tuple(ids[i : i + len(gram)]) == gram for i in range(len(ids) - len(gram) + 1))


def reference_counts(ids, order, n):
    """What Kneser-Ney counts: occurrences at the highest order, N1+(. gram) below it."""
    grams = itertools.product(range(V), repeat=n)
    if n == order:
        return {gram: occurrences(ids, gram) for gram in grams}
    return {gram: sum(occurrences(ids, (v, *gram)) > 0 for v in range(V)) for gram in grams}


def reference_kneser_ney(ids, order, context, token, discount):
    """p_KN(token | context) of Chen and Goodman 1998, ending in the uniform distribution."""
    n = len(context) + 1
    counts = reference_counts(ids, order, n)
    if discount is None:
        n1, n2 = (list(counts.values()).count(times) for times in (1, 2))
        D = Fraction(n1, n1 + 2 * n2) if n1 and n2 else Fraction(3, 4)
    else:
        D = Fraction(discount)
    shorter = (
        reference_kneser_ney(ids, order, context[1:], token, discount)
        if context
        else Fraction(1, V)
    )
    total = sum(counts[(*context, w)] for w in range(V))
    if not total:
        return shorter
    types = sum(counts[(*context, w)] > 0 for w in range(V))
    return max(counts[(*context, token)] - D, Fraction(0)) / total + D * types / total * shorter


@settings(deadline=None)
@given(TEXTS, ORDERS, CONTEXTS, st.sampled_from([None, 0.75, 0.1]))
def test_kneser_ney_agrees_with_its_definition_in_fractions(ids, order, context, discount):
    p = KneserNey(ids, order, V, discount)(context)
    used = tuple(context[-(order - 1) :]) if order > 1 else ()
    expected = [reference_kneser_ney(ids, order, used, w, discount) for w in range(V)]
    assert sum(expected) == 1
    assert p.tolist() == pytest.approx([float(x) for x in expected], abs=1e-12)


@settings(deadline=None)
@given(TEXTS, ORDERS, CONTEXTS, st.floats(1e-6, 100))
def test_add_k_model_agrees_with_its_definition_in_fractions(ids, order, context, k):
    p = AddK(ids, order, V, k)(context)
    used = tuple(context[-(order - 1) :]) if order > 1 else ()
    counts = [occurrences(ids, (*used, w)) if len(used) == order - 1 else 0 for w in range(V)]
    K = Fraction(k)
    expected = [float((count + K) / (sum(counts) + K * V)) for count in counts]
    assert p.tolist() == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.binary(min_size=6, max_size=300), ORDERS, st.binary(max_size=5))
def test_distributions_over_bytes_sum_to_one_for_every_context(ids, order, context):
    for model in (KneserNey(ids, order, 256), AddK(ids, order, 256, 0.01)):
        p = model(context)
        assert p.shape == (256,)
        assert p.dtype == torch.float64
        assert abs(p.sum().item() - 1) < 1e-12
        assert p.min() > 0


def test_counts_without_smoothing_do_give_zero_for_the_unseen():
    assert add_k(torch.tensor([3.0, 1.0, 0.0]), k=0.0).tolist() == [0.75, 0.25, 0.0]


def test_add_one_worked_out_by_hand():
    # (3 + 1) / (4 + 3), (1 + 1) / 7, 1 / 7; and a context never seen is uniform
    p = add_k(torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), k=1.0)
    torch.testing.assert_close(p, torch.tensor([[4.0, 2.0, 1.0], [7 / 3, 7 / 3, 7 / 3]]) / 7)


def test_discounting_worked_out_by_hand():
    # counts 3, 1, 0 less 1/2 keep 2.5 and 0.5 of 4; two types give away 1 of 4, spread 1 : 1 : 2
    p = discounted(torch.tensor([3.0, 1.0, 0.0]), torch.tensor([0.25, 0.25, 0.5]), 0.5)
    torch.testing.assert_close(p, torch.tensor([2.75, 0.75, 0.5]) / 4)


def test_discounts_are_estimated_from_what_was_counted_once_and_twice():
    assert estimated_discount({(0,): 1, (1,): 1, (2,): 2, (3,): 5}) == 2 / (2 + 2)
    assert estimated_discount({(0,): 1, (1,): 1}) == 0.75
    assert estimated_discount({(0,): 2, (1,): 7}) == 0.75
    assert KneserNey([0, 1, 0, 1, 2, 2], 1, 3).discounts == [0.75]
    assert KneserNey([0, 1, 0, 1, 2], 1, 3).discounts == [1 / 5]
    assert KneserNey([0, 1, 0, 1, 2], 2, 3, discount=0.3).discounts == [0.3, 0.3]


def test_kneser_ney_trusts_tokens_that_follow_many_others_more_than_frequent_ones():
    ids = [0, 1] * 10 + [2, 3, 4, 3, 5, 3, 2]  # 1 is frequent but follows only 0; 3 follows many
    p = KneserNey(ids, 2, 7)([6])  # a context never seen
    assert p[3] > p[1]
    unigram = KneserNey(ids, 1, 7)([6])
    assert unigram[1] > unigram[3]


def test_only_the_last_tokens_of_a_context_matter():
    ids = torch.randint(0, V, (200,), generator=torch.Generator().manual_seed(1)).tolist()
    for model in (KneserNey(ids, 3, V), AddK(ids, 3, V, 0.1)):
        assert torch.equal(model([0, 0, 1, 2]), model([2, 1, 1, 2]))
        assert not torch.equal(model([1, 2]), model([0, 2]))


def test_changing_an_answer_does_not_change_the_model():
    for model in (KneserNey([0, 1, 0, 1, 2], 3, V), AddK([0, 1, 0, 1, 2], 3, V, 0.1)):
        for context in ([], [0], [0, 1], [2, 2]):
            before = model(context)
            before.zero_()
            assert model(context).sum().item() == pytest.approx(1)


def test_large_vocabularies_and_single_token_texts():
    p = KneserNey([7] * 50, 2, 100_000)([7])
    assert p.shape == (100_000,)
    assert p.sum().item() == pytest.approx(1)
    assert p.argmax() == 7
    assert KneserNey([0], 1, 2)([]).tolist() == [0.25 + 0.375, 0.375]  # 1 - 3/4 + 3/4 * 1/2


def test_add_k_keeps_the_dtype_of_the_counts():
    for dtype in (torch.float32, torch.float64):
        p = add_k(torch.tensor([1e7, 0.0, 0.0], dtype=dtype), k=1e-3)
        assert p.dtype == dtype
        assert p.sum().item() == pytest.approx(1)
        assert p.min() > 0


@pytest.mark.parametrize("k", [-0.1, float("inf"), float("nan")])
def test_add_k_refuses_constants_out_of_range(k):
    with pytest.raises(ValueError, match=rf"finite.*negative.* {k}"):
        add_k(torch.ones(3), k)


def test_add_k_refuses_an_unseen_context_without_smoothing():
    with pytest.raises(ValueError, match=r"k = 0\b.*zero"):
        add_k(torch.zeros(3), 0.0)


def test_discounting_refuses_an_unseen_context():
    with pytest.raises(ValueError, match=r"context.*zero"):
        discounted(torch.zeros(3), torch.ones(3) / 3, 0.5)


@pytest.mark.parametrize("k", [0.0, -1.0, float("inf"), float("nan")])
def test_the_add_k_model_refuses_constants_out_of_range(k):
    with pytest.raises(ValueError, match=rf"\bk .*finite.*\b0\b.* {k}"):
        AddK([0, 1], 1, 2, k)


@pytest.mark.parametrize("discount", [0.0, 1.0, -0.5, float("nan")])
def test_kneser_ney_refuses_discounts_out_of_range(discount):
    with pytest.raises(ValueError, match=rf"\b0 and 1\b.* {discount}"):
        KneserNey([0, 1], 1, 2, discount)


@pytest.mark.parametrize("build", [lambda *a: AddK(*a, 0.1), KneserNey])
def test_models_refuse_texts_they_cannot_count(build):
    with pytest.raises(ValueError, match=r"\b1; .*\b0 tokens"):
        build([], 1, 256)
    with pytest.raises(ValueError, match=r"\b3; .*\b2 tokens"):
        build([0, 1], 3, 256)
    with pytest.raises(ValueError, match=r"got n = 0"):
        build([0, 1], 0, 256)
    with pytest.raises(ValueError, match=r"ids.*\b0 to 256\b"):
        build([0, 256], 1, 256)
