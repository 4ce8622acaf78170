"""The same identities on trained weights, where scores are neither random nor far apart."""

import pytest
import torch
import transformers

from course_lib.generation import (
    FusedDecoder,
    Sampling,
    beam_search,
    first_layers,
    generate,
    left_pad,
    speculative_generate,
)
from course_lib.pretrained import FOLDER, course_model, course_tokenizer

N = 20
TEXTS = ("The function returns a new", "import os\n\ndef ", "for name in")


@pytest.fixture(scope="module")
def theirs():
    transformers.logging.disable_progress_bar()
    found = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    transformers.logging.enable_progress_bar()
    return found.eval()


@pytest.fixture(scope="module")
def batch():
    return left_pad([course_tokenizer().encode(text) for text in TEXTS], pad_id=0)


def test_greedy_beams_and_penalty_are_those_of_transformers(theirs, batch):
    ids, padding = batch
    model, start = course_model(), ids.shape[1]
    fixed = {"attention_mask": padding.long(), "max_new_tokens": N, "do_sample": False}
    fixed |= {"pad_token_id": 0, "eos_token_id": None}
    pairs = (
        ({}, generate(model, ids, N, padding=padding)),
        (
            {"repetition_penalty": 1.3},
            generate(model, ids, N, Sampling(0.0, repetition_penalty=1.3), padding=padding),
        ),
        ({"num_beams": 4}, beam_search(model, ids, N, 4, padding=padding).ids),
    )
    for settings, ours in pairs:
        assert torch.equal(theirs.generate(ids, **fixed, **settings)[:, start:], ours), settings


def test_cached_drafted_and_fused_text_is_the_same(batch):
    model = course_model()
    ids = torch.tensor([course_tokenizer().encode(TEXTS[0])])
    alone = generate(model, ids, N)
    text = ids
    with torch.no_grad():
        for _ in range(N):
            text = torch.cat((text, model(text).logits[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(text[:, ids.shape[1] :], alone)
    drafted = speculative_generate(model, first_layers(model, 2), ids, N, draft_tokens=3)
    assert torch.equal(drafted.ids, alone)
    assert drafted.passes < N
    ids, padding = batch
    expected = generate(model, ids, N, padding=padding)
    assert torch.equal(generate(FusedDecoder(model), ids, N, padding=padding), expected)
