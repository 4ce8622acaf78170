"""The normalizer of a `tokenizer.json`: steps that change the text before it is cut.

    Llama 2   Prepend ▁, Replace " " by ▁          "a cat" → "▁a▁cat"
    T5        Precompiled, Strip, Replace / {2,}/ by ▁

Taught in:        tokenization
Checked against:  `tokenizers.normalizers`
"""

from collections.abc import Callable
from typing import Any

from course_lib.tokenization.added_tokens import Json, refusal
from course_lib.tokenization.normalization import normalize
from course_lib.tokenization.oniguruma import common_pattern
from course_lib.tokenization.patterns import compile_pattern, spans_of
from course_lib.tokenization.precompiled import Precompiled
from course_lib.tokenization.unicode_tables import WHITE_SPACE, lower

Step = Callable[[str], str]


class Normalizer:
    """The steps of a file, called with a text; `written` is what the file says."""

    def __init__(self, written: Json | None = None) -> None:
        self.written = written
        self.steps = _read(written)

    def __call__(self, text: str) -> str:
        """Return the text after all steps."""
        for step in self.steps:
            text = step(text)
        return text


def _read(step: Any) -> list[Step]:
    if step is None:
        return []
    if step["type"] == "Sequence":
        return [each for inner in step["normalizers"] for each in _read(inner)]
    if step["type"] not in _READERS:
        raise refusal("normalizer", step, f"made of {', '.join(_READERS)}")
    return [_READERS[step["type"]](step)]


def _read_replace(step: Json) -> Step:
    pattern, content = step["pattern"], step["content"]
    if "String" in pattern:
        old = pattern["String"]
        if not old:
            raise refusal("pattern of Replace", pattern, "one that matches at least a character")
        return lambda text: text.replace(old, content)
    compiled = compile_pattern(common_pattern(pattern["Regex"]))
    if compiled.match(""):
        raise refusal("pattern of Replace", pattern, "one that matches at least a character")

    def replace(text: str) -> str:
        spans = spans_of(text, compiled)
        return "".join(content if is_match else text[b:e] for b, e, is_match in spans)

    return replace


def _read_strip(step: Json) -> Step:
    left, right = (WHITE_SPACE if step[f"strip_{side}"] else "" for side in ("left", "right"))
    return lambda text: text.lstrip(left).rstrip(right)


def _read_prepend(step: Json) -> Step:
    return lambda text: step["prepend"] + text if text else text


_READERS: dict[str, Callable[[Json], Step]] = {
    **{
        form: lambda step: lambda text: normalize(text, step["type"])
        for form in ("NFC", "NFD", "NFKC", "NFKD")
    },
    "Lowercase": lambda step: lambda text: "".join(map(lower, text)),
    "Precompiled": lambda step: Precompiled(step["precompiled_charsmap"]),
    "Prepend": _read_prepend,
    "Replace": _read_replace,
    "Strip": _read_strip,
}
