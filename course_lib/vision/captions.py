"""What is said about a drawing, by grammar, and the tokenizer of these few words.

    pair   a red circle                 and its parts, "a circle" and "a red thing"
    full   a large red circle at the top left
    list   a red circle, a blue square and a green ring         (in reading order)

Each may begin with "a picture of" or "a drawing of". Every word of the grammar is one token; other
text is written in bytes. It is an ordinary byte-level BPE, so `transformers` reads its file.

Taught in:        multimodal
Checked against:  captions written by hand; `transformers.AutoTokenizer`
"""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.assistant.tokenizer import END_OF_TEXT, ROLES
from course_lib.tokenization.bpe_training import GPT2_BYTE_ORDER
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import END, START
from course_lib.vision.world import COLOURS, PLACES, SHAPES, SIZES, Thing

IMAGE = "<image>"
OPENINGS = ("", "a picture of ", "a drawing of ")
MOST_TOKENS = 28  # of a caption with its end
NUMBERS = ("none", "one", "two", "three", "four")
_OTHER = (
    "a an and at of the is there are how many what where which or picture drawing with on in "
    "colour shape thing things size does it have this describe yes no"
)


@cache
def drawing_tokenizer() -> ByteBPE:
    """Return the tokenizer; all callers share this one."""
    places = " ".join(PLACES).split()
    words = [*COLOURS, *SHAPES, *SIZES, *places, *NUMBERS, *_OTHER.split()]
    words += [word.capitalize() for word in _OTHER.split()]
    words = list(dict.fromkeys(words))
    forms = [form for word in words for form in (word, f" {word}") if len(form) > 1]
    pieces = [bytes([byte]) for byte in GPT2_BYTE_ORDER]
    pieces += [form.encode() for form in dict.fromkeys([*forms, *ROLES])]
    special = {name: len(pieces) + i for i, name in enumerate((END_OF_TEXT, START, END, IMAGE))}
    return ByteBPE({p: i for i, p in enumerate(pieces)}, (), special, ignore_merges=True)


def pair_caption(colour: int, shape: int) -> str:
    """Return "a red circle"."""
    return f"{_article(list(COLOURS)[colour])} {SHAPES[shape]}"


def shape_caption(shape: int) -> str:
    """Return "a circle"."""
    return _article(SHAPES[shape])


def colour_caption(colour: int) -> str:
    """Return "a red thing"."""
    return f"{_article(list(COLOURS)[colour])} thing"


def full_caption(thing: Thing) -> str:
    """Return "a large red circle at the top left"."""
    colour, shape = list(COLOURS)[thing.colour], SHAPES[thing.shape]
    return f"a {SIZES[thing.size]} {colour} {shape} at the {PLACES[thing.place]}"


def list_caption(things: Sequence[Thing]) -> str:
    """Return "a red circle, a blue square and a green ring"."""
    if not things:
        raise ValueError("a caption lists at least one thing; got an empty scene.")
    parts = [pair_caption(thing.colour, thing.shape) for thing in things]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def caption_ids(texts: Sequence[str], most: int = MOST_TOKENS) -> Int[Tensor, "B T"]:
    """Return the ids of each text and the token that ends it, padded with that token."""
    tokenizer = drawing_tokenizer()
    end = tokenizer.special_tokens[END_OF_TEXT]
    rows = [[*tokenizer.encode_ordinary(text), end] for text in texts]
    longest = max(map(len, rows), default=0)
    if longest > most:
        raise ValueError(
            f"a caption has at most {most} tokens with its end; got {longest}. Write a shorter "
            "one, or words of the grammar, which take one token each."
        )
    return torch.tensor([row + [end] * (longest - len(row)) for row in rows])
