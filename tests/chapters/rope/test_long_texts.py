"""The stored losses on long texts: measured again, their statistics, and what the chapter says."""

import math

import pytest
import torch

from course_lib.chapters.rope import long_texts
from course_lib.chapters.rope.long_texts import PARTS, TEXTS, TIMES, against_window, stored_losses
from course_lib.model.inspection import token_losses
from course_lib.study.exhibits.course_model_probes import course_model, trained_length


def test_texts_are_long_enough_and_differ():
    ids = long_texts.texts(3)
    assert ids.shape == (3, TIMES * trained_length() + 1)
    assert not torch.equal(ids[0], ids[1])


def test_a_measurement_is_the_mean_loss_of_the_model_in_each_part():
    ids = long_texts.texts(1)[:, : PARTS * 4 + 1]
    found = long_texts.measure("plain", 1, ids)
    losses = token_losses(course_model(), ids)
    assert found.tolist() == [
        pytest.approx([x.mean().item() for x in losses[0].split(4)], abs=1e-4)
    ]
    slowed = long_texts.measure("interpolation", 4, ids)
    assert slowed.mean() > found.mean() + 0.1


def test_the_difference_is_a_mean_with_its_standard_error(monkeypatch):
    tables = {
        "window": torch.tensor([[1.0, 1.0], [2.0, 4.0]]),
        "YaRN x2": torch.tensor([[2.0, 1.0], [5.0, 5.0]]),
    }
    monkeypatch.setattr(
        long_texts, "stored_losses", lambda rule, f=1: tables[long_texts._name(rule, f)]
    )
    mean, error = against_window("YaRN", 2, parts=2)
    assert mean.tolist() == [2.0, 0.5]
    assert error.tolist() == pytest.approx([1.0, 0.5])


def test_what_the_chapter_says_of_long_texts_is_what_was_measured():
    assert stored_losses("plain").shape == (TEXTS, PARTS)
    inside = PARTS // TIMES
    plain, window = (stored_losses(rule)[:, :inside].mean().item() for rule in ("plain", "window"))
    assert plain == pytest.approx(window, abs=1e-3)
    last = {
        rule: stored_losses(rule, 4)[:, -inside:].mean().item() for rule in ("NTK-aware", "YaRN")
    }
    assert stored_losses("plain")[:, -inside:].mean() < math.log(course_model().config.vocab_size)
    assert last["YaRN"] < stored_losses("plain")[:, -inside:].mean()
    with pytest.raises(ValueError, match=r"plain, window.*'YaRN x3'"):
        stored_losses("YaRN", 3)
