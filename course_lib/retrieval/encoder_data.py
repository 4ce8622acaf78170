"""What the course's encoder learns from: pairs of texts that belong together, taken from Python.

    summary, code           the first sentence of a docstring, and the code under it
    summary, rest           the first sentence, and the signature with what follows
    name, page              the words of a qualified name, and what its page says
    sentence, paragraph     a sentence of a long text, and the text around it without the sentence

No pair is made from a document that is held out. In half of the pairs with code the function's name
is hidden, or the encoder would learn to compare names and nothing else.

Taught in:        retrieval
Paper:            Husain et al. 2019, arXiv:1909.09436 (docstring to code); Lee et al. 2019,
                  arXiv:1906.00300 (the sentence that was taken out)
"""

import ast
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from course_lib import corpus
from course_lib.retrieval.bm25 import words_of
from course_lib.retrieval.pages import LEFT_OUT, documentation_pages
from course_lib.tokenization.wordpiece import (
    CONTINUES,
    SPECIAL_TOKENS,
    WordPiece,
    bert_normalize,
    bert_split,
)

HIDDEN = "function"
LONGEST_CODE = 1200  # characters
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*\"])")


class Pair(NamedTuple):
    """A question, or what could be one, the text that answers it, and what both are about."""

    question: str
    passage: str
    about: str  # pairs about the same thing are no negatives of each other


class Function(NamedTuple):
    """A documented function: its name, its docstring, and its code without the docstring."""

    name: str
    docstring: str
    code: str


def documented_functions(held_out: bool) -> Iterator[Function]:
    """Yield the documented functions of the standard library, on one side of the split."""
    for document in corpus.library_sources():
        if corpus.is_held_out(document.name) != held_out:
            continue
        if document.name.removeprefix("source/").split("/")[0].removesuffix(".py") in LEFT_OUT:
            continue
        for node in ast.walk(ast.parse(document.text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                if len(docstring) >= 20 and len(node.body) > 1:
                    node.body = node.body[1:]
                    yield Function(node.name, docstring, ast.unparse(node)[:LONGEST_CODE])


def summary(docstring: str) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(docstring.split("\n\n")[0].split())


def without_name(function: Function) -> str:
    """Return the code of a function with its name hidden wherever it occurs."""
    return re.sub(rf"\b{re.escape(function.name)}\b", HIDDEN, function.code)


def training_pairs(seed: int = 0) -> list[Pair]:
    """Return all pairs that may be trained on, in an order that depends on the seed."""
    source = random.Random(f"pairs {seed}")
    pairs = [pair for f in documented_functions(held_out=False) for pair in _of(f, source)]
    for page in documentation_pages():
        if not corpus.is_held_out(page.document) and page.document.startswith("source/"):
            text = page.text.partition("\n\n")[2][:LONGEST_CODE]
            pairs.append(Pair(" ".join(words_of(page.name)), text, page.name.split(".")[-1]))
    for document in (*corpus.documentation(), *corpus.docstrings()):
        if not corpus.is_held_out(document.name.replace("docstrings/", "source/", 1)):
            pairs += _taken_out(document.text, source)
    source.shuffle(pairs)
    return pairs


def _of(function: Function, source: random.Random) -> Iterator[Pair]:
    question, name = summary(function.docstring), function.name
    hidden = source.random() < 0.5
    yield Pair(question, without_name(function) if hidden else function.code, name)
    rest = function.docstring.split("\n\n", 1)[1:]
    if rest and len(rest[0]) >= 60:
        yield Pair(question, f"{function.code.splitlines()[0]}\n{rest[0][:LONGEST_CODE]}", name)


def _taken_out(text: str, source: random.Random) -> Iterator[Pair]:
    """Yield a sentence of each long paragraph, and the paragraph without it."""
    for paragraph in text.split("\n\n"):
        sentences = _SENTENCE.split(" ".join(paragraph.split()))
        if len(sentences) >= 3 and len(paragraph) >= 200:
            place = source.randrange(len(sentences))
            rest = sentences[:place] + sentences[place + 1 :]
            if len(sentences[place]) >= 30:
                yield Pair(sentences[place], " ".join(rest)[:LONGEST_CODE], paragraph)


def train_vocabulary(texts: Iterable[str], vocab_size: int) -> WordPiece:
    """Return a WordPiece tokenizer of whole words and frequent endings.

    A fifth of the vocabulary is for endings: what remains of rarer words after their longest
    beginning that is a word. Every character is a piece, so that little is unknown.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(bert_split(bert_normalize(text)))
    letters = sorted({c for word, n in counts.items() if n >= 5 for c in word})
    pieces = [*SPECIAL_TOKENS, *letters, *(CONTINUES + c for c in letters)]
    words = [word for word, _ in counts.most_common() if len(word) > 1]
    taken = 4 * (vocab_size - len(pieces)) // 5
    known = set(words[:taken])
    endings: Counter[str] = Counter()
    for word in words[taken:]:
        cut = next((end for end in range(len(word) - 1, 1, -1) if word[:end] in known), 1)
        if len(word) - cut > 1:
            endings[CONTINUES + word[cut:]] += counts[word]
    pieces += [*words[:taken], *(e for e, _ in endings.most_common(vocab_size))]
    chosen = islice(dict.fromkeys(pieces), vocab_size)
    return WordPiece({piece: i for i, piece in enumerate(chosen)})
