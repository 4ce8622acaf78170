"""A training on ranks follows one process, and its checkpoints fit any number of ranks."""

import json

import pytest
import torch

from course_lib.model import ModelConfig, build_model
from course_lib.parallel import run_ranks
from course_lib.parallel.sharded_checkpoint import LATEST, Segment, load_segments, save_segments
from course_lib.parallel.training import Parallelism, ParallelTraining
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training

from .conftest import largest_gap

CONFIG = ModelConfig(36, 24, 48, 2, 4, 4, 8, 64, tie_word_embeddings=True)
PLAN = Plan(steps=20, warmup=2, peak=1e-2, max_norm=0.5)
LAYOUTS = [(2, 1, 0), (3, 1, 1), (2, 1, 2), (2, 1, 3), (1, 2, 0), (2, 2, 0)]
CLOSE = 1e-3  # rounding, which AdamW makes larger; weights move by 6e-2


def model():
    torch.manual_seed(0)
    return build_model(CONFIG)


def draw(step, generator):
    ids = torch.randint(36, (5, 10), generator=generator)
    counted = torch.rand(5, 10, generator=generator) < 0.7
    counted[:, 3] = True
    return Batch(ids, counted)


def on_ranks(layout, start=None, save=None):
    """Return reports and weights of three steps, after those of a checkpoint."""

    def program(comm):
        training = ParallelTraining(model(), draw, PLAN, comm, Parallelism(*layout))
        if start is not None:
            training.resume(start)
        reports = [training.step() for _ in range(3)]
        if save is not None:
            training.save(save)
        return reports, training.whole_state()

    dp, tp, _ = layout
    return run_ranks(program, dp * tp)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return six steps on one process: reports, weights, and the file after three."""
    training, file = Training(model(), draw, PLAN), tmp_path_factory.mktemp("one") / "state.pt"
    reports = [training.step() for _ in range(3)]
    training.save(file)
    reports += [training.step() for _ in range(3)]
    return reports, training.model.state_dict(), file


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ranks_follow_one_process_and_continue_its_checkpoint(layout, alone):
    reports, weights, file = alone
    for found, _ in on_ranks(layout):
        for ours, theirs in zip(found, reports[:3], strict=True):
            assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
            assert ours.norm == pytest.approx(theirs.norm, rel=1e-3)
            assert ours.rate == theirs.rate
    for found, whole in on_ranks(layout, start=file):
        assert found[-1].loss == pytest.approx(reports[-1].loss, abs=1e-4)
        assert largest_gap(whole, weights) < CLOSE


@pytest.mark.parametrize(("before", "after"), [(0, 3), (3, 1), (1, 4), (5, 2), (3, 5)])
def test_a_checkpoint_is_continued_in_another_layout(before, after, alone, tmp_path):
    on_ranks(LAYOUTS[before], save=tmp_path / LATEST)
    assert json.loads((tmp_path / LATEST).read_text())["step"] == 3
    for _, whole in on_ranks(LAYOUTS[after], start=tmp_path / LATEST):
        assert largest_gap(whole, alone[1]) < CLOSE


def saved(tmp_path, numbers=7, ranks=3, step=1):
    whole = torch.arange(float(numbers))
    starts = [0, *(len(p) for p in whole.tensor_split(ranks))]

    def program(comm):
        own = whole.tensor_split(comm.size)[comm.rank]
        start = sum(starts[: comm.rank + 1])
        save_segments(comm, tmp_path, step, [Segment("w", start, own)], {"step": step})

    run_ranks(program, ranks)


def test_segments_are_put_together_from_any_files(tmp_path):
    saved(tmp_path)
    found = torch.full((4,), -1.0)
    assert load_segments(tmp_path, [Segment("w", 2, found)]) == {"step": 1}
    assert found.tolist() == [2, 3, 4, 5]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="without latest"):
        load_segments(tmp_path, [])
    saved(tmp_path)
    with pytest.raises(ValueError, match="'w' without number 7"):
        load_segments(tmp_path, [Segment("w", 5, torch.zeros(4))])
    with pytest.raises(ValueError, match="'v' without number 0"):
        load_segments(tmp_path, [Segment("v", 0, torch.zeros(1))])


def test_a_step_that_was_not_finished_is_not_loaded(tmp_path):
    saved(tmp_path, step=1)

    def killed(comm):
        if comm.rank == 1:
            raise RuntimeError("killed")
        save_segments(comm, tmp_path, 2, [Segment("w", 0, torch.zeros(7))], {"step": 2})

    with pytest.raises(RuntimeError, match="killed"):
        run_ranks(killed, 2)
    found = torch.zeros(7)
    assert load_segments(tmp_path, [Segment("w", 0, found)]) == {"step": 1}
    assert found.tolist() == list(range(7))
    saved(tmp_path, step=3)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-3"]


def test_how_a_training_is_spread():
    assert Parallelism.parsed("dp=2,tp=4") == Parallelism(2, 4, 0)
    assert Parallelism.parsed("zero=3,dp=8") == Parallelism(8, 1, 3)
    for text in ("dp", "pp=2", "dp=two", ""):
        with pytest.raises(ValueError, match=repr(text)):
            Parallelism.parsed(text)
    with pytest.raises(ValueError, match="zero=1 and tp=2"):
        Parallelism(tp=2, zero=1)
    with pytest.raises(ValueError, match="5 for 6"):
        on_ranks((6, 1, 0))
