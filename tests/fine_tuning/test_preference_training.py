import torch

from course_lib.fine_tuning.labels import IGNORED, Example
from course_lib.fine_tuning.preference_training import (
    Pair,
    PreferenceTraining,
    batch_log_probabilities,
    pair_batch,
    pair_statistics,
)
from course_lib.training import Plan

PAIRS = [
    Pair(
        Example([1, 2, i, 9], [IGNORED, IGNORED, i, 9]),
        Example([1, 2, i + 20, 8, 9], [IGNORED, IGNORED, i + 20, 8, 9]),
    )
    for i in range(3, 9)
]
PLAN = Plan(steps=12, warmup=2, peak=2e-3, weight_decay=0.0)


def draw(step, generator):
    chosen = torch.randperm(len(PAIRS), generator=generator)[:4]
    return pair_batch([PAIRS[i] for i in chosen.tolist()])


def trained(model, until=12):
    training = PreferenceTraining(model, draw, PLAN)
    while training.done < until:
        training.step()
    return training


def test_rows_alternate_and_are_scored_alone(model):
    batch = pair_batch(PAIRS[:2])
    assert batch.ids[:2].tolist() == [[1, 2, 3, 9, 0], [1, 2, 23, 8, 9]]
    assert batch.counted[0].tolist() == [False, False, True, True, False]
    together = batch_log_probabilities(model, batch)
    alone = batch_log_probabilities(model, pair_batch(PAIRS[1:2]))
    torch.testing.assert_close(together[2:], alone)


def test_training_prefers_the_chosen_answers_and_keeps_the_reference(model):
    before = {name: part.clone() for name, part in model.state_dict().items()}
    training = trained(model)
    found = pair_statistics(model, training.reference, pair_batch(PAIRS))
    assert found.accuracy == 1.0
    start = pair_statistics(training.reference, training.reference, pair_batch(PAIRS))
    assert found.rejected < start.rejected - 1
    kept = training.reference.state_dict()
    assert all(torch.equal(kept[name], before[name]) for name in before)
    assert all(p.grad is None for p in training.reference.parameters())


def test_a_resumed_run_is_the_same_run_bit_for_bit(model, tmp_path):
    from copy import deepcopy

    first, second = deepcopy(model), deepcopy(model)
    whole = trained(model)
    part = trained(first, until=5)
    part.save(tmp_path / "state.pt")
    rest = PreferenceTraining(second, draw, PLAN)
    rest.resume(tmp_path / "state.pt")
    while rest.done < 12:
        rest.step()
    one, other = whole.model.state_dict(), rest.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
