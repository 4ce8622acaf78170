"""Decoding: read the text, choose a token, append it, repeat.

    logits = model(text);  token = choose(logits);  text = text + token

The loop is the same for greedy and for sampled text, for one row and for a batch, all at once or as
a stream. The first pass reads the prompt; every later one reads only the newest token.

Taught in:        generation
Paper:            none
Checked against:  transformers' generate, greedy and sampled; a loop without a cache
Shapes:           B batch, T prompt tokens, N new tokens, V vocabulary
"""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from course_lib.generation.cached_reader import (
    LanguageModel,
    Reader,
    check_padding,
    without_padding,
)
from course_lib.generation.processors import GREEDY, Sampling
from course_lib.generation.sampling import choose
from course_lib.generation.stopping import NEVER, Decode, Stop
from course_lib.tokenization.huggingface import Tokenizer


def generate(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    max_new_tokens: int = 50,
    sampling: Sampling = GREEDY,
    *,
    padding: Bool[Tensor, "..."] | None = None,
    stop: Stop = NEVER,
    pad_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B N"]:
    """Return what the model generates after each row of `ids`, at most `max_new_tokens` tokens.

    `padding` is True where `ids` are real tokens; rows of different length are padded on the left.
    A row that has ended is filled with `pad_id`, by default the first stop id.
    """
    tokens = stream(
        model,
        ids,
        max_new_tokens,
        sampling,
        padding=padding,
        stop=stop,
        pad_id=pad_id,
        generator=generator,
    )
    return torch.stack(list(tokens), dim=1)


def stream(
    model: LanguageModel,
    ids: Int[Tensor, "B T"],
    max_new_tokens: int = 50,
    sampling: Sampling = GREEDY,
    *,
    padding: Bool[Tensor, "..."] | None = None,
    stop: Stop = NEVER,
    pad_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Int[Tensor, " B"]]:
    """Yield the next token of every row as soon as it is chosen; otherwise like `generate`."""
    check_padding(ids, padding)
    _check_count(max_new_tokens)
    batch, prompt = ids.shape
    reader = Reader(model, batch, prompt + max_new_tokens - 1)  # the last token is not read
    text = torch.empty(batch, prompt + max_new_tokens, dtype=torch.long, device=ids.device)
    text[:, :prompt] = without_padding(ids, padding)
    filler = _filler(stop, pad_id)
    ended = torch.zeros(batch, dtype=torch.bool, device=ids.device)
    for end in range(prompt, prompt + max_new_tokens):
        with torch.inference_mode():
            unread = ids if end == prompt else text[:, end - 1 : end]
            logits = reader.read(unread, padding if end == prompt else None)
            token = choose(logits, text[:, :end], sampling, generator)
            text[:, end] = token.masked_fill(ended, filler)
        yield text[:, end].clone()
        if stop != NEVER:
            rows = text[:, prompt : end + 1].tolist()
            ended |= torch.tensor([stop.ended(row) for row in rows], device=ids.device)
            if ended.all():
                return


def stream_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int = 50,
    sampling: Sampling = GREEDY,
    *,
    stop_ids: tuple[int, ...] = (),
    stop_strings: tuple[str, ...] = (),
    generator: torch.Generator | None = None,
) -> Iterator[str]:
    """Yield what the model generates after `prompt`, in pieces that never have to be taken back.

    A character of several tokens is shown once it is complete. A stop string is not shown.
    """
    stop = Stop(stop_ids, stop_strings, tokenizer.decode)
    ids = torch.tensor([tokenizer.encode(prompt)])
    device = model.make_cache(1, 1)[0].keys.device
    tokens = stream(model, ids.to(device), max_new_tokens, sampling, stop=stop, generator=generator)
    yield from text_pieces((int(token) for token in tokens), tokenizer.decode, stop)


def text_pieces(tokens: Iterable[int], decode: Decode, stop: Stop = NEVER) -> Iterator[str]:
    """Yield the text of tokens as they come, in pieces that never have to be taken back."""
    written: list[int] = []
    shown = ""
    for token in tokens:
        if token in stop.ids:
            break
        written.append(token)
        text = stop.shown(decode(written))
        if len(text) > len(shown):
            yield text[len(shown) :]
            shown = text
    rest = decode(written)
    rest = rest[: stop.place_in(rest)]
    if len(rest) > len(shown):
        yield rest[len(shown) :]


def _filler(stop: Stop, pad_id: int | None) -> int:
    if pad_id is not None:
        return pad_id
    return stop.ids[0] if stop.ids else 0


def _check_count(max_new_tokens: int) -> None:
    if max_new_tokens < 1:
        raise ValueError(
            f"max_new_tokens must be at least 1; got {max_new_tokens}. It counts new "
            "tokens, not those of the prompt."
        )
