"""What counts as right, decided once for every exercise."""

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.study.check.judge import check

STABLE, ENTROPY, PAIRS = "softmax.stable", "language_models.entropy", "tokenization.count_pairs"


def by_softmax(x, dim=-1):
    return torch.softmax(x, dim)


def drawing(x, dim=-1):
    torch.rand(3)
    return by_softmax(x, dim)


def printing(x, dim=-1):
    print(x)
    return by_softmax(x, dim)


def with_a_module(x, dim=-1):
    layer = nn.Softmax(dim)
    nn.Linear(2, 2)  # which draws its weights
    return layer(x)


def in_float32(p, base=2.0):
    return (-torch.special.xlogy(p, p).sum(-1) / np.log(base)).float()


def in_numpy(p, base=2.0):
    wide = p.double().numpy()
    return -(wide * np.log(np.where(wide > 0, wide, 1.0))).sum(-1) / np.log(base)


def as_numbers(p, base=2.0):
    rows = -torch.special.xlogy(p, p).sum(-1) / np.log(base)
    return rows.item() if rows.dim() == 0 else rows


@pytest.mark.parametrize("answer", [drawing, printing, with_a_module])
def test_what_does_no_harm_is_fine(answer):
    assert check(STABLE, answer).outcome == "passed"


@pytest.mark.parametrize("answer", [in_float32, in_numpy, as_numbers])
def test_other_forms_of_the_same_numbers_are_fine(answer):
    assert check(ENTROPY, answer).outcome == "passed"


def in_half_precision(p, base=2.0):
    return (-torch.special.xlogy(p, p).sum(-1) / np.log(base)).half()


def one_row_for_all(p, base=2.0):
    return -torch.special.xlogy(p, p).sum(-1, keepdim=True) / np.log(base)


def as_text(p, base=2.0):
    return str(-torch.special.xlogy(p, p).sum(-1) / np.log(base))


@pytest.mark.parametrize("answer", [in_half_precision, one_row_for_all, as_text])
def test_fewer_digits_shapes_and_types_are_not(answer):
    assert check(ENTROPY, answer).outcome == "not yet"


def test_an_answer_works_wherever_its_inputs_are():
    def spread(ids, table):
        one_hot = ids[..., None] == torch.arange(len(table))
        return one_hot.to(table.dtype) @ table

    feedback = check("embeddings_and_norms.embed", spread)
    assert feedback.outcome == "not yet"
    assert feedback.diagnosis == "a tensor made on the CPU"


def test_a_mask_is_made_of_truth_values():
    def numbers(queries, keys=None, device=None):
        keys = queries if keys is None else keys
        return torch.ones(queries, keys).tril(keys - queries)

    feedback = check("attention.causal_mask", numbers)
    assert feedback.outcome == "not yet"
    assert "expected dtype torch.bool" in str(feedback)
