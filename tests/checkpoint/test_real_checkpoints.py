"""Checkpoints as published, next to transformers: small ones made here, real ones with --network.

Both go through the same assertions. The small ones have the files, keys, tensor names and types of
the real ones; what only real weights can show is left to the option.
"""

import pytest
import torch
import torch.nn.functional as F
import transformers

from course_lib.checkpoint import load_model, load_tokenizer, local_folder, save_model

TEXT = "It's 1984 in Tōkyō: 東京は日本の首都です。\n\ndef derivative(f, x, h=1e-6):\n    return"
SMALL = ["gpt2", "smollm2", "qwen3"]
REAL = ["openai-community/gpt2", "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-0.6B"]
FETCHED = [pytest.mark.network, pytest.mark.timeout(3600)]
EVERY = [*SMALL, *(pytest.param(name, marks=FETCHED) for name in REAL)]
SMOLLM2 = EVERY[-2]  # splits digits in a step of its own, which is not read here


@pytest.fixture(scope="module", params=EVERY)
def folder(request, published):
    """Return the folder of a checkpoint."""
    small = request.param in SMALL
    return published(request.param) if small else local_folder(request.param, download=True)


@pytest.fixture(scope="module")
def checkpoint(folder):
    """Return the folder of a checkpoint, the reference, and our model of the same weights."""
    reference = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return folder, reference.eval(), load_model(folder, torch.float32)


def text_ids(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return torch.tensor([tokenizer.encode(TEXT, add_special_tokens=False)])


@pytest.mark.parametrize("folder", [each for each in EVERY if each != SMOLLM2], indirect=True)
def test_tokenizer(folder):
    assert [load_tokenizer(folder).encode(TEXT)] == text_ids(folder).tolist()


def test_logits_and_gradients(checkpoint):
    folder, reference, model = checkpoint
    ids = text_ids(folder)
    gradients = []
    expected, found = reference(ids).logits, model(ids).logits
    # float32 keeps 7 digits, and these scores are in the tens and hundreds
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    for each, logits in ((reference, expected), (model, found)):
        F.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()
        gradients.append(each.get_parameter(table_of(each)).grad)
        each.zero_grad(set_to_none=True)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-4 * gradients[0].abs().max().item())


def table_of(model):
    return next(name for name, _ in model.named_parameters() if "wte" in name or "embed" in name)


@torch.no_grad()
def test_greedy_continuation(checkpoint):
    folder, reference, model = checkpoint
    ids, count = text_ids(folder), 64 if model.config.vocab_size > 10_000 else 12
    expected = reference.generate(
        ids, do_sample=False, max_new_tokens=count, min_new_tokens=count, pad_token_id=0
    )
    stop = torch.tensor(reference.generation_config.eos_token_id).flatten()
    for cached in (True, False):
        cache = model.make_cache(1, ids.shape[1] + count) if cached else None
        text = new = ids
        for _ in range(count):
            logits = model(new if cached else text, cache=cache, last_only=True).logits
            logits[..., stop] = -torch.inf  # as min_new_tokens does
            new = logits[:, -1].argmax(-1, keepdim=True)
            text = torch.cat((text, new), 1)
        assert text.tolist() == expected.tolist(), f"cached: {cached}"


def test_round_trip(checkpoint, tmp_path):
    _, reference, model = checkpoint
    save_model(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    expected = reference.state_dict()
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
