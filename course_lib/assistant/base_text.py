"""What the assistant's base model reads: pages about sums, without any roles.

    worksheets   questions, one after another, without answers
    solutions    a question and its answer, in each of the three ways
    tables       sums of single digits, the facts that every column needs

In the first pages an answer follows its question after one character. A model that has read nothing
else learns to look a fixed distance back, and is lost when a chat template comes between, which
takes five tokens. So the later pages mostly leave a gap of five.

The questions are phrased as users will phrase them. A base model that has never seen a phrasing
does not learn it from a short fine-tuning.

Taught in:        fine_tuning
"""

import random

import torch

from course_lib.assistant.arithmetic import answer, draw_question
from course_lib.assistant.tokenizer import END_OF_TEXT
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.data import Batch

KINDS = ("worksheet", "thinking", "direct", "chatter", "table")
SHARES = (0.15, 0.40, 0.12, 0.08, 0.25)  # of the documents
GAPS = (" ", " ", " ", "\n", "\n")  # between a question and its answer
WIDE = "\n\n\n \n"  # as long as what a chat template puts between them
WIDE_SHARE = 0.7


def document(source: random.Random, varied: bool = False) -> str:
    """Return a page of one of `KINDS`, some with a wide gap if `varied`."""
    (kind,) = source.choices(KINDS, SHARES)
    if kind == "worksheet":
        return "\n".join(str(draw_question(source)) for _ in range(4))
    if kind == "table":
        return " ".join(_fact(source) for _ in range(6))
    question = draw_question(source)
    gap = WIDE if varied and source.random() < WIDE_SHARE else source.choice(GAPS)
    return f"{question}{gap}{answer(question, kind, source)}"


def _fact(source: random.Random) -> str:
    a, b, carry = source.randrange(10), source.randrange(10), source.randrange(2)
    return f"{a}+{b}{'+1' if carry else ''}={a + b + carry}"


def row_of_documents(
    tokenizer: ByteBPE, length: int, source: random.Random, varied: bool = False
) -> list[int]:
    """Return ids of pages in a row, a separator before each, cut at the length."""
    ids: list[int] = []
    first = tokenizer.special_tokens[END_OF_TEXT]
    while len(ids) < length:
        ids += [first, *tokenizer.encode_ordinary(document(source, varied))]
    return ids[:length]


def base_batch(
    tokenizer: ByteBPE,
    rows: int,
    length: int,
    generator: torch.Generator,
    varied: bool = False,
) -> Batch:
    """Return rows of pages; every id is a target."""
    source = random.Random(int(torch.randint(2**62, (), generator=generator)))
    ids = torch.tensor([row_of_documents(tokenizer, length, source, varied) for _ in range(rows)])
    return Batch(ids, torch.ones_like(ids, dtype=torch.bool))
