"""Scores of text and of heads, next to one long window and to planted models."""

import math
from dataclasses import replace

import pytest
import torch

from course_lib.device import seeded
from course_lib.information import bits_per_byte
from course_lib.model import DecoderLM, Output
from course_lib.softmax import log_softmax
from course_lib.training.evaluation import (
    PROBE_PERIODS,
    probe_repeats,
    text_bits_per_byte,
    token_log_probabilities,
)

IDS = torch.randint(100, (50,), generator=seeded(0)).tolist()


def in_one_window(model, ids, separator):
    row = torch.tensor([separator, *ids])
    with torch.no_grad():
        log_p = log_softmax(model(row[None, :-1]).logits[0])
    return log_p.gather(-1, row[1:, None]).squeeze(-1)


def test_a_short_text_is_one_window(tiny):
    model = tiny("qwen3")
    found = token_log_probabilities(model, IDS, separator=100)
    torch.testing.assert_close(found, in_one_window(model, IDS, 100))


@pytest.mark.parametrize("context", [8, 9, 31, 49, 50])
def test_windows_score_every_token_once_with_half_a_context(tiny, context):
    model = tiny("qwen3")
    found = token_log_probabilities(model, IDS, separator=100, context=context)
    assert found.shape == (50,)
    exact = in_one_window(model, IDS, 100)
    torch.testing.assert_close(found[:context], exact[:context])
    for place in range(context, 50):
        # Each later token was scored in a window of its own; find it among the possible ones.
        row = [100, *IDS]
        windows = [
            in_one_window(model, row[start + 1 : place + 2], row[start])[-1]
            for start in range(place + 1 - context, place + 2 - context // 2)
        ]
        assert min((found[place] - each).abs() for each in windows) < 1e-5


def test_bits_per_byte_counts_bytes_not_letters(tiny):
    model = tiny("qwen3")
    nats = -in_one_window(model, IDS, 100).mean().item()
    found = text_bits_per_byte(model, "ä" * 30, IDS, separator=100)
    assert found == pytest.approx(bits_per_byte(nats, 50, 60))
    assert found == pytest.approx(nats * 50 / 60 / math.log(2), rel=1e-5)


def test_an_untrained_model_cannot_predict_repeats(tiny):
    probe = probe_repeats(tiny("qwen3", hidden_size=16), rows=2, length=96)
    assert probe.loss > 3.5
    assert probe.previous.shape == probe.induction.shape == (3, 6)
    assert probe.induction.max() < 0.3


class LooksUp(DecoderLM):
    """Reads just what followed the last time, and foretells it."""

    def forward(self, ids, **_):
        weights = torch.zeros(len(ids), 1, ids.shape[1], ids.shape[1])
        logits = torch.zeros(len(ids), ids.shape[1], self.config.vocab_size)
        for row, text in enumerate(ids.tolist()):
            for here, token in enumerate(text):
                source = max((t + 1 for t in range(here) if text[t] == token), default=here)
                weights[row, 0, here, source] = 1.0
                logits[row, here, text[source]] = 50.0
        return Output(logits, attentions=(weights,))


def test_a_model_that_looks_up_scores_one(tiny):
    # So many ids that hardly any is drawn twice: what follows the last time is what follows.
    config = replace(tiny("qwen3").config, vocab_size=100_000)
    probe = probe_repeats(LooksUp(config), rows=1, length=max(PROBE_PERIODS) * 2)
    assert probe.loss == pytest.approx(0.0, abs=1e-3)
    assert probe.induction.item() == pytest.approx(1.0)
    assert probe.previous.item() == 0.0


def test_nothing_to_score_is_an_error(tiny):
    with pytest.raises(ValueError, match="there must be tokens to score"):
        token_log_probabilities(tiny("qwen3"), [], separator=0)
