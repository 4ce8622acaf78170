"""Looking into the course's own model: samples, scores, silenced heads, other settings."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib import corpus
from course_lib.chapters.mlp.figures.gates import near_zero, paired_at_random, share_needed
from course_lib.model.inspection import part_of
from course_lib.study.exhibits import course_model_probes
from course_lib.study.exhibits.course_model_probes import (
    KINDS,
    LONGEST,
    PERIODS,
    ROWS,
    TOKENS,
    changed,
    course_model,
    course_tokenizer,
    head_scores_on,
    hidden_units,
    loss,
    read,
    rises,
    sample_texts,
)


def cross_entropies(ids, model=None):
    """Return the losses of a model on ids, as torch computes them."""
    with torch.no_grad():
        logits = (model or course_model())(ids).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(
        len(ids), -1
    )


def test_a_reading_holds_the_tokens_and_maps_of_the_text():
    tokens, weights = read("def area(a):\n    return a")
    assert "".join(tokens) == "def area(a):\n    return a"
    config = course_model().config
    size = len(tokens)
    assert weights.shape == (config.num_hidden_layers, config.num_attention_heads, size, size)
    assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
    assert weights.triu(1).abs().max() == 0


def test_a_long_text_is_read_from_its_beginning_and_a_short_one_is_an_error():
    tokens, _ = read("value " * 200)
    assert len(tokens) == LONGEST
    assert ("value " * 200).startswith("".join(tokens))
    with pytest.raises(ValueError, match=r"two tokens.*\b0\b"):
        read("")


def test_a_special_token_in_a_text_is_only_text():
    tokens, _ = read("<|endoftext|>")
    assert len(tokens) > 1
    assert "".join(tokens) == "<|endoftext|>"


def test_repeats_repeat_and_only_what_can_be_known_counts():
    ids, counted = sample_texts("repeats")
    assert ids.shape == (ROWS * len(PERIODS), TOKENS)
    for number, (row, known) in enumerate(zip(ids.tolist(), counted.tolist(), strict=True)):
        period = PERIODS[number // ROWS]
        assert len(set(row[:period])) == period
        assert row[period:] == row[:-period]
        # Entry i is the loss of token i + 1; the first one known follows a token seen before.
        assert known == [place + 1 > period for place in range(TOKENS - 1)]


def test_the_text_is_held_out():
    ids, counted = sample_texts("text")
    assert ids.shape[1] == TOKENS
    assert counted.all()
    held_out = "\n".join(d.text for d in corpus.library_sources() if corpus.is_held_out(d.name))
    words = course_tokenizer()
    for row in ids.tolist():
        assert words.decode(row[2:-2]) in held_out
    with pytest.raises(ValueError, match=r"repeats, text.*'code'"):
        sample_texts("code")


def test_scores_are_means_over_rows():
    ids, _ = sample_texts("repeats")
    with torch.no_grad():
        maps = torch.stack(course_model()(ids, return_weights=True).attentions)
    scores = head_scores_on("repeats")
    pairs = range(1, TOKENS)
    for name, columns in (
        ("previous token", [p - 1 for p in pairs]),
        ("first token", [0 for _ in pairs]),
        ("itself", list(pairs)),
    ):
        expected = torch.stack(
            [maps[..., row, column] for row, column in zip(pairs, columns, strict=True)]
        ).mean((0, 2))
        assert torch.allclose(scores[name], expected, atol=1e-5), name
    followed = []
    for row, period in enumerate([p for p in PERIODS for _ in range(ROWS)]):
        queries = range(period, TOKENS)
        read_there = [
            sum(maps[:, row, :, q, k] for k in range(q - period + 1, 0, -period)) for q in queries
        ]
        followed.append(torch.stack(read_there).mean(0))
    assert torch.allclose(scores["induction"], torch.stack(followed).mean(0), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_that_of_torch_and_a_rise_is_a_difference(kind):
    ids, counted = sample_texts(kind)
    assert loss(kind) == pytest.approx(cross_entropies(ids)[counted].mean().item(), abs=1e-4)
    found = rises(kind)
    layer, head = divmod(int(found.argmax()), found.shape[1])
    without = loss(kind, [(layer, head)])
    assert found[layer, head].item() == pytest.approx(without - loss(kind), abs=1e-4)
    assert without > loss(kind) + 0.05


def test_silencing_several_heads_is_setting_their_columns_to_zero():
    ids, counted = sample_texts("repeats")
    silent = [(0, 1), (0, 2), (1, 0)]
    width = course_model().config.head_dim
    before = {}
    try:
        for layer, head in silent:
            weight = part_of(course_model(), layer, "attention").o_proj.weight
            before.setdefault(layer, weight.clone())
            weight[:, head * width : (head + 1) * width] = 0
        expected = cross_entropies(ids)[counted].mean().item()
    finally:
        for layer, weight in before.items():
            part_of(course_model(), layer, "attention").o_proj.weight.copy_(weight)
    assert loss("repeats", silent) == pytest.approx(expected, abs=1e-4)
    assert loss("repeats") < expected


def test_hidden_units_are_what_the_mlp_multiplies():
    ids, _ = sample_texts("repeats")
    heard = []
    mlps = [part_of(course_model(), layer, "mlp") for layer in range(len(course_model().blocks))]
    hooks = [mlp.register_forward_hook(lambda _, __, answer: heard.append(answer)) for mlp in mlps]
    course_model()(ids)
    for hook in hooks:
        hook.remove()
    layers = hidden_units("repeats")
    assert len(layers) == len(mlps)
    for (gate, up), mlp, answer in zip(layers, mlps, heard, strict=True):
        assert gate.shape == up.shape == (ids.numel(), mlp.up_proj.out_features)
        written = (F.silu(gate) * up) @ mlp.down_proj.weight.T
        assert torch.allclose(written, answer.flatten(0, 1), atol=1e-3)


def test_other_settings_leave_the_shared_model_alone():
    ids, _ = sample_texts("repeats")
    expected = course_model()(ids).logits
    config = course_model().config
    other = changed(sliding_window=4)
    assert other.config.sliding_window == 4
    assert course_model().config is config
    assert torch.equal(course_model()(ids).logits, expected)
    near = other(ids).logits
    assert torch.allclose(near[:, :4], expected[:, :4], atol=1e-4)
    assert not torch.allclose(near[:, 20:], expected[:, 20:], atol=0.1)


def test_what_the_chapters_say_of_the_heads_is_so():
    scores = head_scores_on("repeats")
    layer = {}
    for kind in ("previous token", "induction"):
        table = scores[kind]
        assert table.max() > 0.5
        layer[kind] = int(table.argmax()) // table.shape[1]
        group = (table > 0.5).nonzero().tolist()
        nothing = math.log(course_model().config.vocab_size)
        assert loss("repeats", group) > 0.8 * nothing
        on_repeats, on_text = (loss(kind, group) - loss(kind) for kind in KINDS)
        assert on_text < on_repeats / 4
    assert layer["previous token"] < layer["induction"]


def test_what_the_chapters_say_of_the_gates_is_so():
    below, small, needed = [], [], []
    for gate, up in hidden_units("text"):
        passed = F.silu(gate) * up
        below.append((gate < 0).double().mean().item())
        small.append(near_zero(passed))
        needed.append(share_needed(passed))
        assert needed[-1] < share_needed(paired_at_random(gate, up)), (
            "gates and ups depend on each other"
        )
        assert not (passed == 0).any()
    # layer by layer; another Python has slightly other sources to read
    assert below == pytest.approx([0.70, 0.77, 0.78, 0.75], abs=0.03)
    assert small == pytest.approx([0.28, 0.30, 0.31, 0.37], abs=0.03)
    assert needed == pytest.approx([0.116, 0.111, 0.103, 0.072], abs=0.015)


def test_the_model_and_its_texts_are_on_the_default_device_and_the_shared_one_stays(monkeypatch):
    monkeypatch.setattr(course_model_probes, "default_device", lambda: torch.device("meta"))
    elsewhere = course_model_probes.model_on_device.__wrapped__()
    assert all(each.is_meta for each in elsewhere.parameters())
    assert all(each.is_meta for each in course_model_probes.texts_on_device("repeats"))
    assert not any(each.is_meta for each in course_model().parameters())


def test_on_a_cpu_there_is_one_model():
    assert course_model_probes.model_on_device() is course_model()
