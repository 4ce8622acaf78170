"""Training on drawings: what learns, that it can be resumed, and how good the stored models are."""

import math
from dataclasses import replace

import pytest
import torch

from course_lib.device import seeded
from course_lib.training.loop import Plan
from course_lib.vision import Thing, draw, random_scenes, scenes_of
from course_lib.vision.clip_training import ClipTraining, fresh_clip, pairing_loss
from course_lib.vision.contrastive import clip_loss
from course_lib.vision.evaluation import (
    Rate,
    answer_rates,
    answers_right,
    rate,
    shown,
    zero_shot_pairs,
)
from course_lib.vision.files import load_clip, load_llava
from course_lib.vision.llava_training import LlavaTraining, fresh_llava
from course_lib.vision.looking import answer, answer_and_looks, class_attention
from course_lib.vision.pairing import paired_batch
from course_lib.vision.questions import Question
from course_lib.vision.recipes import RECIPES
from course_lib.vision.runs import VisionRun
from course_lib.vision.stored import stored_clip, stored_folder, stored_llava, stored_log
from course_lib.vision.world import NEVER, SEEN

PLAN = Plan(steps=3, warmup=1, peak=1e-3)


def test_clip_learns_to_name_a_batch():
    plan = Plan(steps=25, warmup=5, peak=2e-3, betas=(0.9, 0.98))
    run = ClipTraining(fresh_clip(0), plan, mix=("colour",))
    losses = [run.step().loss for _ in range(plan.steps)]
    assert losses[0] == pytest.approx(math.log(8), abs=1.5)
    assert losses[-1] < 0.7 * losses[0]


def test_the_loss_of_groups_is_the_mean_of_their_losses():
    model, batch = fresh_clip(0), paired_batch("shape", seeded(0))
    with torch.no_grad():
        pictures, texts = model.picture_vectors(batch.pictures), model.text_vectors(batch.ids)
        scale = model.logit_scale.exp()
        parts = [clip_loss(pictures[i : i + 6], texts[i : i + 6], scale) for i in range(0, 42, 6)]
        assert pairing_loss(model, batch).item() == pytest.approx(sum(map(float, parts)) / 7)


def test_the_scale_stays_below_its_limit():
    run = ClipTraining(fresh_clip(0), PLAN)
    with torch.no_grad():
        run.clip.logit_scale.fill_(9.0)
    run.step()
    assert run.clip.logit_scale.exp().item() == pytest.approx(100)


@pytest.mark.parametrize("stage", ["words", "projector", "answers"])
def test_a_stage_changes_only_what_learns_in_it(stage):
    model = fresh_llava(fresh_clip(0))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    run = LlavaTraining(model, PLAN, stage)
    run.step()
    changed = {
        name.split(".")[0]
        for name, each in model.state_dict().items()
        if not torch.equal(each, before[name])
    }
    assert (
        changed
        == {
            "words": {"language_model"},
            "projector": {"multi_modal_projector"},
            "answers": {"multi_modal_projector", "language_model"},
        }[stage]
    )


@pytest.mark.parametrize("name", ["drawing-clip", "drawing-words"])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(name, tmp_path):
    def start(seed, before):
        run = RECIPES[name].start(seed, None)
        run.plan = PLAN
        return run

    recipe = replace(RECIPES[name], start=start, look=lambda model: {}, rates=lambda model: {})
    whole = VisionRun(recipe, tmp_path / "whole")
    whole.go_on()
    VisionRun(recipe, tmp_path / "parts").go_on(2)
    resumed = VisionRun(recipe, tmp_path / "parts")
    assert resumed.training.done == 2
    resumed.go_on()
    for mine, other in zip(
        resumed.training.model.parameters(), whole.training.model.parameters(), strict=True
    ):
        assert torch.equal(mine, other)
    whole.store(tmp_path / "stored", torch.float32)
    load = load_clip if name == "drawing-clip" else load_llava
    loaded = load(tmp_path / "stored").state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in whole.training.model.state_dict().items())
    assert "## Scores" in (tmp_path / "stored" / "README.md").read_text()


def test_intervals_solve_their_equation():
    assert Rate(8, 10).share == 0.8
    for right, count in ((8, 10), (0, 20), (400, 400)):
        for bound in Rate(right, count).interval:
            if 0 < bound < 1:
                distance = abs(right / count - bound)
                assert distance == pytest.approx(1.96 * math.sqrt(bound * (1 - bound) / count))
    assert str(rate([True, True, False, True])) == "75% (30% to 95%)"
    with pytest.raises(ValueError, match="got 0"):
        rate([])


def test_the_stored_clip_names_pairs_that_it_never_saw():
    model = stored_clip()
    assert zero_shot_pairs(model, SEEN, 3).pair.share > 0.9
    assert zero_shot_pairs(model, NEVER, 15).pair.share > 0.85
    with pytest.raises(ValueError, match="'drawing-cat'"):
        stored_folder("drawing-cat")
    assert stored_log("drawing-clip")[-1]["step"] > 0


def test_an_answer_counts_if_greedy_decoding_writes_it():
    model, thing = stored_llava(), Thing(0, 0, 1, 0)
    picture = draw(scenes_of([[thing]]), seeded(0), steady=True)
    question = "What colour is the circle?"
    written = answer(model, picture, question)
    for said in (written, "no"):
        [right] = answers_right(model, [Question("colour", question, said)], picture)
        assert right == (said == written)
    blind = answer(model, None, question)
    [right] = answers_right(model, [Question("colour", question, blind)], None)
    assert right
    again, looks = answer_and_looks(model, picture, question)
    assert again == written
    assert looks.shape == (3, 2, 2)
    assert (looks.sum((1, 2)) < 1).all()


def test_the_stored_model_reads_its_picture_for_every_kind_of_question():
    model = stored_llava()
    own, other = (answer_rates(model, 50, pictures=seen) for seen in ("own", "other"))
    assert own.all.share > 0.7
    for kind, rate_of_kind in own.kinds.items():
        assert rate_of_kind.interval[0] > other.kinds[kind].share, kind


def test_the_class_token_looks_at_the_thing():
    thing = Thing(0, 0, 1, 3)
    weights = class_attention(stored_clip(), draw(scenes_of([[thing]]), seeded(0), steady=True))
    assert weights.shape == (1, 4, 4)
    assert weights[0, 2:, 2:].sum() > weights[0, :2, :2].sum()


def test_what_is_shown_instead_of_the_picture():
    pictures = draw(random_scenes(3, seeded(0)), seeded(0))
    assert torch.equal(shown(pictures, "other")[1], pictures[0])
    assert shown(pictures, "none") is None
    assert shown(pictures, "blank").unique().numel() == 1
    assert shown(pictures, "own") is pictures
