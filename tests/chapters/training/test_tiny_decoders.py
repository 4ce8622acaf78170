"""Small decoders of bytes: their batches, their records, and that training lowers the loss."""

import json

import numpy as np
import pytest
import torch

from course_lib.chapters.training import tiny_decoders
from course_lib.chapters.training.tiny_decoders import (
    CONTEXT,
    byte_config,
    byte_plan,
    fresh,
    held_out_crops,
    held_out_loss,
    mixed_batches,
    text_batches,
    watched,
)
from course_lib.device import seeded
from course_lib.training.loop import Training

ROW = np.arange(500, dtype=np.uint16) % 251


def test_a_batch_is_crops_of_text_and_bytes_that_repeat():
    ids, counted = mixed_batches(ROW, text=3, repeats=2)(0, seeded(0))
    assert ids.shape == (5, CONTEXT)
    steps = ids[:3, 1:] - ids[:3, :-1]
    assert ((steps == 1) | (steps == -250)).all(), "crops of the row as it is"
    assert counted[:3].all()
    assert not counted[3:, :8].any(), "the first period cannot be predicted"


def test_a_curriculum_grows_to_all_bytes_and_without_one_all_come_at_once():
    draw = mixed_batches(ROW, text=1, repeats=200, growth=10)
    # all kinds occur: of 256, one is missing from 3200 free draws once in a thousand times
    for step, kinds in ((0, 32), (5, 144), (10, 256), (999, 256)):
        ids, _ = draw(step, seeded(0))
        assert len(ids[1:].unique()) == kinds, step
    ids, _ = mixed_batches(ROW, text=1, repeats=200)(0, seeded(0))
    assert len(ids[1:].unique()) == 256


def test_the_same_seed_gives_the_same_model():
    models = [fresh(byte_config(16), seed) for seed in (0, 0, 1)]
    first, same, other = (next(model.parameters()) for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_wider_models_take_smaller_steps():
    assert byte_plan(100, 64).peak == pytest.approx(0.005)
    assert byte_plan(100, 16).peak == pytest.approx(0.01)
    assert byte_plan(100, parts=3).parts == 3


def test_looks_come_before_the_first_step_and_every_few():
    training = Training(fresh(byte_config(16)), text_batches(ROW, 2), byte_plan(30))
    looks = list(watched(training, 5, every=2))
    assert [each["step"] for each in looks] == [0, 2, 4, 5]
    assert looks[0]["loss"] is None
    assert looks[-1]["loss"] > 0
    json.dumps(looks)


def test_training_lowers_the_loss_on_held_out_text(monkeypatch):
    text = np.frombuffer(b"abcdefgh" * 200, dtype=np.uint8).astype(np.uint16)
    monkeypatch.setattr(tiny_decoders, "byte_row", lambda *_, **__: text)
    assert len(held_out_crops(7)) == 7
    before = held_out_loss(fresh(byte_config(16)))
    after = held_out_loss(tiny_decoders.train_bytes(16, 40))
    assert before == pytest.approx(np.log(256), abs=0.5)
    assert after < before - 3


def test_the_smallest_stored_run_is_what_training_finds():
    run = tiny_decoders.stored_experiments()["scaling"][0]
    again = held_out_loss(tiny_decoders.train_bytes(run["width"], 125))
    assert run["tokens"] == 125 * 16 * CONTEXT
    assert again == pytest.approx(run["loss"], abs=0.1)
