"""Runs in a folder: gone on with after a kill, logged, stored as transformers loads them."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from course_lib.checkpoint import load_model, load_tokenizer
from course_lib.training.recipes import (
    QUICK,
    RECIPES,
    SEPARATOR,
    Mixture,
    train_tokenizer,
    write_corpus,
)
from course_lib.training.runs import RecipeRun

TINY = replace(
    QUICK,
    name="tiny",
    plan=replace(QUICK.plan, steps=12, warmup=2),
    vocab_size=300,
    context=48,
    hidden_size=32,
    intermediate_size=48,
    layers=2,
    head_dim=8,
    text_rows=2,
    repeat_rows=1,
    periods=(4, 12),
    growth=(16, 6),
    characters=20_000,
    look_every=4,
    save_every=3,
)
KILLED = """
import sys, time
from pathlib import Path
from tests_recipe import TINY
from course_lib.training.runs import RecipeRun
run = RecipeRun(TINY, Path(sys.argv[1]))
step = run.training.step
def slow():
    time.sleep(0.05)
    return step()
run.training.step = slow
print("ready", flush=True)
run.go_on()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a run that was left in peace."""
    run = RecipeRun(TINY, tmp_path_factory.mktemp("whole"))
    run.go_on()
    return run


def weights(run):
    return run.model.state_dict()


def assert_same_weights(one, other):
    assert all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))


def test_log_holds_every_look(whole):
    lines = [json.loads(line) for line in whole.log.read_text(encoding="utf-8").splitlines()]
    assert [each["step"] for each in lines] == [0, 4, 8, 12]
    assert lines == whole.records
    assert lines[0]["loss"] is None
    assert lines[-1]["bits per byte"] < lines[0]["bits per byte"]
    assert all(0 <= each["induction"] <= 1 for each in lines)


def test_a_run_in_pieces_is_the_same_run(whole, tmp_path):
    told = []
    RecipeRun(TINY, tmp_path).go_on(until=5, watch=told.append)
    second = RecipeRun(TINY, tmp_path)
    assert second.training.done == 5
    second.go_on(watch=told.append)
    assert_same_weights(second, whole)
    scores = [{**each, "seconds": 0, "loss": 0} for each in whole.records]
    again = [{**each, "seconds": 0, "loss": 0} for each in second.records]
    assert [each for each in again if each["step"] != 5] == scores
    assert [each["step"] for each in told] == [0, 4, 5, 8, 12]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole, tmp_path):
    script = KILLED.replace("from tests_recipe import TINY", _recipe_in_words())
    kills = 0
    for _ in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True
        )
        child.stdout.readline()
        time.sleep(0.4)
        ended = child.poll() is not None
        child.send_signal(signal.SIGKILL)
        child.communicate()
        if ended or kills == 2:
            break
        kills += 1
    assert kills >= 1
    last = RecipeRun(TINY, tmp_path)
    last.go_on()
    assert_same_weights(last, whole)


def _recipe_in_words():
    return (
        "from course_lib.training.loop import Plan\n"
        "from course_lib.training.recipes import Recipe\n"
        f"TINY = {TINY!r}"
    )


def test_stored_model_loads_everywhere_with_the_same_logits(whole, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole.store(tmp_path)
    ours, tokenizer = load_model(tmp_path, dtype=torch.float32), load_tokenizer(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    text = "def f(x):\n    return x + 1\n"
    ids = tokenizer.encode_ordinary(text)
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == ids
    assert theirs.config.eos_token_id == tokenizer.special_tokens[SEPARATOR]
    row = torch.tensor([ids])
    with torch.no_grad():
        torch.testing.assert_close(ours(row).logits, theirs(row).logits, rtol=0, atol=1e-5)
    assert (tmp_path / "training_log.jsonl").read_text() == whole.log.read_text()


def test_a_state_of_an_earlier_version_is_an_error_and_kept(tmp_path):
    RecipeRun(TINY, tmp_path).go_on(until=1)
    path = tmp_path / "state.pt"
    old = torch.load(path)
    old["done"] = old.pop("step")
    torch.save(old, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"(?s)state\.pt.*earlier version.*Delete"):
        RecipeRun(TINY, tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    assert RecipeRun(TINY, tmp_path).training.done == 0


def test_storing_does_not_change_the_run(whole, tmp_path):
    before = {name: part.clone() for name, part in weights(whole).items()}
    whole.store(tmp_path)
    assert all(torch.equal(part, weights(whole)[name]) for name, part in before.items())
    assert weights(whole)["model.norm.weight"].dtype == torch.float32


def test_batches_hold_text_and_repeats_that_grow(tmp_path):
    tokenizer = train_tokenizer(TINY)
    paths = write_corpus(TINY, tokenizer, tmp_path)
    mixture = Mixture(TINY, paths)
    batch = mixture(0, torch.Generator().manual_seed(0))
    assert batch.ids.shape == (3, 48)
    assert batch.counted[:2].all()
    assert not batch.counted[2].all()
    assert len(mixture.choices(0)) == 16
    assert len(mixture.choices(3)) == (16 + 300) // 2
    assert sorted(mixture.choices(99).tolist()) == list(range(300))
    row = mixture.rows[0].tolist()
    assert row[0] == tokenizer.special_tokens[SEPARATOR]
    crop = batch.ids[0].tolist()
    rows = [bytes(each.tobytes()) for each in mixture.rows]
    assert any(torch.tensor(crop, dtype=torch.uint16).numpy().tobytes() in each for each in rows)


def test_no_held_out_text_is_trained_on(tmp_path):
    from course_lib import corpus

    recipe = replace(TINY, shares=(("documentation", 1.0),), characters=None)
    tokenizer = train_tokenizer(recipe)
    (path,) = write_corpus(recipe, tokenizer, tmp_path)
    row = Mixture(recipe, [path]).rows[0]
    text = tokenizer.decode(row.tolist())
    held = [d for d in corpus.documentation() if corpus.is_held_out(d.name)]
    kept = [d for d in corpus.documentation() if not corpus.is_held_out(d.name)]
    assert all(d.text in text for d in kept)
    assert not any(d.text in text for d in held)


def test_recipes_have_their_names_and_the_sizes_they_promise():
    assert all(RECIPES[name].name == name for name in RECIPES)
    for recipe in RECIPES.values():
        assert recipe.config().hidden_size == recipe.hidden_size
        assert recipe.context >= 2 * recipe.periods[1], "a text must come twice to be counted"
        assert sum(share for _, share in recipe.shares) == pytest.approx(1.0)
