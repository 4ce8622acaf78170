"""The loop: greedy text next to transformers', with and without padding, cache and stops."""

import pytest
import torch
from transformers import PreTrainedTokenizerFast, StoppingCriteriaList
from transformers.generation import StopStringCriteria

from course_lib.checkpoint import save_tokenizer
from course_lib.device import seeded
from course_lib.generation import (
    GREEDY,
    NO_TOKEN,
    Reader,
    Sampling,
    Stop,
    generate,
    left_pad,
    most_tokens_per_second,
    stream,
    stream_text,
    tokens_through_layers,
)
from course_lib.generation.cached_reader import without_padding
from course_lib.model import GPT2, ModelConfig
from course_lib.tokenization.byte_bpe import ByteBPE

N = 16
ROWS = [[5, 9, 2, 7, 7, 1], [3], [8, 0, 4]]


@torch.no_grad()
def without_cache(model, ids, count):
    """Return the greedy text of one row, everything computed again for each token."""
    text = ids
    for _ in range(count):
        text = torch.cat((text, model(text).logits[:, -1:].argmax(-1)), dim=1)
    return text[:, ids.shape[1] :]


class TestGreedy:
    def test_is_that_of_transformers(self, model, their_generate, ids):
        assert torch.equal(generate(model, ids, N), their_generate(ids, max_new_tokens=N))

    def test_with_a_repetition_penalty(self, model, their_generate, ids):
        expected = their_generate(ids, max_new_tokens=N, repetition_penalty=1.7)
        ours = generate(model, ids, N, Sampling(0.0, repetition_penalty=1.7))
        assert torch.equal(ours, expected)
        assert not torch.equal(ours, generate(model, ids, N))

    def test_is_that_without_a_cache(self, model, ids):
        assert torch.equal(generate(model, ids[:1], N), without_cache(model, ids[:1], N))

    def test_left_padded_rows_are_those_alone(self, model, their_generate):
        ids, padding = left_pad(ROWS, pad_id=0)
        together = generate(model, ids, N, padding=padding)
        assert torch.equal(together, their_generate(ids, padding, max_new_tokens=N))
        for row, text in zip(ROWS, together, strict=True):
            assert torch.equal(generate(model, torch.tensor([row]), N)[0], text)
        assert not torch.equal(together, generate(model, ids, N))  # padding read as text

    def test_padding_is_not_repetition(self, model, their_generate):
        ids, padding = left_pad(ROWS, pad_id=6)
        penalised = Sampling(0.0, repetition_penalty=1.5)
        ours = generate(model, ids, N, penalised, padding=padding)
        expected = their_generate(ids, padding, max_new_tokens=N, repetition_penalty=1.5)
        assert torch.equal(ours, expected)

    def test_learned_positions(self):
        shape = {"vocab_size": 31, "hidden_size": 24, "intermediate_size": 40, "head_dim": 6}
        heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
        torch.manual_seed(0)
        gpt = GPT2(
            ModelConfig(
                **shape,
                **heads,
                max_position_embeddings=40,
                model_type="gpt2",
                hidden_act="gelu_new",
                qk_norm=False,
            )
        ).eval()
        for parameter in gpt.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
        ids, padding = left_pad(ROWS)
        together = generate(gpt, ids, 12, padding=padding)
        for row, text in zip(ROWS, together, strict=True):
            assert torch.equal(without_cache(gpt, torch.tensor([row]), 12)[0], text)


class TestSampling:
    def test_a_seed_repeats_a_text_and_a_stream_is_the_same_text(self, model, ids):
        settings = Sampling(1.3, top_k=20)
        text = generate(model, ids, N, settings, generator=seeded(0))
        assert torch.equal(text, generate(model, ids, N, settings, generator=seeded(0)))
        assert not torch.equal(text, generate(model, ids, N, settings, generator=seeded(1)))
        parts = stream(model, ids, N, settings, generator=seeded(0))
        assert torch.equal(torch.stack(list(parts), 1), text)

    def test_only_kept_tokens_are_drawn(self, model, ids):
        first = model(ids).logits[:, -1].topk(2).indices
        for seed in range(10):
            drawn = generate(model, ids, 1, Sampling(5.0, top_k=2), generator=seeded(seed))
            assert (drawn == first).any(1).all()

    def test_what_is_yielded_can_be_learned_from(self, model, ids):
        tokens = next(stream(model, ids))
        table = torch.zeros(model.config.vocab_size, 2, requires_grad=True)
        table[tokens].sum().backward()  # saves the ids: an inference tensor could not be saved
        counts = tokens.flatten().bincount(minlength=len(table)).float()
        assert torch.equal(table.grad, counts[:, None].expand(-1, 2))


class TestStopping:
    def test_ids_end_rows_one_by_one(self, model, their_generate, ids):
        free = generate(model, ids, N)
        ends = (int(free[0, 3]), int(free[1, 6]))
        ours = generate(model, ids, N, stop=Stop(ids=ends), pad_id=60)
        expected = their_generate(ids, max_new_tokens=N, eos_token_id=list(ends))
        assert torch.equal(ours, expected)
        assert ours[0].tolist()[4:] == [60] * (ours.shape[1] - 4)
        filled = generate(model, ids, N, stop=Stop(ids=ends))
        assert filled[0, 4] == ends[0]

    def test_all_rows_ended_is_the_end(self, model, ids):
        first = int(generate(model, ids[:1], 1))
        assert generate(model, ids[:1], N, stop=Stop(ids=(first,))).shape == (1, 1)

    def test_strings_end_where_transformers_ends(self, writer):
        tokenizer, theirs, model, other = writer
        ids = torch.tensor([tokenizer.encode("no one knows")])
        free = generate(model, ids, N)[0].tolist()
        tried = 0
        for start in range(2, 8):
            string = tokenizer.decode(free[start : start + 2])[-2:]
            if "\ufffd" in string:
                continue
            tried += 1
            stop = Stop(strings=(string,), decode=tokenizer.decode)
            expected = theirs.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=N,
                do_sample=False,
                pad_token_id=0,
                stopping_criteria=StoppingCriteriaList([StopStringCriteria(other, [string])]),
            )
            ours = generate(model, ids, N, stop=stop)
            assert torch.equal(ours, expected[:, ids.shape[1] :])
            text = tokenizer.decode(ours[0].tolist())
            shown = "".join(
                stream_text(
                    model, tokenizer, "no one knows", N, stop_strings=(string,), sampling=GREEDY
                )
            )
            assert shown == text[: text.index(string)]
        assert tried >= 2


@pytest.fixture(scope="module")
def writer(tmp_path_factory, make_pair):
    """Return a tokenizer and a model that writes in it, ours and transformers'."""
    tokenizer = ByteBPE.train(["no one knows what no one can know. naïve cafés, naïve. " * 5], 300)
    theirs, model = make_pair(vocab_size=len(tokenizer.tokens))
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(tokenizer, folder)
    other = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    return tokenizer, theirs, model, other


class TestText:
    def test_pieces_are_the_text(self, writer):
        tokenizer, _, model, _ = writer
        for seed in range(3):
            pieces = list(
                stream_text(model, tokenizer, "no", N, Sampling(1.5), generator=seeded(seed))
            )
            ids = torch.tensor([tokenizer.encode("no")])
            text = generate(model, ids, N, Sampling(1.5), generator=seeded(seed))
            assert "".join(pieces) == tokenizer.decode(text[0].tolist())
            assert all(pieces)

    def test_a_stop_id_is_not_shown(self, writer):
        tokenizer, _, model, _ = writer
        ids = torch.tensor([tokenizer.encode("no")])
        free = generate(model, ids, N)[0].tolist()
        end = free[4]
        pieces = stream_text(model, tokenizer, "no", N, stop_ids=(end,))
        assert "".join(pieces) == tokenizer.decode(free[: free.index(end)])


class TestReader:
    def test_parts_of_a_text_are_the_text(self, model, ids):
        with torch.inference_mode():
            reader = Reader(model, 3, 9)
            first = reader.read(ids[:, :4])
            rest = reader.read_all(ids[:, 4:])
            whole = model(ids).logits
        torch.testing.assert_close(first, whole[:, 3])
        torch.testing.assert_close(rest, whole[:, 4:])
        assert reader.length == 9

    def test_forgetting_and_changing_rows(self, model):
        ids, padding = left_pad(ROWS)
        with torch.inference_mode():
            reader = Reader(model, 3, 12)
            reader.read(ids, padding)
            expected = reader.read(torch.tensor([[1], [2], [3]]))
            reader.truncate(6)
            reader.read(torch.tensor([[9], [9], [9]]))
            reader.truncate(6)
            reader.select_rows(torch.tensor([2, 0, 1]))
            again = reader.read(torch.tensor([[3], [1], [2]]))
        torch.testing.assert_close(again, expected[[2, 0, 1]])

    def test_padding_may_begin_late(self, model):
        with torch.inference_mode():
            reader = Reader(model, 2, 6)
            reader.read(torch.tensor([[1, 2], [3, 4]]))
            padding = torch.tensor([[False, True], [True, True]])
            late = reader.read(torch.tensor([[0, 7], [5, 7]]), padding)
            expected = [
                model(torch.tensor([row])).logits[:, -1] for row in ([1, 2, 7], [3, 4, 5, 7])
            ]
        torch.testing.assert_close(late, torch.cat(expected))


def test_left_pad_by_hand():
    ids, padding = left_pad([[4, 5, 6], [7]], pad_id=9)
    assert ids.tolist() == [[4, 5, 6], [9, 9, 7]]
    assert padding.tolist() == [[True, True, True], [False, False, True]]
    assert without_padding(ids, padding).tolist() == [[4, 5, 6], [NO_TOKEN, NO_TOKEN, 7]]


def test_what_passes_through_the_layers_by_hand():
    assert tokens_through_layers(3, 4, cached=False) == 3 + 4 + 5 + 6
    assert tokens_through_layers(3, 4, cached=True) == 3 + 1 + 1 + 1
    assert most_tokens_per_second(8 * 10**9, 2, 160e9) == 10.0


class TestErrors:
    def test_padding(self, model, ids):
        right = torch.ones(3, 9, dtype=torch.bool)
        right[1, -2:] = False
        with pytest.raises(ValueError, match=r"left.*False.*True"):
            generate(model, ids, 2, padding=right)
        with pytest.raises(ValueError, match=r"shape.*\(3, 9\).*\(3, 8\)"):
            generate(model, ids, 2, padding=right[:, :8])
        holes = torch.ones(3, 9, dtype=torch.bool)
        holes[0, 4] = False
        with pytest.raises(ValueError, match="left_pad"):
            generate(model, ids, 2, padding=holes)

    def test_nothing_to_read_or_write(self, model, ids):
        with pytest.raises(ValueError, match=r"one token.*none"):
            generate(model, ids[:, :0], 2)
        with pytest.raises(ValueError, match=r"max_new_tokens.*\b1\b.*\b0\b"):
            generate(model, ids, 0)
        with pytest.raises(ValueError, match=r"\[2, 0\]"):
            left_pad([[1, 2], []])
