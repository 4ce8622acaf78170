import random

import pytest
import torch

from course_lib.device import seeded_draws
from course_lib.fine_tuning.labels import IGNORED, Example
from course_lib.fine_tuning.packing import (
    PADDING,
    assign_rows,
    pack_examples,
    packed_logits,
    packed_mask,
    packed_positions,
    pad_examples,
)
from course_lib.model import ModelConfig, build_model
from course_lib.training import next_token_loss


def examples(count=7, seed=0, vocabulary=43):
    source, made = random.Random(seed), []
    for _ in range(count):
        ids = [source.randrange(vocabulary) for _ in range(source.randint(2, 9))]
        start = source.randrange(1, len(ids))
        made.append(Example(ids, [IGNORED] * start + ids[start:]))
    return made


def packed_loss(model, packed):
    logits = packed_logits(model, packed.ids, packed.documents)
    return next_token_loss(logits, packed.ids, packed.labels != IGNORED)


def alone_loss(model, given):
    total, count = 0.0, 0
    for example in given:
        batch = pad_examples([example])
        number = int(batch.counted[:, 1:].sum())
        logits = model(batch.ids).logits
        total += next_token_loss(logits, batch.ids, batch.counted) * number
        count += number
    return total / count


def test_loss_and_gradients_with_and_without_packing(model):
    given = examples()
    model.double()
    losses, gradients = [], []
    padded = pad_examples(given)
    for loss in (
        packed_loss(model, pack_examples(given, 20)),
        alone_loss(model, given),
        next_token_loss(model(padded.ids).logits, padded.ids, padded.counted),
    ):
        model.zero_grad()
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.model.layers[0].self_attn.q_proj.weight.grad.clone())
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)
    assert losses[2] == pytest.approx(losses[1], abs=1e-12)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_in_float32_the_losses_agree_within_a_millionth(model):
    given = examples(12, seed=3)
    with torch.no_grad():
        packed, alone = packed_loss(model, pack_examples(given, 30)), alone_loss(model, given)
    assert abs(packed - alone) < 1e-6


def test_without_the_mask_the_loss_is_another(model):
    packed = pack_examples(examples(), 20)
    with torch.no_grad():
        plain = next_token_loss(model(packed.ids).logits, packed.ids, packed.labels != IGNORED)
        assert abs(plain - packed_loss(model, packed)) > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "mistral"])
def test_learned_positions_and_sliding_windows(family):
    changes = {"sliding_window": 4} if family == "mistral" else {"num_key_value_heads": 4}
    sizes = {
        "vocab_size": 43, "hidden_size": 24, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "max_position_embeddings": 32, "model_type": family, **changes,
    }  # fmt: skip
    with seeded_draws(0):
        model = build_model(ModelConfig(**sizes)).eval()
    given = examples()
    with torch.no_grad():
        packed, alone = packed_loss(model, pack_examples(given, 20)), alone_loss(model, given)
    assert abs(packed - alone) < 1e-6


def test_mask_and_positions_by_hand():
    documents = torch.tensor([[0, 0, 1, 1, 1, PADDING]])
    assert packed_positions(documents).tolist() == [[0, 1, 0, 1, 2, 0]]
    assert packed_mask(documents)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_the_first_token_of_a_conversation_is_nobodys_target():
    packed = pack_examples([Example([4, 5], [4, 5]), Example([6, 7, 8], [6, 7, 8])], 9)
    assert packed.ids.tolist() == [[6, 7, 8, 4, 5]]
    assert packed.labels.tolist() == [[IGNORED, 7, 8, IGNORED, 5]]


@pytest.mark.parametrize("seed", range(20))
def test_rows_hold_every_example_once_and_never_too_much(seed):
    source = random.Random(seed)
    lengths = [source.randint(1, 10) for _ in range(source.randint(0, 30))]
    rows = assign_rows(lengths, 10)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 10 for row in rows)
    fewest = -(-sum(lengths) // 10)
    assert len(rows) <= 1.7 * fewest  # first fit, the longest first: at most 11/9 + 6/9


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="row of 5 tokens; got one of 6"):
        assign_rows([3, 6], 5)
    for make in (pad_examples, lambda given: pack_examples(given, 8)):
        with pytest.raises(ValueError, match="got none"):
            make([])
