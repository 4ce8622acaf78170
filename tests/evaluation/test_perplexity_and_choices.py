"""Windows and choices beside passes over each token or answer alone."""

import math

import pytest
import torch

from course_lib.evaluation import (
    NORMALISATIONS,
    ScoredChoice,
    continuation_log_probabilities,
    perplexity,
    picked,
    score_choices,
    scoring_windows,
    sliding_losses,
    text_bits,
)
from course_lib.evaluation.choices import split_ids
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.pretrained import course_model, course_tokenizer


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    config = ModelConfig(11, 8, 12, 2, 2, 1, 4, 16)
    return build_model(config).eval()


def log_p(model: DecoderLM, ids):
    """Return the log-probability of the last id after the others, in a pass of its own."""
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]])).logits[0, -1].double()
    return torch.log_softmax(logits, -1)[ids[-1]].item()


@pytest.mark.parametrize(("window", "stride"), [(6, 2), (6, 5), (4, 1), (16, 8), (5, 3)])
def test_sliding_losses_equal_each_token_alone(small, window, stride):
    ids = torch.randint(11, (15,), generator=torch.Generator().manual_seed(window)).tolist()
    found = sliding_losses(small, torch.tensor(ids), window, stride)
    expected = []
    for begin, scored, end in scoring_windows(len(ids), window, stride):
        assert end - begin == min(window, 15)
        expected += [-log_p(small, ids[begin : place + 1]) for place in range(scored, end)]
    assert found.tolist() == pytest.approx(expected, abs=1e-5)
    assert len(found) == 14


def test_every_token_is_scored_once():
    for length in range(2, 30):
        for window in range(2, 8):
            for stride in range(1, window):
                found = scoring_windows(length, window, stride)
                places = [i for _, scored, end in found for i in range(scored, end)]
                assert places == list(range(1, length))


def test_perplexity_by_hand():
    losses = [math.log(2), math.log(8)]
    assert perplexity(losses) == pytest.approx(4)
    assert text_bits(losses) == pytest.approx(4)


def test_continuations_equal_tokens_one_by_one(small):
    contexts, parts = (
        [[1, 2, 3], [4], [5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8], [1, 2]],
        [[4], [5, 6], [9] * 9, [3, 4] * 8],
    )
    found = continuation_log_probabilities(small, contexts, parts)
    for context, part, value in zip(contexts, parts, found, strict=True):
        row = [*context, *part][-17:]  # 16 tokens are read
        alone = [log_p(small, row[: i + 1]) for i in range(len(row) - len(part), len(row))]
        assert value == pytest.approx(sum(alone), abs=1e-4)
    with pytest.raises(ValueError, match="got 17"):
        continuation_log_probabilities(small, [[1]], [[2] * 17])


def test_context_and_answer_are_tokenised_together():
    tokenizer = course_tokenizer()
    before, answer = split_ids(tokenizer, "import ", "os\n")
    assert tokenizer.decode(answer) == " os\n"
    assert before + answer == tokenizer.encode("import os\n")


def test_scored_choices():
    model, tokenizer = course_model(), course_tokenizer()
    answers = [" self", " banana boat"]
    found = score_choices(model, tokenizer, "def read(", answers)
    for answer, each in zip(answers, found, strict=True):
        before, ids = split_ids(tokenizer, "def read(", answer)
        assert (each.tokens, each.bytes) == (len(ids), len(answer))
        row = before + ids
        total = sum(log_p(model, row[: i + 1]) for i in range(len(before), len(row)))
        assert each.total == pytest.approx(total, abs=1e-3)
    assert found[0].total > found[1].total


def test_normalisations_by_hand():
    short, long = ScoredChoice(-4.0, 1, 2, -1.0), ScoredChoice(-6.0, 3, 12, -5.0)
    found = {name: picked([short, long], name) for name in NORMALISATIONS}
    assert found == {"sum": 0, "per byte": 1, "over prior": 1}
    assert picked([short, short]) == 0


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: scoring_windows(1, 4, 2), "length=1"),
        (lambda: scoring_windows(9, 4, 4), "stride=4"),
        (lambda: perplexity([]), "0"),
        (lambda: picked([ScoredChoice(0.0, 1, 1)], "mean"), "'mean'"),
        (lambda: picked([]), "choices"),
        (lambda: score_choices(course_model(), course_tokenizer(), "a", []), "'a'"),
        (lambda: continuation_log_probabilities(course_model(), [[1]], [[2] * 257]), "257"),
        (lambda: continuation_log_probabilities(course_model(), [[]], [[2]]), "one token"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()
