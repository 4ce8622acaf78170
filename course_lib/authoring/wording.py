"""Words that a native speaker would not use in their place, and what to write instead.

The course is read by people from all over the world, so it uses the standard term for each thing.
Each rule is a pattern that hardly ever stands for anything else; what a pattern cannot tell apart
is left to a reader.
"""

import re
from collections.abc import Iterator

RULES: dict[str, str] = {
    r"\bbehind\b": "`after`, for order and time",
    r"\bfore(tells?|told|telling)\b": "`predict`",
    r"\bso many (times|\w+ as)\b|\b(with|in|of|after|for|return) so many\b": "`the number of`",
    r"\b(two|three|ten|unknown|drawn) signs\b|\b(each|per) sign\b": "`character`",
    r"\bin earnest\b": "`in practice`",
    r"\b(the|a|this) darts?\b|\bdraws? lots\b": "`sample`",
    r"\bmend(s|ed|ing)?\b": "`fix`",
    r"\bhas no leave\b": "`may not`",
    r"\bfor the head\b": "`to do in your head`",
    r"\banswers? to the hand\b": "`is interactive`",
    r"\banother (size|way|order|number|length|width)\b": "`a different`, where it is not the same",
}
_CELL_ID = re.compile(r'\bid="[\w.-]+"')  # which is never changed
_COMPILED = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in RULES.items()}


def odd_words(text: str) -> Iterator[str]:
    """Yield a sentence for each word that should be a different one, with the line it is in."""
    for number, line in enumerate(_CELL_ID.sub("", text).splitlines(), 1):
        for pattern, instead in _COMPILED.items():
            for found in pattern.finditer(line):
                yield f"line {number}: write {instead} in place of {found[0]!r}"
