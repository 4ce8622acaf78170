import pytest
import torch

from course_lib.fine_tuning.new_tokens import copy_rows, embedding, train_rows_only
from course_lib.training import AdamW


def test_copied_rows_and_no_others(model):
    before = embedding(model).clone()
    copy_rows(model, {3: 10, 4: 3})  # 4 gets what 3 was, not what it becomes
    after = embedding(model)
    assert torch.equal(after[3], before[10])
    assert torch.equal(after[4], before[3])
    rest = [i for i in range(43) if i not in (3, 4)]
    assert torch.equal(after[rest], before[rest])


def test_an_untied_head_is_copied_too():
    from course_lib.model import DecoderLM, ModelConfig

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "head_dim": 4}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 8}
    model = DecoderLM(ModelConfig(vocab_size=9, **sizes, **heads, tie_word_embeddings=False))
    copy_rows(model, {1: 2})
    assert torch.equal(model.lm_head.weight[1], model.lm_head.weight[2])
    assert torch.equal(embedding(model)[1], embedding(model)[2])


def test_only_the_chosen_rows_are_trained(model, ids):
    model.requires_grad_(False)
    table, before = embedding(model), embedding(model).clone()
    handle = train_rows_only(table, [2, 9])
    optimizer = AdamW([table], lr=0.1, weight_decay=0.0)
    model(ids).logits.square().mean().backward()
    optimizer.step()
    moved = (table != before).any(1).nonzero().flatten().tolist()
    assert moved == [2, 9]
    handle.remove()
    model(ids).logits.square().mean().backward()
    assert table.grad[0].abs().max() > 0


def test_ids_outside_the_vocabulary_are_named(model):
    with pytest.raises(ValueError, match="0 to 42; got 43"):
        copy_rows(model, {43: 1})
