"""A training on ranks follows one process, and its checkpoints fit any number of ranks."""

import json
from dataclasses import replace

import pytest
import torch

from course_lib.model import ModelConfig, build_model
from course_lib.parallel import run_ranks
from course_lib.parallel.communicator import groups_along
from course_lib.parallel.sharded_checkpoint import LATEST, Segment, load_segments, save_segments
from course_lib.parallel.spread import Parallelism
from course_lib.parallel.training import ParallelTraining
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training

from .conftest import largest_gap

SIZES = (36, 24, 48, 3, 4, 4, 8, 64)
CONFIGS = {
    "tied": ModelConfig(*SIZES, tie_word_embeddings=True),
    "untied, with biases": ModelConfig(
        *SIZES, tie_word_embeddings=False, qkv_bias=True, output_bias=True
    ),
    "experts": ModelConfig(
        *SIZES, "qwen3_moe", tie_word_embeddings=True, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=20,
    ),
}  # fmt: skip
PLAN = Plan(steps=20, warmup=2, peak=1e-2, max_norm=0.5)
LAYOUTS = [
    ("tied", "dp=2"),
    ("tied", "dp=3,zero=1"),
    ("tied", "dp=2,microbatches=2"),
    ("tied", "dp=2,zero=2,microbatches=3"),
    ("tied", "dp=2,zero=3"),
    ("tied", "tp=2"),
    ("tied", "dp=2,tp=2"),
    ("tied", "dp=2,tp=2,zero=1"),
    ("untied, with biases", "dp=2,tp=2,zero=2"),
    ("tied", "dp=2,tp=2,zero=3"),
    ("tied", "tp=2,sequence=1"),
    ("untied, with biases", "dp=2,tp=2,sequence=1,zero=3"),
    ("untied, with biases", "tp=2,pp=3,sequence=1,microbatches=2"),
    ("tied", "cp=2,tp=2,sequence=1,zero=1"),
    ("tied", "pp=2,microbatches=3"),
    ("untied, with biases", "pp=3"),
    ("tied", "pp=3,microbatches=5,schedule=gpipe"),
    ("tied", "dp=2,pp=2,zero=1,microbatches=2"),
    ("untied, with biases", "tp=2,pp=2,microbatches=2"),
    ("tied", "cp=2"),
    ("untied, with biases", "cp=3,zero=2"),
    ("tied", "cp=2,tp=2,zero=3"),
    ("tied", "cp=2,pp=2,microbatches=1"),
    ("tied", "dp=2,zero=3,recompute=1,loss_scale=64,microbatches=2"),
    ("untied, with biases", "tp=2,pp=3,sequence=1,recompute=1,microbatches=2,loss_scale=100"),
    ("tied", "cp=2,tp=2,zero=2,recompute=1,loss_scale=65536"),
    ("experts", "dp=2,ep=2,zero=1,recompute=1,loss_scale=1000"),
    ("experts", "dp=2,zero=1"),
    ("experts", "dp=2,ep=2"),
    ("experts", "dp=4,ep=2,zero=1"),
    ("experts", "dp=2,ep=2,zero=2"),
    ("experts", "dp=2,ep=2,cp=2"),
    ("experts", "dp=2,ep=2,pp=2,microbatches=2"),
]
CLOSE = 1e-3  # rounding, which AdamW makes larger; weights move by 4e-2


def model(kind):
    torch.manual_seed(0)
    return build_model(CONFIGS[kind])


def draw(step, generator):
    ids = torch.randint(36, (6, 12), generator=generator)
    counted = torch.rand(6, 12, generator=generator) < 0.7
    counted[:2, 6:] = False  # a rank with the end of a text may have no target
    return Batch(ids, counted)


def on_ranks(kind, layout, start=None, save=None):
    """Return reports and weights of two steps, after those of a checkpoint."""
    spread = Parallelism.parsed(layout)

    def program(comm):
        training = ParallelTraining(model(kind), draw, PLAN, comm, spread)
        if start is not None:
            training.resume(start)
        reports = [training.step() for _ in range(2)]
        if save is not None:
            training.save(save)
        return reports, training.whole_state()

    return run_ranks(program, spread.ranks)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return for each model four steps on one process: reports, weights, the file after two."""
    found = {}
    for kind in CONFIGS:
        training, file = Training(model(kind), draw, PLAN), tmp_path_factory.mktemp("one") / "s.pt"
        reports = [training.step() for _ in range(2)]
        training.save(file)
        reports += [training.step() for _ in range(2)]
        found[kind] = reports, training.model.state_dict(), file
    return found


def check_reports(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
        assert ours.norm == pytest.approx(theirs.norm, rel=1e-3)
        assert ours.rate == theirs.rate


@pytest.mark.parametrize(("kind", "layout"), LAYOUTS)
def test_ranks_continue_the_checkpoint_of_one_process_as_it_does(kind, layout, alone):
    reports, weights, file = alone[kind]
    for found, whole in on_ranks(kind, layout, start=file):
        check_reports(found, reports[2:])
        assert largest_gap(whole, weights) < CLOSE


def test_ranks_start_as_one_process_does(alone):
    for found, _ in on_ranks("tied", "dp=2,tp=2,zero=1"):
        check_reports(found, alone["tied"][0][:2])


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("tied", "tp=2", "dp=2,zero=3"),
        ("tied", "dp=2,tp=2,zero=3", "pp=3"),
        ("tied", "dp=2,pp=2,zero=1,microbatches=2", "cp=2,tp=2,zero=2"),
        ("experts", "dp=4,ep=2,zero=1", "dp=2,ep=2,pp=2,microbatches=2"),
    ],
)
def test_a_checkpoint_is_continued_in_another_layout(kind, before, after, alone, tmp_path):
    on_ranks(kind, before, save=tmp_path / LATEST)
    assert json.loads((tmp_path / LATEST).read_text())["step"] == 2
    for _, whole in on_ranks(kind, after, start=tmp_path / LATEST):
        assert largest_gap(whole, alone[kind][1]) < CLOSE


@pytest.mark.parametrize("layout", ["tp=2,zero=1,dp=2", "dp=2,pp=2,microbatches=2"])
def test_each_number_has_one_owner(layout, tmp_path):
    on_ranks("tied", layout, save=tmp_path / LATEST)
    files = [torch.load(path) for path in tmp_path.glob("step-2/rank-*.pt")]
    numbers = sum(len(x) for file in files for name, _, x in file if name.startswith("weights"))
    assert numbers == sum(p.numel() for p in model("tied").parameters())


SHAPES = {"w": (7,)}


def saved(tmp_path, numbers=7, ranks=3, step=1):
    whole = torch.arange(float(numbers))
    starts = [0, *(len(p) for p in whole.tensor_split(ranks))]

    def program(comm):
        own = whole.tensor_split(comm.size)[comm.rank]
        start = sum(starts[: comm.rank + 1])
        save_segments(comm, tmp_path, step, [Segment("w", start, own)], {"step": step}, SHAPES)

    run_ranks(program, ranks)


def test_segments_are_put_together_from_any_files(tmp_path):
    saved(tmp_path)
    found = torch.full((4,), -1.0)
    assert load_segments(tmp_path, [Segment("w", 2, found)], SHAPES) == {"step": 1}
    assert found.tolist() == [2, 3, 4, 5]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="without latest"):
        load_segments(tmp_path, [], SHAPES)
    saved(tmp_path)
    with pytest.raises(ValueError, match="'w' without number 7"):
        load_segments(tmp_path, [Segment("w", 5, torch.zeros(4))], SHAPES)
    with pytest.raises(ValueError, match="'v' without number 0"):
        load_segments(tmp_path, [Segment("v", 0, torch.zeros(1))], SHAPES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"intermediate_size": 40}, r"mlp\.down_proj\.weight' of shape \(24, 40\).* \(24, 48\)"),
        ({"num_hidden_layers": 2}, r"layers\.2\..* of shape None"),
        ({"qk_norm": False}, r"k_norm\.weight' of shape None, and of shape \(8,\)"),
    ],
)
def test_the_checkpoint_of_another_model_is_named_on_every_rank(change, words, tmp_path):
    on_ranks("tied", "dp=2", save=tmp_path / LATEST)

    def program(comm):
        other = build_model(replace(CONFIGS["tied"], **change))
        training = ParallelTraining(other, draw, PLAN, comm, Parallelism(tp=2))
        before = [p.clone() for p in training.local.parameters()]
        with pytest.raises(ValueError, match=words):
            training.resume(tmp_path / LATEST)
        return all(map(torch.equal, before, training.local.parameters()))  # nothing was filled

    assert run_ranks(program, 2) == [True, True]


def test_a_step_that_was_not_finished_is_not_loaded(tmp_path):
    saved(tmp_path, step=1)

    def killed(comm):
        if comm.rank == 1:
            raise RuntimeError("killed")
        save_segments(comm, tmp_path, 2, [Segment("w", 0, torch.zeros(7))], {"step": 2}, SHAPES)

    with pytest.raises(RuntimeError, match="killed"):
        run_ranks(killed, 2)
    found = torch.zeros(7)
    assert load_segments(tmp_path, [Segment("w", 0, found)], SHAPES) == {"step": 1}
    assert found.tolist() == list(range(7))
    saved(tmp_path, step=3)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-3"]


def test_how_a_training_is_spread():
    assert Parallelism.parsed("dp=2,tp=4") == Parallelism(2, 4, 0)
    assert Parallelism.parsed("zero=3,dp=8") == Parallelism(8, 1, 3)
    found = Parallelism.parsed("pp=2,cp=3,schedule=GPipe")
    assert (found.pp, found.cp, found.schedule, found.parts, found.ranks) == (2, 3, "gpipe", 4, 6)
    for text in ("dp", "qq=2", "dp=two", "schedule=2", ""):
        with pytest.raises(ValueError, match=repr(text)):
            Parallelism.parsed(text)


@pytest.mark.parametrize(
    ("layout", "kind", "words"),
    [
        ("dp=0", "tied", "dp must be at least 1; got 0"),
        ("zero=4", "tied", "got 4"),
        ("recompute=2", "tied", "recompute is 0, or 1 .*; got 2"),
        ("loss_scale=8589934592", "tied", "at most 4294967296; got 8589934592"),
        ("sequence=1", "tied", "sequence=1 and tp=1"),
        ("tp=2,sequence=2", "tied", "sequence=2 and tp=2"),
        ("pp=2,zero=2", "tied", "zero=2 and pp=2"),
        ("dp=2,ep=2,zero=3", "experts", "zero=3 and ep=2"),
        ("dp=3,ep=2", "experts", "dp=3 and ep=2"),
        ("dp=2,ep=2", "tied", "has none; got ep=2"),
        ("dp=3,ep=3", "experts", "num_experts must be a multiple of ep; got 4 and 3"),
        ("tp=2", "experts", "cut by experts"),
        ("tp=3", "tied", "num_attention_heads"),
        ("pp=4", "tied", "pp=4 and 3 layers"),
        ("dp=8", "tied", "got 6 for 8 x 1"),
        ("pp=2,microbatches=7", "tied", "got 6 for 1 x 7"),
        ("cp=5", "tied", "multiple of 10 tokens; got 12"),
    ],
)
def test_what_is_not_possible_is_named(layout, kind, words):
    with pytest.raises(ValueError, match=words):
        on_ranks(kind, layout)


def test_the_number_of_ranks_must_fit():
    spread = Parallelism(dp=2, pp=2)
    with pytest.raises(ValueError, match="must be the number of ranks, 3; got 2 x 1 x 2 x 1 = 4"):
        run_ranks(lambda comm: ParallelTraining(model("tied"), draw, PLAN, comm, spread), 3)


def test_groups_by_hand():
    sizes = {"pp": 2, "dp": 2, "tp": 3}
    assert groups_along(sizes, "tp") == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert groups_along(sizes, "pp", "dp") == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
