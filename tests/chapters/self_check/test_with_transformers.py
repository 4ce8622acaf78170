"""Writing through transformers gives what the course's own loop writes, text by text."""

import pytest
import torch
from transformers.utils import logging

from course_lib.chapters.self_check.with_transformers import continue_texts, load
from course_lib.checkpoint import load_model, load_tokenizer, save_model, save_tokenizer
from course_lib.model import build_model
from course_lib.model.config import ModelConfig
from course_lib.model.functions import greedy_continuation
from course_lib.tokenization.byte_bpe import ByteBPE

TEXTS = ["a", "the cat sat on the mat, and then the cat", "on the mat"]
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random model whose texts go somewhere, in the layout of the hub."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = ByteBPE.train(["the cat sat on the mat. " * 5], 280, special_tokens=(END,))
    config = ModelConfig(
        model_type="qwen3",
        vocab_size=280,
        max_position_embeddings=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=False,
        qk_norm=True,
    )
    torch.manual_seed(3)
    model = build_model(config)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.4)
    end = tokenizer.special_tokens[END]
    save_model(model, path, {"bos_token_id": end, "eos_token_id": end})
    save_tokenizer(tokenizer, path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return load(folder)


def own(folder, text, new_tokens):
    """Return the ids that the course's own loop writes behind a text."""
    model, tokenizer = load_model(folder, dtype=torch.float32).eval(), load_tokenizer(folder)
    ids = torch.tensor(tokenizer.encode_ordinary(text))
    stop = tokenizer.special_tokens[END]
    with torch.no_grad():
        return greedy_continuation(lambda given: model(given).logits, ids, new_tokens, stop)


@pytest.mark.parametrize("new_tokens", [1, 6])
def test_a_batch_is_written_as_each_text_by_itself(folder, loaded, new_tokens):
    tokenizer = load_tokenizer(folder)
    end = tokenizer.special_tokens[END]
    expected = [
        tokenizer.decode([each for each in own(folder, text, new_tokens) if each != end])
        for text in TEXTS
    ]
    assert continue_texts(*loaded, TEXTS, new_tokens) == expected
    assert len(set(expected)) > 1, "the model tells the texts apart"


def test_neither_padding_nor_prompt_is_part_of_the_answer(loaded):
    alone = [continue_texts(*loaded, [text], 4)[0] for text in TEXTS]
    assert continue_texts(*loaded, TEXTS, 4) == alone
    assert not any(END in text for text in alone)
    assert continue_texts(*loaded, TEXTS[::-1], 4) == alone[::-1]


def test_a_text_that_ends_early_is_shorter_and_the_others_go_on(folder, loaded):
    model, tokenizer = loaded
    ids = own(folder, TEXTS[1], 6)
    other = own(folder, TEXTS[2], 6)
    count = next(k for k in range(1, 6) if ids[k - 1] not in ids[: k - 1] + other)
    last = ids[count - 1]  # from now on it ends a text, and only one of the two has it
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = last
    try:
        short, whole = continue_texts(model, tokenizer, TEXTS[1:], 6)
    finally:
        model.generation_config.eos_token_id = before
    assert short == tokenizer.decode(ids[:count])
    assert whole == continue_texts(model, tokenizer, [TEXTS[2]], 6)[0]


def test_what_is_loaded_is_ready_to_read(loaded):
    model, tokenizer = loaded
    assert model.dtype == torch.float32
    assert not model.training
    assert tokenizer.pad_token == END


@pytest.mark.parametrize("shown", [True, False])
def test_loading_leaves_the_progress_bar_as_it_was(folder, shown, capfd):
    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
    try:
        load(folder)
        assert logging.is_progress_bar_enabled() is shown
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()
    assert "Loading" not in capfd.readouterr().err
