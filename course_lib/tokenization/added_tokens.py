"""The added tokens of a `tokenizer.json`, and why some of them cannot be read here.

An added token is found in the text before anything else happens to it. Its flags change where it is
found and how much of the text it takes, and `tokenizers` gives it the id of the model's token of
the same name, or else the next free id, whatever the file says.

Taught in:        tokenization
Checked against:  `tokenizers`
"""

from typing import Any

from course_lib.tokenization.special import Reach
from course_lib.tokenization.unicode_tables import WHITE_SPACE

Json = dict[str, Any]


def refusal(field: str, value: Any, wanted: str) -> ValueError:
    """Return the error for a file that asks for what this library does not do."""
    return ValueError(
        f"{field} in a tokenizer's file must be {wanted}; got {value!s:.120}. This library would "
        "give other ids or another text for such a file: use `tokenizers` for it."
    )


def steps_of(pre_tokenizer: Any) -> list[Json]:
    """Return the steps of a pre-tokenizer, at least one, which may be empty."""
    step = pre_tokenizer or {}
    return (step["pretokenizers"] if step.get("type") == "Sequence" else [step]) or [{}]


def added_tokens(content: Json) -> dict[str, int]:
    """Return the added tokens, which stand for their own letters.

    Some take white space beside them, too; `reaches_of` says which.
    """
    added: dict[str, int] = {}
    for token in content.get("added_tokens") or []:
        name = token["content"]
        if token.get("single_word"):
            raise refusal(f"single_word of the added token {name!r}", True, "false")
        if token.get("normalized") and _changes_text(content.get("normalizer")):
            raise refusal(f"normalized of the added token {name!r}", True, "false")
        if name in added:
            raise ValueError(
                f"each special token may be listed once, since it has one id; got {name!r} twice "
                "in added_tokens. Remove the repetition."
            )
        added[name] = token["id"]
    _check_order(content.get("added_tokens") or [])
    return added


def reaches_of(content: Json) -> dict[str, Reach]:
    """Return which added tokens take white space, and on which sides."""
    tokens = content.get("added_tokens") or []
    flags = {
        token["content"]: Reach(bool(token.get("lstrip")), bool(token.get("rstrip")))
        for token in tokens
    }
    found = {name: reach for name, reach in flags.items() if any(reach)}
    spaced = [name for name in flags if name != name.strip(WHITE_SPACE)]
    if found and spaced:
        wanted = f"free of white space at its ends, which {next(iter(found))!r} would take"
        raise refusal("the content of an added token", repr(spaced[0]), wanted)
    return found


def _changes_text(normalizer: Any) -> bool:
    """Say whether a normalizer has a step; DeepSeek's is a sequence of none."""
    steps = (normalizer or {}).get("normalizers")
    return bool(normalizer) if steps is None else any(map(_changes_text, steps))


def check_ids(added: dict[str, int], vocabulary: dict[str, int]) -> None:
    """Raise if `tokenizers` would give an added token another id than the file."""
    size, highest = len(vocabulary), -1
    for name, given in added.items():
        expected = vocabulary.get(name, max(size, highest + 1))
        highest = max(highest, expected)
        if given != expected:
            raise refusal(
                f"the id of the added token {name!r}", given, f"{expected}, as `tokenizers` has it"
            )


def _check_order(tokens: list[Json]) -> None:
    """Raise if names overlap of which `tokenizers` looks for one kind before the other."""
    first = [token["content"] for token in tokens if not token.get("normalized")]
    second = [token["content"] for token in tokens if token.get("normalized")]
    for one in first:
        for other in second:
            if one in other or other in one or _meet(one, other) or _meet(other, one):
                wanted = f"the same as that of {one!r}, with which it overlaps"
                raise refusal(f"normalized of the added token {other!r}", True, wanted)


def _meet(left: str, right: str) -> bool:
    """Say whether some end of the one is a beginning of the other."""
    return any(right.startswith(left[i:]) for i in range(1, len(left)))
