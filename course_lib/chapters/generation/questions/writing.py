"""Questions on writing: the cache, prefill and decode, padding, stopping."""

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
    prompt="Behind a prompt of {prompt} tokens {new} tokens are written. How many times as many "
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
            "The passes get longer, and with a cache the prompt has to pass once as well, so it is "
            "not one for each new token.",
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
    prompt="A model with a KV cache writes its 500th token. What does this step still do?",
    options=(
        Option(
            "It fetches every weight of the model.",
            True,
            "the new token passes through every matrix, and all of it has to come from memory.",
        ),
        Option(
            "It reads the keys and values of all earlier tokens.",
            True,
            "they are not computed again, but the new query is compared with each key.",
        ),
        Option(
            "It computes one new key and one new value in each layer and key/value head.",
            True,
            "those of the token written last; they are put behind the others.",
        ),
        Option(
            "It computes the keys of the earlier tokens again.",
            False,
            "those never change, since no token reads what comes after it: that is why they can be "
            "kept.",
        ),
        Option(
            "It takes as long as the first step after an empty prompt, whatever the length.",
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
    prompt="A dense model has {billions} billion parameters of 2 bytes each. The memory delivers "
    "{bandwidth} GB (10^9 bytes) in a second. Caches and everything else aside: how many tokens "
    "in a second can be written at most, at batch 1?",
    draw=_draw_machine,
    answer=_fastest,
    explain=lambda billions, bandwidth: (
        f"Each token needs every weight once: {2 * billions} GB. {bandwidth} / {2 * billions} = "
        f"{_fastest(billions, bandwidth):.4g} tokens in a second, however fast the arithmetic."
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
    prompt="Prompts of different length are continued in one batch. Why do they stand on the "
    "right, with the padding on the left?",
    options=(
        Option(
            "So that the last column is the newest token of every row.",
            True,
            "the scores of the next token are taken from the last column, and new tokens are put "
            "behind it, in one place for all rows.",
        ),
        Option(
            "Because a causal mask hides what stands on the left.",
            False,
            "it hides what stands on the right. Padding on the left can be read unless a second "
            "mask forbids it.",
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
            "training usually pads on the right, or packs texts without padding. It needs no last "
            "column.",
        ),
    ),
)


STOP_STRING = OneAnswer(
    id="generation.stop_string",
    prompt="A text is streamed token by token and shall end before the string `User:`. The tokens "
    "`Us` and `er:` come one after the other. What must a stream do?",
    options=(
        Option(
            "Hold back `Us` until it is clear that it does not become `User:`.",
            True,
            "what was shown cannot be taken back, so an ending that could be the beginning of the "
            "stop string waits.",
        ),
        Option(
            "Compare each token with `User:` and stop at the one that equals it.",
            False,
            "no token equals it here. Strings end anywhere in a token, so the joined text is "
            "searched.",
        ),
        Option(
            "Encode `User:` and stop when these ids appear.",
            False,
            "the same string can be cut in several ways: its beginning may be the end of a longer "
            "token.",
        ),
        Option(
            "Show `Us` and remove it afterwards.",
            False,
            "somebody may have read it, or a program may have acted on it.",
        ),
    ),
)
