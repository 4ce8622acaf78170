"""Generated inputs for the exercises on tokenizers: small, valid and random."""

import math
import random
from collections.abc import Iterator
from itertools import pairwise, product

from course_lib.study.check.spec import Call, call

_ALPHABETS = ([1, 2, 3], [1, 2, 11, 12, 21, 112], [0, 7], [99, 100, 101, 254])
_LARGE = 10**6  # where none of the numbers above is found


def _ids(rng: random.Random, alphabet: list[int], longest: int, shortest: int = 0) -> list[int]:
    return rng.choices(alphabet, k=rng.randint(shortest, longest))


def counted_words(rng: random.Random) -> Call:
    """Return words of one to six ids, each with its count."""
    alphabet = rng.choice(_ALPHABETS)
    words = [(_ids(rng, alphabet, 6, 1), rng.randint(1, 40)) for _ in range(rng.randrange(5))]
    return call(words)


def small_corpus(rng: random.Random) -> Call:
    """Return words with small counts, so that pairs are often equally frequent, and a number."""
    alphabet = rng.choice(_ALPHABETS)
    words = [(_ids(rng, alphabet, 6, 1), rng.randint(1, 4)) for _ in range(rng.randrange(6))]
    return call(words, rng.randrange(7))


def word_and_merge(rng: random.Random) -> Call:
    """Return ids, a pair that may occur in them, and a new id."""
    alphabet = rng.choice(_ALPHABETS)
    pair = tuple(rng.choices(alphabet[:2] if rng.randrange(2) else alphabet, k=2))
    return call(_ids(rng, alphabet, 9), pair, rng.choice([256, 1024, _LARGE]))


def word_and_ranks(rng: random.Random) -> Call:
    """Return a word and merges as training learns them, but numbered and listed in any order."""
    letters = rng.choice(_ALPHABETS)[:3]
    numbers = rng.sample(range(300, 400), k=8)
    apart = rng.choice([1, 1, 2500])  # how far ranks are apart
    tokens, merges = list(letters), {}
    for rank, new_id in enumerate(numbers[: rng.randrange(8)]):
        left = [pair for pair in product(tokens, repeat=2) if pair not in merges]
        merges_of_late = [pair for pair in left if max(pair) >= 300]
        pair = rng.choice(merges_of_late if merges_of_late and rng.randrange(2) else left)
        merges[pair] = (rank * apart, new_id)
        tokens.append(new_id)
    listed = rng.sample(sorted(merges), k=len(merges))
    return call(_ids(rng, letters, 9), {pair: merges[pair] for pair in listed})


_TEXTS = ("a", " b", "é", "中文", "🧩", "\n", "日本", "x🙂")


def ids_and_tokens(rng: random.Random) -> Call:
    """Return ids and tokens that are characters, parts of characters, or invalid bytes."""
    text = "".join(rng.choices(_TEXTS, k=3)).encode()
    cuts = sorted({0, len(text), *rng.sample(range(len(text)), k=min(3, len(text)))})
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    pieces += rng.sample([b"\xff", b"\xe4\xb8", b"\xad", b"\xf0\x9f", b"z", b"\xc0\x80"], k=2)
    numbers = rng.sample([*range(4), 17, 170, 1700, 50_257], k=len(pieces))
    ids = list(numbers)
    if rng.randrange(2):
        ids = rng.choices(numbers, k=rng.randrange(7))
    order = rng.sample(range(len(pieces)), k=len(pieces))
    return call(ids, {numbers[i]: pieces[i] for i in order})


def streamed_tokens(rng: random.Random) -> Call:
    """Return tokens that cut a text, with some invalid bytes in it, at any place."""
    broken = (b"\xff", b"\xf0\x9f", b"\xad", b"\xe0\x80", b"\xe4\xb8", "\ufffd".encode())
    parts = [rng.choice(_TEXTS).encode() for _ in range(rng.randrange(5))]
    parts += rng.sample(broken, k=rng.randrange(3))
    data = b"".join(rng.sample(parts, k=len(parts)))
    inside = sorted(rng.sample(range(len(data)), k=min(rng.randrange(6), len(data))))
    return call([data[a:b] for a, b in pairwise([0, *inside, len(data)]) if a < b])


def _strings(rng: random.Random, letters: str, longest: int, count: int) -> set[str]:
    return {"".join(rng.choices(letters, k=rng.randint(1, longest))) for _ in range(count)}


def word_and_vocabulary(rng: random.Random) -> Call:
    """Return a word and pieces with and without ##, which may or may not cover it."""
    letters = rng.choice(["ab", "abc", "aé中"])
    begins = sorted(_strings(rng, letters, 4, rng.randint(1, 5)))
    goes_on = sorted("##" + piece for piece in _strings(rng, letters, 3, rng.randint(1, 6)))
    pieces = rng.sample(begins + goes_on, k=len(begins) + len(goes_on))
    word = "".join(rng.choices(letters, k=rng.randint(1, 7)))
    if rng.randrange(3):  # a word made of pieces, which greedy matching may miss
        word = rng.choice(begins) + "".join(p[2:] for p in rng.choices(goes_on, k=rng.randrange(3)))
    return call(word, pieces, **({} if rng.randrange(3) else {"unknown": "<unk>"}))


def _pieces(rng: random.Random, letters: str, longest: int, count: int) -> dict[str, float]:
    """Return random log probabilities of all letters and of some longer pieces."""
    pieces = sorted({*letters, *_strings(rng, letters, longest, count)})
    shares = [rng.uniform(0.02, 1.0) ** len(piece) for piece in pieces]
    listed = rng.sample(list(zip(pieces, shares, strict=True)), k=len(pieces))
    return {piece: math.log(share / sum(shares)) for piece, share in listed}


def _sums(text: str, log_probs: dict[str, float]) -> Iterator[float]:
    """Yield the sum of logarithms of every segmentation."""
    if not text:
        yield 0.0
    for end in range(1, len(text) + 1):
        if text[:end] in log_probs:
            yield from (log_probs[text[:end]] + rest for rest in _sums(text[end:], log_probs))


def text_and_pieces(rng: random.Random) -> Call:
    """Return a text and pieces, some of them long, of which one segmentation is clearly best."""
    while True:
        log_probs = _pieces(rng, rng.choice(["ab", "abc", "xé中"]), 7, rng.randint(1, 8))
        text = "".join(rng.choices(list(log_probs), k=rng.randrange(5)))[:9]
        best = sorted(_sums(text, log_probs))[-2:]
        if len(best) < 2 or best[1] - best[0] > 1e-6:
            return call(text, log_probs)


def words_and_pieces(rng: random.Random) -> Call:
    """Return short words with their counts, and pieces that cover each of them."""
    letters = rng.choice(["ab", "abc", "é中"])
    words = sorted(_strings(rng, letters, 5, rng.randint(1, 3)))
    return call(
        {word: rng.randint(1, 20) for word in words}, _pieces(rng, letters, 4, rng.randrange(6))
    )


_NAMES = ("<|end|>", "<|start|>", "<|start|>user", "<s>", "</s>", "[X]", "a+", "ab", "bcd", "$")
_FRAGMENTS = (
    "",
    " ",
    "\n",
    "a",
    "b",
    "c",
    "<|",
    "|>",
    "<|END|>",
    "AB",
    "aaa",
    "X",
    "end",
    "é",
    "user",
)


def text_with_names(rng: random.Random) -> Call:
    """Return a text of names, parts of names and capitalized names, and the special names."""
    text = "".join(rng.choice(rng.choice([_NAMES, _FRAGMENTS])) for _ in range(rng.randrange(8)))
    return call(text, rng.sample(_NAMES, k=rng.randrange(6)))


_CONTENTS = (
    "",
    "Hi",
    " two  blanks ",
    "a\n\nb\n",
    "你好 🙂",
    "{role}",
    "\t",
    "user",
    "<b>&amp;</b>",
)


def conversation(rng: random.Random) -> Call:
    """Return up to four messages in any order of roles, with or without an open turn at the end."""
    roles = ("system", "user", "assistant", "tool")
    messages = [
        {"role": rng.choice(roles), "content": rng.choice(_CONTENTS)}
        for _ in range(rng.randint(1, 4))
    ]
    opened = rng.choice([None, False, True, True])
    return call(messages) if opened is None else call(messages, add_generation_prompt=opened)
