"""Beam search next to transformers' and next to a search through all texts."""

import itertools

import pytest
import torch

from course_lib.device import seeded
from course_lib.generation import (
    Sampling,
    Stop,
    beam_search,
    best_extensions,
    generate,
    left_pad,
)
from course_lib.generation.beam import Beams

N, PAD = 10, 60
ROWS = [[5, 9, 2, 7, 7, 1], [3], [8, 0, 4]]


def likely_ends(model, ids):
    """Return ids that the beams are likely to meet, so that some texts end early."""
    return tuple({int(i) for i in generate(model, ids, 4).flatten()[[2, 5, 7]]})


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.5])
@pytest.mark.parametrize("num_beams", [1, 2, 4])
def test_is_that_of_transformers(
    model, their_generate, ids, num_beams, length_penalty, early_stopping
):
    for ends in (likely_ends(model, ids)[:1], likely_ends(model, ids)):
        settings = {"eos_token_id": list(ends)} if ends else {}
        if num_beams > 1:
            settings |= {"length_penalty": length_penalty, "early_stopping": early_stopping}
        expected = their_generate(ids, max_new_tokens=N, num_beams=num_beams, **settings)
        ours = beam_search(
            model,
            ids,
            N,
            num_beams,
            length_penalty,
            early_stopping=early_stopping,
            stop=Stop(ids=ends),
            pad_id=PAD,
        )
        assert torch.equal(ours.ids, expected), ends


def test_without_an_end_it_goes_to_the_last_token(model, their_generate, ids):
    expected = their_generate(ids, max_new_tokens=N, num_beams=3)
    assert torch.equal(beam_search(model, ids, N, 3).ids, expected)


def test_scores_are_theirs(model, theirs, ids):
    expected = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=N,
        do_sample=False,
        num_beams=3,
        length_penalty=0.7,
        return_dict_in_generate=True,
        output_scores=True,
        pad_token_id=PAD,
    )
    ours = beam_search(model, ids, N, 3, length_penalty=0.7)
    torch.testing.assert_close(ours.scores, expected.sequences_scores, rtol=1e-5, atol=1e-5)


def test_left_padded_rows(model, their_generate):
    ids, padding = left_pad(ROWS)
    ours = beam_search(model, ids, N, 3, padding=padding).ids
    assert torch.equal(ours, their_generate(ids, padding, max_new_tokens=N, num_beams=3))
    alone = [beam_search(model, torch.tensor([row]), N, 3).ids for row in ROWS]
    assert torch.equal(ours, torch.cat(alone))


def test_with_a_repetition_penalty(model, their_generate, ids):
    settings = Sampling(0.0, repetition_penalty=1.4)
    expected = their_generate(ids, max_new_tokens=N, num_beams=3, repetition_penalty=1.4)
    assert torch.equal(beam_search(model, ids, N, 3, sampling=settings).ids, expected)


def test_one_beam_is_greedy_and_more_find_better(model, ids):
    greedy = beam_search(model, ids, N, 1, length_penalty=0.0)
    assert torch.equal(greedy.ids, generate(model, ids, N))
    wide = beam_search(model, ids, N, 8, length_penalty=0.0)
    assert (wide.scores >= greedy.scores).all()
    assert (wide.scores > greedy.scores).any()


@torch.no_grad()
def log_probability(model, ids, text):
    whole = torch.cat((ids, torch.tensor([text])), dim=1)
    p = model(whole).logits.log_softmax(-1)[0, ids.shape[1] - 1 : -1]
    return p.gather(1, torch.tensor(text)[:, None]).sum().item()


def test_a_wide_beam_finds_the_best_of_all_texts(make_pair):
    _, model = make_pair(seed=3, vocab_size=5)
    ids = torch.tensor([[1, 4]])
    texts = {t: log_probability(model, ids, t) for t in itertools.product(range(5), repeat=3)}
    best = max(texts, key=texts.get)
    found = beam_search(model, ids, 3, num_beams=25, length_penalty=0.0)
    assert found.ids.tolist() == [list(best)]
    assert found.scores.item() == pytest.approx(texts[best], abs=1e-5)


def test_the_best_extensions_by_hand():
    scores = torch.tensor([[-1.0, -2.0]])
    logs = torch.tensor([[[-3.0, -0.5, -4.0], [-0.25, -6.0, -1.0]]])
    best, parents, tokens = best_extensions(scores, logs, 4)
    assert best.tolist() == [[-1.5, -2.25, -3.0, -4.0]]
    assert parents.tolist() == [[0, 1, 1, 0]]
    assert tokens.tolist() == [[1, 0, 2, 0]]


def test_the_steps_lead_to_the_text(model, ids):
    found = beam_search(model, ids[:1], 6, 4)
    assert isinstance(found, Beams)
    assert len(found.steps) == 6
    texts = {}
    for beam in range(4):
        text, at = [], beam
        for step in reversed(found.steps):
            text.insert(0, int(step.tokens[0, at]))
            at = int(step.parents[0, at])
        texts[tuple(text)] = None
    assert len(texts) == 4
    assert all((step.scores.diff(dim=1) <= 0).all() for step in found.steps)
    first = found.steps[0]
    best = model(ids[:1]).logits[0, -1].log_softmax(-1).topk(4)
    assert first.tokens[0].tolist() == best.indices.tolist()
    torch.testing.assert_close(first.scores[0], best.values)


def test_a_length_penalty_above_zero_favours_longer_texts(model):
    ids = torch.randint(61, (6, 5), generator=seeded(2))
    ends = Stop(ids=tuple(range(0, 61, 6)))
    lengths = []
    for penalty in (-2.0, 0.0, 3.0):
        found = [beam_search(model, row[None], N, 4, penalty, stop=ends).ids for row in ids]
        lengths.append(sum(text.shape[1] for text in found))
    assert lengths[0] <= lengths[1] < lengths[2]


def test_errors(model, ids):
    with pytest.raises(ValueError, match=r"num_beams.*\b0 .*max_new_tokens.*\b3\b"):
        beam_search(model, ids, 3, 0)
