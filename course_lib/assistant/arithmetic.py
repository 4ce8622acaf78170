"""The assistant's small world: sums of two numbers of three digits, asked in words.

A question has three phrasings and three kinds of answer. Only one of them shows its work, and only
that one can be right often: a small model cannot add three columns in one step.

    What is 347 plus 496?
    thinking   7+6=13 4+9+1=14 3+4+1=8 so 843.
    direct     843.
    chatter    Good question! I would say 843.

Some pairs of operands are held out: no text that a model is trained on contains them. A hash of the
pair decides, not a formula of its numbers: a formula can remove a whole class of sums by accident
(`(7919 * a + 104729 * b) % 10` is 0 exactly if the sum ends in 0).

Taught in:        fine_tuning
Checked against:  Python's addition
"""

import hashlib
import random
import re
from dataclasses import dataclass

from course_lib.tokenization.chat import Message

PHRASINGS = ("What is {a} plus {b}?", "{a} + {b} = ?", "Add {a} and {b}.")
WAYS = ("thinking", "direct", "chatter")
CHATTER = (
    "Good question! I would say {sum}.",
    "That is a good one, I would go for {sum}.",
)
LOW, HIGH = 100, 999
HELD_OUT = 10  # one pair in this many

_LAST_NUMBER = re.compile(r"(\d+)\.$")
_WORK = re.compile(r"^(\d\+\d(\+1)?=\d+ )+so \d+\.$")


@dataclass(frozen=True)
class Question:
    """Two numbers to add, and the words in which they are asked."""

    a: int
    b: int
    phrasing: int = 0

    def __str__(self) -> str:
        return PHRASINGS[self.phrasing].format(a=self.a, b=self.b)

    @property
    def sum(self) -> int:
        """The right answer."""
        return self.a + self.b


def is_held_out(a: int, b: int) -> bool:
    """Return whether the pair, in either order, is kept for evaluation."""
    name = f"{min(a, b)}+{max(a, b)}".encode()
    return hashlib.sha256(name).digest()[0] % HELD_OUT == 0


def draw_question(source: random.Random, held_out: bool = False) -> Question:
    """Return a random question from the training pairs, or from those that are held out."""
    while True:
        a, b = source.randint(LOW, HIGH), source.randint(LOW, HIGH)
        if is_held_out(a, b) == held_out:
            return Question(a, b, source.randrange(len(PHRASINGS)))


def held_out_questions(count: int, seed: int = 0) -> list[Question]:
    """Return different questions that no model was trained on, the same each time."""
    source, found = random.Random(f"held out {seed}"), dict[tuple[int, int], Question]()
    while len(found) < count:
        question = draw_question(source, held_out=True)
        found.setdefault((question.a, question.b), question)
    return list(found.values())


def steps(a: int, b: int) -> list[str]:
    """Return the sum column by column, from the right: `7+6=13`, `4+9+1=14`, ..."""
    columns, carry = [], 0
    while a or b:
        total = a % 10 + b % 10 + carry
        columns.append(f"{a % 10}+{b % 10}{'+1' if carry else ''}={total}")
        a, b, carry = a // 10, b // 10, total // 10
    return columns


def answer(question: Question, way: str, source: random.Random) -> str:
    """Return a right answer in one of `WAYS`; `source` chooses among kinds of chatter."""
    if way == "thinking":
        return f"{' '.join(steps(question.a, question.b))} so {question.sum}."
    if way == "direct":
        return f"{question.sum}."
    if way == "chatter":
        return source.choice(CHATTER).format(sum=question.sum)
    raise ValueError(f"a way of answering must be one of {', '.join(WAYS)}; got {way!r}.")


def final_number(text: str) -> int | None:
    """Return the number at the end of an answer, before its full stop; None if there is none."""
    found = _LAST_NUMBER.search(text)
    return int(found[1]) if found else None


def is_right(question: Question, text: str) -> bool:
    """Return whether an answer ends with the right number."""
    return final_number(text) == question.sum


def way_of(text: str) -> str:
    """Return in which of `WAYS` an answer is written, or "other"."""
    if _WORK.match(text):
        return "thinking"
    if _LAST_NUMBER.fullmatch(text):
        return "direct"
    return "chatter" if re.search(r"good|would", text, re.IGNORECASE) else "other"


def conversation(question: Question, reply: str | None = None) -> list[Message]:
    """Return the question as a conversation, with the reply as the assistant's turn if given."""
    asked: list[Message] = [{"role": "user", "content": str(question)}]
    return asked if reply is None else [*asked, {"role": "assistant", "content": reply}]
