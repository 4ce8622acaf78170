"""Questions on bytes, merges, ranks and decoding."""

import random
from typing import Any

from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    SeveralAnswers,
    Slip,
)
from course_lib.tokenization.bpe_training import count_pairs, merge
from course_lib.tokenization.byte_bpe import ByteBPE

BYTES = ByteBPE({bytes([byte]): byte for byte in range(256)}, [])  # without any merges


def _draw_text(rng: random.Random) -> dict[str, Any]:
    letters, ideographs, emoji = (rng.randint(2, 12) for _ in range(3))
    return {"letters": letters, "ideographs": ideographs, "emoji": emoji}


def _bytes_of(letters: int, ideographs: int, emoji: int) -> float:
    return float(len(BYTES.encode("a" * letters + "字" * ideographs + "🧩" * emoji)))


UTF8 = Numeric(
    id="tokenization.utf8",
    prompt="A text contains {letters} plain Latin letters, {ideographs} common Chinese characters "
    "(between U+4E00 and U+9FFF) and {emoji} emoji of one code point each (above U+1F000). How "
    "many bytes does it have in UTF-8?",
    draw=_draw_text,
    answer=_bytes_of,
    explain=lambda letters, ideographs, emoji: (
        "A plain letter takes 1 byte, such a Chinese character 3, such an emoji 4: "
        f"{letters} + 3 · {ideographs} + 4 · {emoji} = {_bytes_of(letters, ideographs, emoji):.0f}."
    ),
    slips=(
        Slip(
            "characters",
            lambda letters, ideographs, emoji: letters + ideographs + emoji,
            "These are the characters. In UTF-8 only the 128 of ASCII take a single byte.",
        ),
        Slip(
            "two bytes",
            lambda letters, ideographs, emoji: letters + 2 * (ideographs + emoji),
            "You gave the others two bytes each. Two are enough for é or ж, Chinese needs three "
            "and an emoji four.",
        ),
        Slip(
            "four bytes",
            lambda letters, ideographs, emoji: 4 * (letters + ideographs + emoji),
            "Four bytes for each character is UTF-32. UTF-8 spends as few as it can.",
        ),
        Slip(
            "three bytes",
            lambda letters, ideographs, emoji: letters + 3 * (ideographs + emoji),
            "Code points from U+10000 on, where the emoji are, take four bytes.",
        ),
    ),
)


NO_UNKNOWN = OneAnswer(
    id="tokenization.no_unknown",
    prompt="Why does byte-level BPE need no token for unknown text?",
    options=(
        Option(
            "Every text is bytes, and each of the 256 bytes is a token.",
            True,
            "what no merge covers stays spelled in single bytes. It costs more tokens, but nothing "
            "is lost.",
        ),
        Option(
            "Its vocabulary holds every character of Unicode.",
            False,
            "Unicode has some 150 000 characters and grows. No tokenizer could see all of them in "
            "training, and this one does not try.",
        ),
        Option(
            "Its training text was so large that nothing new can appear.",
            False,
            "new characters and words appear every day. And it is true even after training on a "
            "single word.",
        ),
        Option(
            "It drops what it does not know.",
            False,
            "then decoding could not return the original text, which it always does.",
        ),
    ),
)


def _draw_counts(rng: random.Random) -> dict[str, Any]:
    long, short, other = rng.sample(range(3, 30), 3)
    return {"long": long, "short": short, "other": other}


def _count_of_an(long: int, short: int, other: int) -> float:
    words = (("banana", long), ("ban", short), ("nab", other))
    spelled = [(list(word.encode()), count) for word, count in words]
    return float(count_pairs(spelled)[ord("a"), ord("n")])


PAIR_COUNT = Numeric(
    id="tokenization.pair_count",
    prompt="A corpus contains the word `banana` {long} times, `ban` {short} times and `nab` "
    "{other} times, each spelled in letters. How often does the pair (a, n), in this order, occur?",
    draw=_draw_counts,
    answer=_count_of_an,
    explain=lambda long, short, other: (
        f"`banana` contains a n twice, `ban` once, and `nab` only n a: 2 · {long} + {short} = "
        f"{_count_of_an(long, short, other):.0f}."
    ),
    slips=(
        Slip(
            "once in each word",
            lambda long, short, other: long + short,
            "`banana` contains the pair twice, and every occurrence counts.",
        ),
        Slip(
            "either order",
            lambda long, short, other: 4 * long + short + other,
            "You also counted n followed by a. A pair has an order.",
        ),
        Slip(
            "all words",
            lambda long, short, other: 2 * long + short + other,
            "In `nab` the a comes after the n, so the pair a n is not there.",
        ),
    ),
)


TRAINING = OrderSteps(
    id="tokenization.training",
    prompt="Training byte-level BPE: in which order are the steps of the first merge carried out?",
    steps=(
        "Cut the text into words and count each different word.",
        "Spell each different word in bytes.",
        "Count the pairs of neighbours, each word with its count as weight.",
        "Choose the most frequent pair.",
        "Give the pair a new id and replace it in every word that contains it.",
    ),
    explanation="Words are counted first, so that a frequent word is worked on once. Their bytes "
    "are the first tokens. Only then are there pairs to count, one of which is chosen and "
    "replaced. From then on the last three steps repeat.",
)


def _merges_wrongly(names: dict[str, Any]) -> bool:
    ids = [5, 1, 2, 1, 2, 6]
    return names["merge"](ids, (1, 2), 9) != merge(ids, (1, 2), 9)


BUG_MERGE = FindTheBug(
    id="tokenization.bug_merge",
    prompt="This function should replace each occurrence of `pair` by `new_id`. What it returns "
    "decodes to text in which some letters are doubled.",
    code="""
def merge(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i:i + 2]) == pair:
            merged.append(new_id)
            i += 1
        else:
            merged.append(ids[i])
            i += 1
    return merged
""",
    line=6,
    fixed="i += 2",
    why="The new token stands for both halves of the pair. Moving on by one leaves the right half "
    "in the list, and its letters appear twice in the text.",
    why_not={
        2: "the result starts empty, and the index at the first position.",
        3: "the last token is looked at too, since it may stand alone.",
        4: "at the last token the slice holds one id, which equals no pair.",
        5: "the new token does belong here.",
        8: "a token that begins no pair is kept.",
        9: "one token was copied, so the index moves by one.",
        10: "everything is in the list by then.",
    },
    shows_bug=_merges_wrongly,
)


RANK = OneAnswer(
    id="tokenization.rank",
    prompt="The merges, in the order learned, are `e r`, `h e`, `he r`. Into which tokens is the "
    "word `her` encoded?",
    options=(
        Option(
            "`h` `er`",
            True,
            "both e r and h e are possible, and e r was learned first. Then h and er are "
            "neighbours, which no merge joins.",
        ),
        Option(
            "`he` `r`, since it comes first from the left",
            False,
            "place decides only between equal pairs. The rank of e r is lower.",
        ),
        Option(
            "`her`, since it is the longest token",
            False,
            "length plays no part. he is never made, as its e has gone into er already.",
        ),
        Option(
            "`h` `e` `r`, since the merges contradict each other",
            False,
            "merges never contradict each other: the one of lowest rank is applied first.",
        ),
    ),
)


DIGITS = OneAnswer(
    id="tokenization.digits",
    prompt="Before BPE sees it, how does the pattern of Qwen cut the text `in 2024`?",
    options=(
        Option(
            "`in`, a space, `2`, `0`, `2`, `4`",
            True,
            "each digit is a word of its own, and a space is not joined to digits. Numbers then "
            "look alike wherever they stand, at the price of more tokens.",
        ),
        Option(
            "`in` and ` 2024`, with its space",
            False,
            "that is the pattern of GPT-2, which keeps all digits and the space before them "
            "together.",
        ),
        Option(
            "`in`, a space, `202`, `4`",
            False,
            "that is the pattern of GPT-4: up to three digits at a time, from the left.",
        ),
        Option(
            "`in 2024`, as one piece",
            False,
            "every pattern separates letters from digits, or merges would be spent on accidents "
            "such as `in 2`.",
        ),
    ),
)


HALF_CHARACTER = SeveralAnswers(
    id="tokenization.half_character",
    prompt="A chat window shows the text of each token as soon as the model produces it. The next "
    "token contains the first two of the four bytes of an emoji. Which of these are true?",
    options=(
        Option(
            "The token alone is not valid UTF-8.",
            True,
            "a first byte announces how many follow, and two of them are missing.",
        ),
        Option(
            "Decoding it alone with `errors='replace'` gives the replacement character.",
            True,
            "the half character is shown as �, and the emoji is lost although the rest of it was "
            "about to arrive.",
        ),
        Option(
            "The window should wait for the rest of the character.",
            True,
            "it holds the bytes back and joins them with those of the next token.",
        ),
        Option(
            "The tokenizer must have been trained wrongly.",
            False,
            "merges join frequent pairs of bytes, whatever characters they belong to. Rare "
            "characters stay in several tokens in every byte-level vocabulary.",
        ),
        Option(
            "The model cannot produce this emoji.",
            False,
            "it produces it in two tokens or more, one after the other.",
        ),
    ),
)
