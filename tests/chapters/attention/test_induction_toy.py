"""The small trained model: its stored heads do what the chapter says, and can be trained again."""

import pytest
import torch

from course_lib import attention
from course_lib.chapters.attention import induction_toy
from course_lib.chapters.attention.induction_toy import (
    HEADS,
    LAYERS,
    PERIODS,
    TOKENS,
    ToyModel,
    queries_and_keys,
    repeat_loss,
    repeated_sequences,
    train_toy,
    trained,
)
from course_lib.device import seeded


def sequences(periods=(8, 20), batch=6, seed=7):
    return repeated_sequences(batch, periods, seeded(seed))


def scores_of(model, found):
    return attention.head_scores(model(found.ids)[1], found.ids)


def test_sequences_repeat_and_know_where():
    ids, repeated = sequences((5, 9))
    assert (ids[:, 0] == 0).all()
    periods = []
    for row, known in zip(ids.tolist(), repeated.tolist(), strict=True):
        period = next(p for p in range(1, len(row)) if row[1 : len(row) - p] == row[1 + p :])
        text = row[1 : 1 + period]
        assert len(set(text)) == period
        assert 0 not in text
        assert known == [place > period for place in range(len(row))]
        periods.append(period)
    assert set(periods) <= set(range(5, 10))
    assert len(set(periods)) > 1
    with pytest.raises(ValueError, match=r"\b1 to 62\b.*\(9, 5\)"):
        sequences((9, 5))


def test_the_loss_is_that_of_torch_where_the_text_repeats():
    model, (ids, repeated) = trained("fixed"), sequences()
    logits, known = model(ids)[0], repeated[:, :-1]
    expected = torch.nn.functional.cross_entropy(logits[:, :-1][known], ids[:, 1:][known]).item()
    assert repeat_loss(model, sequences()) == pytest.approx(expected, abs=1e-5)


def test_the_stored_heads_are_those_of_the_chapter():
    model, found = trained(), sequences()
    scores = scores_of(model, found)
    assert repeat_loss(model, found) < 0.05
    assert all(score.shape == (LAYERS, HEADS) for score in scores.values())
    assert scores["previous token"][0].max() > 0.5
    assert scores["previous token"][1].max() < 0.1
    assert scores["induction"][1].min() > 0.8
    assert scores["induction"][0].max() < 0.2


def test_the_shortcut_has_the_score_and_not_the_skill():
    model = trained("fixed")
    own, other = sequences(PERIODS["fixed"]), sequences((16, 16))
    assert scores_of(model, own)["induction"].max() > 0.95
    assert scores_of(model, own)["previous token"].max() < 0.2
    assert repeat_loss(model, own) < 0.05
    assert repeat_loss(model, other) > 5
    assert repeat_loss(trained(), other) < 0.05


def test_the_copies_ablated_have_lost_one_head_and_the_original_none():
    model, found = trained(), sequences()
    before = repeat_loss(model, found)
    ablated = model.without_head(0, 1)
    assert repeat_loss(ablated, found) > before + 0.2
    assert repeat_loss(ablated.without_head(0, 2), found) > 1.5
    assert repeat_loss(model.without_head(0, 0).without_head(0, 3), found) < 0.3
    assert repeat_loss(model, found) == before
    blind = model
    for head in range(HEADS):
        blind = blind.without_head(1, head)
    ids = found.ids
    first, second = model(ids)[0], blind(ids)[0]
    assert (first - second).abs().max() > 1
    assert torch.equal(model(ids)[1], blind(ids)[1]), "the heads still look, nobody listens"
    for layer, head, said in (
        (0, 4, r"head.* 0 \.\. 3.*got 4"),
        (-1, 0, r"layer.* 0 \.\. 1.*got -1"),
    ):
        with pytest.raises(ValueError, match=said):
            model.without_head(layer, head)


def test_queries_and_keys_are_those_that_are_compared():
    model, (ids, _) = trained(), sequences(batch=2)
    q, k = queries_and_keys(model, ids)
    assert q.shape == k.shape == (LAYERS, 2, HEADS, ids.shape[1], 16)
    scores = torch.einsum("lbhtd,lbhsd->blhts", q, k) / 4
    future = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
    weights = torch.softmax(scores.masked_fill(future, -torch.inf), -1)
    assert torch.allclose(weights, model(ids)[1], atol=1e-5)


def test_a_toy_computes_where_its_sequences_are():
    model, found = ToyModel().to("meta"), sequences(batch=2).to("meta")
    logits, weights = model(found.ids)
    q, k = queries_and_keys(model, found.ids)
    made = (*found, logits, weights, q, k, model.head_means(found.ids))
    assert all(each.device.type == "meta" for each in made)


def test_a_few_steps_learn_something_and_are_the_same_each_time():
    before = torch.get_rng_state()
    model, history = train_toy(steps=30, every=15)
    again, repeated = train_toy(steps=30, every=15)
    assert history == repeated
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), before)
    assert history.steps == [0, 15, 30]
    assert history.loss[0] > 4.0
    assert history.loss[-1] < history.loss[0] - 0.1
    assert history.induction[0] < 0.15


def test_other_seeds_start_elsewhere():
    assert train_toy(steps=0)[1] != train_toy(steps=0, seed=1)[1]
    assert len(TOKENS) == len(set(TOKENS)) == 63


def test_the_weights_are_stored_small_and_for_both_kinds(tmp_path, monkeypatch):
    assert induction_toy.WEIGHTS.stat().st_size < 300_000
    untrained = lambda kind: train_toy(steps=0, seed=len(kind))  # noqa: E731
    monkeypatch.setattr(induction_toy, "train_toy", lambda kind: untrained(kind))
    monkeypatch.setattr(induction_toy, "WEIGHTS", tmp_path / "weights.safetensors")
    induction_toy.store_weights(induction_toy.WEIGHTS)
    stored = induction_toy.trained.__wrapped__("fixed").state_dict()
    expected = untrained("fixed")[0].state_dict()
    assert list(stored) == list(expected)
    for name, weight in expected.items():
        assert torch.equal(stored[name], weight.half().float())
