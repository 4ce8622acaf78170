"""What the small models share: layers beside torch's, the pace by hand, files that come back."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from course_lib.chapters.attention import induction_toy
from course_lib.chapters.mlp import ffn_toys
from course_lib.chapters.rope import position_toys
from course_lib.chapters.training import tiny_decoders
from course_lib.device import seeded, seeded_draws
from course_lib.study.exhibits import toy_models
from course_lib.study.exhibits.toy_models import (
    AttentionOnlyModel,
    RepeatTraining,
    pace,
    store_results,
    store_weights,
    stored_model,
    stored_results,
)

IDS = torch.tensor([[3, 1, 4, 1, 5], [2, 0, 2, 0, 2]])


def small_model():
    with seeded_draws(0):
        return AttentionOnlyModel(vocabulary=7, width=12, layers=2, heads=3, head_dim=5)


def by_torch(model, x, bias):
    """Return the logits and the weights of a model, from its weights and with torch's functions."""
    causal = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
    maps = []
    for norm, attention in zip(model.norms, model.attentions, strict=True):
        y = F.rms_norm(x, (12,), norm.weight, 1e-6)
        q, k, v = (
            part(y).unflatten(-1, (3, 5)).transpose(1, 2)
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        maps.append(torch.softmax(q @ k.mT / 5**0.5 + bias + causal, -1))
        x = x + attention.o_proj((maps[-1] @ v).transpose(1, 2).flatten(2))
    return F.rms_norm(x, (12,), model.final_norm.weight, 1e-6) @ model.unembed.weight.mT, maps


def test_the_layers_are_those_of_torch():
    model, bias = small_model(), torch.randn(3, 5, 5, generator=seeded(1))
    with torch.no_grad():
        for norm in (*model.norms, model.final_norm):
            norm.weight.copy_(torch.rand(12, generator=seeded(2)) + 0.5)
        x = model.embed(IDS)
        expected, maps = by_torch(model, x, bias)
        logits, weights = model.run_layers(x, bias=bias, return_weights=True)
        plain, none = model.run_layers(x)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(weights, maps)
    assert none == []
    assert not torch.allclose(plain, logits), "the bias counts"


def test_what_is_rotated_is_queries_and_keys():
    model, seen = small_model(), []

    def rotate(x):
        seen.append(x.shape)
        return 2 * x

    x = model.embed(IDS)
    rotated = model.run_layers(x, rotate=rotate)[0]
    assert seen == [(2, 3, 5, 5)] * 4
    assert not torch.allclose(rotated, model.run_layers(x)[0])


def test_the_pace_by_hand():
    assert pace(0, 100) == pytest.approx(1 / 20)
    assert pace(9, 100) == pytest.approx(0.5)
    assert pace(19, 100) == pace(60, 100) == 1
    assert pace(80, 100) == pytest.approx(0.5)
    assert pace(99, 100) == pytest.approx(1 / 40)


def test_a_step_is_adamw_on_the_weighted_mean_at_the_rate_of_its_turn():
    model, own = nn.Linear(3, 4, bias=False), nn.Linear(3, 4, bias=False)
    own.load_state_dict(model.state_dict())
    training = RepeatTraining(model, 50)
    optimizer = torch.optim.AdamW(own.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    known = torch.tensor([[False, True, True, False], [True, False, True, True]])
    for step in range(3):
        x = torch.randn(2, 3, generator=seeded(step))
        training.step(model(x) ** 2, known)
        surprise = own(x) ** 2
        loss = surprise[known].sum() / 5 + 0.3 * surprise[~known].sum() / 3
        optimizer.param_groups[0]["lr"] = 0.005 * (step + 1) / 20
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(model.weight, own.weight, atol=1e-6, rtol=0)


def test_models_come_back_from_one_file_rounded_and_frozen(tmp_path):
    path = tmp_path / "new" / "weights.safetensors"
    models = {name: nn.Linear(3, 2) for name in ("one", "one more")}
    store_weights(path, models)
    assert {weight.dtype for weight in load_file(path).values()} == {torch.float16}
    state = torch.get_rng_state()
    for name, model in models.items():
        again = stored_model(path, name, lambda: nn.Linear(3, 2))
        assert torch.equal(again.weight, model.weight.half().float())
        assert torch.equal(again.bias, model.bias.half().float())
        assert not any(parameter.requires_grad for parameter in again.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError, match="Missing key"):
        stored_model(path, "two", lambda: nn.Linear(3, 2))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_results_come_back(tmp_path):
    path = tmp_path / "new" / "results.json"
    store_results(path, {"losses": [1.5, None]})
    assert stored_results(path) == json.loads(path.read_text()) == {"losses": [1.5, None]}


@pytest.mark.parametrize("toys", [induction_toy, position_toys], ids=lambda each: each.__name__)
def test_the_stored_weights_are_in_the_form_that_is_written_now(toys, tmp_path):
    names = dict.fromkeys(name.split(".")[0] for name in load_file(toys.WEIGHTS))
    store_weights(tmp_path / "again", {name: toys.trained(name) for name in names})
    assert (tmp_path / "again").read_bytes() == toys.WEIGHTS.read_bytes()


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (ffn_toys.STORED, ffn_toys.longer_runs),
        (tiny_decoders.STORED, tiny_decoders.stored_experiments),
    ],
    ids=("mlp", "training"),
)
def test_the_stored_results_are_in_the_form_that_is_written_now(path, read, tmp_path):
    toy_models.store_results(tmp_path / "again", read())
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
