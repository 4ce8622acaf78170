"""The cross-encoder: equal to BertForSequenceClassification, its segments, its training."""

from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from course_lib.checkpoint import load_model
from course_lib.device import seeded_draws
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.retrieval import reranker_training
from course_lib.retrieval.bert_files import save_bert
from course_lib.retrieval.cross_encoder import (
    OWN_FOLDER,
    CrossEncoder,
    Reranker,
    course_reranker,
    load_reranker,
    pair_row,
    reranker_log,
    segments_of,
)
from course_lib.retrieval.encoder import TextEncoder
from course_lib.retrieval.encoder_data import Pair, train_vocabulary
from course_lib.retrieval.encoder_runs import CodeTask
from course_lib.retrieval.reranker_runs import Candidates
from course_lib.retrieval.reranker_training import (
    MATCHING,
    PLAN,
    GroupBatches,
    GroupTraining,
    fresh_model,
    principal_components,
    reranker_config,
)

QUESTION = "copy a file"
PASSAGES = ["delete a whole directory tree, and everything in it", "a copy of a file", "wait"]


def vocabulary():
    return train_vocabulary([QUESTION, *PASSAGES] * 5, 80)


def small_reranker():
    tokenizer = vocabulary()
    with seeded_draws(0):
        model = CrossEncoder(FamilyConfig(tokenizer.vocab_size, 8, 12, 2, 2, 24)).eval()
    return Reranker(model, tokenizer)


def scores_of_transformers(folder, reranker):
    """Return what transformers makes of the same rows of ids."""
    theirs = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    ids, mask = reranker.tokens([(QUESTION, each) for each in PASSAGES])
    segments = segments_of(ids, reranker.separator)
    with torch.no_grad():
        return theirs(ids, attention_mask=mask.long(), token_type_ids=segments).logits[:, 0]


def test_a_saved_cross_encoder_is_a_classifier_for_transformers(tmp_path):
    ours = small_reranker()
    save_bert(ours.model, ours.tokenizer, tmp_path)
    expected = scores_of_transformers(tmp_path, ours)
    assert expected.std() > 1e-3
    for each in (ours, load_reranker(tmp_path)):
        torch.testing.assert_close(each.scores(QUESTION, PASSAGES), expected, rtol=1e-4, atol=1e-5)


def test_a_classifier_of_transformers_is_loaded(tmp_path):
    ours = small_reranker()
    save_bert(ours.model, ours.tokenizer, tmp_path)  # for the vocabulary
    with seeded_draws(1):
        config = BertConfig(
            vocab_size=ours.tokenizer.vocab_size,
            hidden_size=12,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=20,
            max_position_embeddings=30,
            num_labels=1,
        )
        BertForSequenceClassification(config).save_pretrained(tmp_path)
    again = load_reranker(tmp_path)
    expected = scores_of_transformers(tmp_path, again)
    torch.testing.assert_close(again.scores(QUESTION, PASSAGES), expected, rtol=1e-4, atol=1e-5)
    assert isinstance(load_model(tmp_path), EncoderOnly)  # the same without its classifier


def test_the_second_text_is_the_second_segment():
    ids = torch.tensor([[2, 7, 3, 8, 9, 3, 0, 0], [2, 7, 7, 3, 3, 0, 0, 0]])
    expected = [[0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]]
    assert segments_of(ids, 3).tolist() == expected


def test_a_long_passage_is_cut_and_the_question_kept():
    tokenizer = vocabulary()
    special = tokenizer.special_tokens
    row = pair_row([11, 12], [*range(20, 60)], tokenizer, 10)
    assert row == [special["[CLS]"], 11, 12, special["[SEP]"], *range(20, 25), special["[SEP]"]]
    assert len(pair_row([*range(11, 90)], [*range(20, 60)], tokenizer, 40)) == 40


def test_a_long_question_leaves_room_for_the_passage():
    tokenizer = vocabulary()
    special = tokenizer.special_tokens
    row = pair_row([11] * 50, [*range(20, 60)], tokenizer, 10)
    assert row == [special["[CLS]"], *[11] * 3, special["[SEP]"], *range(20, 24), special["[SEP]"]]
    assert pair_row([11] * 50, [12] * 50, tokenizer, 96).count(11) == 32
    with pytest.raises(ValueError, match="got 4"):
        Reranker(small_reranker().model, tokenizer, longest=4)


def test_scores_do_not_depend_on_the_batch_and_order_the_passages():
    ours = small_reranker()
    together = ours.scores(QUESTION, PASSAGES)
    ours.batch = 2
    torch.testing.assert_close(ours.scores(QUESTION, PASSAGES), together, rtol=1e-4, atol=1e-5)
    alone = torch.cat([ours.scores(QUESTION, [each]) for each in PASSAGES])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert ours.rerank(QUESTION, PASSAGES) == together.argsort(descending=True).tolist()
    assert ours.rerank(QUESTION, []) == []
    ours.model.double()
    exact = ours.scores(QUESTION, PASSAGES)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact.float(), together, rtol=1e-4, atol=1e-5)


def test_a_folder_without_a_classifier_is_an_error(tmp_path):
    with seeded_draws(0):
        tokenizer = vocabulary()
        model = EncoderOnly(FamilyConfig(tokenizer.vocab_size, 8, 12, 1, 2, 24), head=False)
    save_bert(model, tokenizer, tmp_path)
    with pytest.raises(ValueError, match=r"'classifier.bias': None"):
        load_reranker(tmp_path)


def pairs():
    return [Pair(f"word{i} of it", f"the text about word{i} and more", f"{i}") for i in range(12)]


def small_training(monkeypatch):
    for name, value in (("WIDTH", 16), ("LONGEST", 24)):
        monkeypatch.setattr(reranker_training, name, value)
    tokenizer = train_vocabulary([f"{p.question} {p.passage}" for p in pairs()], 120)
    with seeded_draws(0):
        encoder = EncoderOnly(FamilyConfig(tokenizer.vocab_size, 24, 12, 0, 2, 24), head=False)
    model = fresh_model(TextEncoder(encoder, tokenizer), seed=0)
    plan = replace(PLAN, steps=40, warmup=2, peak=5e-3)
    return GroupTraining(model, GroupBatches(pairs(), tokenizer, 6), plan)


def test_the_loss_is_cross_entropy_within_each_group(monkeypatch):
    training = small_training(monkeypatch)
    batch = training.draw(0, torch.Generator().manual_seed(0))
    assert len(batch.ids) == 24
    separator = training.draw.tokenizer.special_tokens["[SEP]"]
    scores = training.model(*batch, segments_of(batch.ids, separator)).view(6, 4)
    expected = torch.nn.functional.cross_entropy(scores, torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(training.loss(batch), expected)


def test_a_group_needs_enough_passages():
    with pytest.raises(ValueError, match="got 3 pairs"):
        GroupBatches(pairs()[:3], vocabulary())


def test_the_wrong_passages_of_a_group_are_wrong_and_different(monkeypatch):
    training = small_training(monkeypatch)
    tokenizer = training.draw.tokenizer
    rows = training.draw(0, torch.Generator().manual_seed(0)).ids.view(6, 4, -1).tolist()
    texts = [[tokenizer.decode([i for i in row if i > 4]) for row in group] for group in rows]
    for group in texts:
        number = group[0].split(" of it")[0].replace(" ", "")
        assert [number in each.replace(" ", "").split("ofit")[1] for each in group] == [
            True,
            *[False] * 3,
        ]
        assert len(set(group)) == 4


def test_training_resumes_and_learns(monkeypatch, tmp_path):
    whole, first = small_training(monkeypatch), small_training(monkeypatch)
    losses = [whole.step().loss for _ in range(40)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    for _ in range(3):
        first.step()
    first.save(tmp_path / "state")
    second = small_training(monkeypatch)
    second.resume(tmp_path / "state")
    assert [second.step().loss for _ in range(3)] == losses[3:6]


def test_the_model_begins_by_matching_equal_words(monkeypatch):
    model = small_training(monkeypatch).model
    attention = model.encoder.layers[0].self_attn
    for projection in (attention.q_proj, attention.k_proj):
        assert torch.equal(projection.weight, MATCHING * torch.eye(16))
    words = model.encoder.tokens.weight
    assert words.std().item() == pytest.approx(1, abs=1e-3)


def test_principal_components_keep_what_differs_most():
    source = torch.Generator().manual_seed(0)
    flat = torch.randn(50, 2, generator=source) @ torch.randn(2, 7, generator=source) + 3
    flat = flat.double()
    kept = principal_components(flat, 2)
    torch.testing.assert_close(
        torch.cdist(kept, kept), torch.cdist(flat, flat), rtol=1e-4, atol=1e-4
    )


def test_candidates_are_judged_in_the_order_of_the_reranker():
    class Backwards(Reranker):
        def rerank(self, question, passages):
            return list(reversed(range(len(passages))))

    task = CodeTask(["apple", "pear"], ["apple apple", "pear pear", "apple pear"])
    found = Candidates(task)
    ours = small_reranker()
    assert found.mrr() == 1
    assert found.mrr(Backwards(ours.model, ours.tokenizer)) == 0.5


def test_the_stored_cross_encoder_is_what_its_log_says():
    assert sum(path.stat().st_size for path in OWN_FOLDER.iterdir()) < 2_000_000
    log = reranker_log()
    assert log[-1]["step"] == PLAN.steps
    assert log[-1]["mrr"] > log[0]["mrr"]
    ours = course_reranker()
    assert ours.model.config == reranker_config(ours.tokenizer.vocab_size)
    expected = scores_of_transformers(OWN_FOLDER, ours)
    torch.testing.assert_close(ours.scores(QUESTION, PASSAGES), expected, rtol=1e-4, atol=1e-4)
