"""Answers from passages: the prompt that holds them, and whether an answer keeps to them.

The passages are numbered, and an answer must cite them: "Use textwrap.wrap [2]." What a program can
check, it checks:

    cited        every [n] is the number of a passage that was given
    quoted       every "quotation" stands in the passage cited after it, letter by letter
    supported    each sentence shares most of its words with the passages that it cites

`supported` is a rule of thumb: it finds what is invented, but not what is negated. The last
function plants contradictions on purpose, so that this can be measured.

Taught in:        retrieval
Paper:            Lewis et al. 2020, arXiv:2005.11401; Gao et al. 2023, arXiv:2305.14627
Checked against:  answers written by hand, right and wrong
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from course_lib.retrieval.bm25 import words_of
from course_lib.retrieval.pages import find_page
from course_lib.retrieval.search import Hit

ENOUGH = 0.6  # of a sentence's words
_CITATION = re.compile(r"\[(\d+)\]")
_QUOTATION = re.compile(r'"([^"]{8,})"')
_SENTENCE = re.compile(r"(?<=[.!?\]])\s+(?=[A-Z])|\n+")
_COMMON = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "for", "from"),
        *("has", "have", "i", "if", "in", "is", "it", "its", "not", "of", "on", "or"),
        *("that", "the", "this", "to", "use", "was", "which", "will", "with", "you", "your"),
    )
)


class Checked(NamedTuple):
    """What is wrong with an answer: citations of nothing, false quotations, weak sentences."""

    unknown: list[int]
    misquoted: list[str]
    unsupported: list[str]

    @property
    def faithful(self) -> bool:
        """Whether nothing was found."""
        return not (self.unknown or self.misquoted or self.unsupported)


def grounded_prompt(question: str, hits: Sequence[Hit]) -> str:
    """Return a prompt with numbered passages, which asks for an answer that cites them."""
    parts = [f"[{n}] {hit.page}\n{hit.text}" for n, hit in enumerate(hits, start=1)]
    rule = "Answer from these passages only, and cite them as [n]. Say so if they do not answer."
    return "\n\n".join([*parts, rule, f"Question: {question}", "Answer:"])


def is_on_its_page(hit: Hit) -> bool:
    """Say whether the text of a hit stands on the page that it names, at the place it names."""
    try:
        page = find_page(hit.page)
    except ValueError:
        return False
    return page.text[hit.start : hit.stop] == hit.text


def check_answer(answer: str, passages: Sequence[str]) -> Checked:
    """Return what is wrong with an answer that cites passages by numbers from 1."""
    unknown, misquoted, unsupported = [], [], []
    for sentence in filter(None, (part.strip() for part in _SENTENCE.split(answer))):
        numbers = [int(n) for n in _CITATION.findall(sentence)]
        unknown += [n for n in numbers if not 1 <= n <= len(passages)]
        cited = " ".join(passages[n - 1] for n in numbers if 1 <= n <= len(passages))
        flat = " ".join(cited.split())
        quotations = _QUOTATION.findall(sentence)
        misquoted += [quote for quote in quotations if " ".join(quote.split()) not in flat]
        if support(sentence, cited) < ENOUGH:
            unsupported.append(sentence)
    return Checked(unknown, misquoted, unsupported)


def support(sentence: str, passage: str) -> float:
    """Return the fraction of a sentence's words, apart from common ones, that the passage has."""
    asked = set(words_of(_CITATION.sub("", sentence))) - _COMMON
    return len(asked & set(words_of(passage))) / len(asked) if asked else 1.0


def contradictions(sentence: str) -> dict[str, str]:
    """Return false versions of a sentence: a negation, a wrong number, a foreign statement."""
    planted = {"foreign": "The result is compressed with seven zebras."}
    verb = re.search(r"\b(is|are|will|can|must|does)\b", sentence)
    if verb:
        planted["negated"] = f"{sentence[: verb.end()]} not{sentence[verb.end() :]}"
    if number := re.search(r"\d+", sentence):
        changed = str(int(number.group()) + 7)
        planted["number"] = sentence[: number.start()] + changed + sentence[number.end() :]
    return planted
