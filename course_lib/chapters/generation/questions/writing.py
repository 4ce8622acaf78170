"""Questions on decoding: the cache, prefill and decode, padding, stopping."""

import random
from typing import Any

from course_lib.generation import most_tokens_per_second, tokens_through_layers
from course_lib.study.ask.question import Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


def _draw_lengths(rng: random.Random) -> dict[str, Any]:
    return {"prompt": rng.choice([20, 50, 100, 200]), "new": rng.choice([10, 20, 40, 80])}


def _tokens_without_cache(prompt: int, new: int) -> float:
    return float(tokens_through_layers(prompt, new, cached=False))


def _times_as_many(prompt: int, new: int) -> float:
    return _tokens_without_cache(prompt, new) / tokens_through_layers(prompt, new, cached=True)


RECOMPUTED = Numeric(
    id="generation.recomputed",
    prompt="{new} tokens are generated after a prompt of {prompt} tokens. How many times as many "
    "tokens pass through the layers without a cache as with one?",
    draw=_draw_lengths,
    answer=_times_as_many,
    explain=lambda prompt, new: (
        f"Without a cache the first pass reads {prompt} tokens, the last one {prompt + new - 1}: "
        f"{new} · ({prompt} + {prompt + new - 1}) / 2 = {_tokens_without_cache(prompt, new):.0f}. "
        f"With a cache each token passes once, {prompt + new - 1} in all. The ratio is "
        f"{_times_as_many(prompt, new):.4g}."
    ),
    slips=(
        Slip(
            "not divided",
            _tokens_without_cache,
            "That is how many pass without a cache. Divide by how many pass with one.",
        ),
        Slip(
            "the number of passes",
            lambda prompt, new: float(new),
            "The passes get longer, and with a cache the prompt passes once as well, so the ratio "
            "is not one for each new token.",
        ),
        Slip(
            "the prompt each time",
            lambda prompt, new: prompt * new / (prompt + new - 1),
            "The text grows: without a cache the passes read prompt, prompt + 1, prompt + 2, … "
            "tokens.",
        ),
    ),
)


SAVED = SeveralAnswers(
    id="generation.what_a_cache_saves",
    prompt="A dense model with a KV cache generates its 500th token at batch 1. What does this "
    "step still do?",
    options=(
        Option(
            "It fetches the weights of every layer.",
            True,
            "the new token is multiplied with every matrix, and each has to come from memory; a "
            "mixture of experts would fetch only the experts that the token uses.",
        ),
        Option(
            "It reads the keys and values of all earlier tokens.",
            True,
            "they are not computed again, but the new query attends to each of them.",
        ),
        Option(
            "It computes one new key and one new value in each layer and key/value head.",
            True,
            "those of the newest token; they are appended to the cache.",
        ),
        Option(
            "It computes the keys of the earlier tokens again.",
            False,
            "they never change, since no token attends to later ones: that is why they can be "
            "cached.",
        ),
        Option(
            "It takes as long as the first step, whatever the length of the text.",
            False,
            "the part that reads keys and values grows with the text.",
        ),
    ),
)


def _draw_machine(rng: random.Random) -> dict[str, Any]:
    return {
        "billions": rng.choice([1, 3, 7, 8, 14, 32]),
        "bandwidth": rng.choice([50, 100, 400, 1000, 3000]),
    }


def _fastest(billions: int, bandwidth: int) -> float:
    return most_tokens_per_second(billions * 10**9, 2, bandwidth * 1e9)


BANDWIDTH = Numeric(
    id="generation.bandwidth",
    prompt="A dense model has {billions} billion parameters of 2 bytes each. The memory bandwidth "
    "is {bandwidth} GB (10^9 bytes) per second. Ignoring caches and everything else: at most how "
    "many tokens per second can be generated at batch 1?",
    draw=_draw_machine,
    answer=_fastest,
    explain=lambda billions, bandwidth: (
        f"Each token needs every weight once: {2 * billions} GB. {bandwidth} / {2 * billions} = "
        f"{_fastest(billions, bandwidth):.4g} tokens per second, however fast the arithmetic is."
    ),
    unit="tokens/s",
    slips=(
        Slip(
            "one byte each",
            lambda billions, bandwidth: bandwidth / billions,
            "You counted one byte for each parameter; here it is two.",
        ),
        Slip(
            "two passes",
            lambda billions, bandwidth: bandwidth / (4 * billions),
            "You counted the weights twice. 2 operations for each parameter, but one transfer.",
        ),
    ),
)


LEFT = OneAnswer(
    id="generation.left",
    prompt="Prompts of different length are continued in one batch. Why is the padding "
    "on the left?",
    options=(
        Option(
            "So that the last column is the newest token of every row.",
            True,
            "the logits of the next token come from the last column, and new tokens are appended "
            "in one column for all rows.",
        ),
        Option(
            "Because a causal mask hides what is on the left.",
            False,
            "it hides what is on the right. Padding on the left is attended to unless a second "
            "mask hides it.",
        ),
        Option(
            "So that all real tokens have the same positions in every row.",
            False,
            "on the contrary: columns and positions now differ from row to row, and positions have "
            "to be counted.",
        ),
        Option(
            "Because training pads on the left as well.",
            False,
            "training usually pads on the right, or packs texts without padding. It uses the "
            "logits of all positions.",
        ),
    ),
)


STOP_STRING = OneAnswer(
    id="generation.stop_string",
    prompt="A text is streamed token by token and must end before the string `User:`. The tokens "
    "`Us` and `er:` arrive one after the other. What must the stream do?",
    options=(
        Option(
            "Hold back `Us` until it is clear that it does not become `User:`.",
            True,
            "what was shown cannot be taken back, so an ending that may be the start of the stop "
            "string is held back.",
        ),
        Option(
            "Compare each token with `User:` and stop at the one that equals it.",
            False,
            "no token equals it here. A string can end inside a token, so the decoded text is "
            "searched.",
        ),
        Option(
            "Encode `User:` and stop when these ids appear.",
            False,
            "the same string can be split into tokens in several ways: its start may be the end of "
            "a longer token.",
        ),
        Option(
            "Show `Us` and remove it afterwards.",
            False,
            "the user may have read it, or a program may have acted on it.",
        ),
    ),
)
