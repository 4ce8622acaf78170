"""The generation settings of a checkpoint: stop ids, sampling, and tokens around every prompt.

The weights alone do not tell when a text is finished. The files beside them do:
`generation_config.json` holds the stop ids and the sampling settings that its authors recommend,
and `tokenizer.json` the tokens that go around every prompt.

    stop ids    generation_config.json, else config.json, else tokenizer_config.json
    sampling    do_sample false, or absent: greedy; else temperature, top_k, top_p, min_p

Taught in:        generation
Checked against:  transformers' generate with the same files
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.generation.processors import Sampling
from course_lib.tokenization.chat_template import special_token_names
from course_lib.tokenization.huggingface import Tokenizer

GENERATION_CONFIG, CONFIG = "generation_config.json", "config.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
TOP_K = 50  # the default of transformers for checkpoints that sample
# Other settings that a checkpoint may have, with the values that switch them off.
_NOT_DONE_HERE: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "penalty_alpha": (0.0,),
    "bad_words_ids": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "sequence_bias": ({},),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
}


@dataclass(frozen=True)
class CheckpointDefaults:
    """The generation settings of a checkpoint; a caller may override them."""

    sampling: Sampling
    stop_ids: tuple[int, ...]
    before: tuple[int, ...]  # the ids that go before every prompt
    after: tuple[int, ...]  # and after it; mostly none
    first_id: int | None  # what an empty prompt becomes
    hidden_ids: frozenset[int]  # special tokens, which are not part of the text
    max_new_tokens: int | None = None


def checkpoint_defaults(folder: Path, tokenizer: Tokenizer) -> CheckpointDefaults:
    """Return the generation settings from the files beside the weights."""
    config = read_settings(folder / CONFIG)
    path = folder / GENERATION_CONFIG
    settings = read_settings(path) if path.is_file() else config
    roles = special_token_names(read_settings(folder / TOKENIZER_CONFIG))
    known = tokenizer.special_tokens
    named = {role: [known[name]] for role, name in roles.items() if name in known}
    described = read_settings(folder / TOKENIZER)
    before, after = _around(described.get("post_processor") or {}, known)
    both = (settings, config)
    starts = _ids("bos_token_id", both, path) or tuple(named.get("bos_token", ()))
    try:
        sampling = _sampling(settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} asks for a sampling that is not possible: {error}") from error
    _warn_of_the_rest(settings, path)
    return CheckpointDefaults(
        sampling=sampling,
        stop_ids=_ids("eos_token_id", both, path) or tuple(named.get("eos_token", ())),
        before=before,
        after=after,
        first_id=starts[0] if starts else None,
        hidden_ids=_special_ids(described),
        max_new_tokens=settings.get("max_new_tokens"),
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that may be missing."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON; got {error}. Fetch the file again.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must hold a JSON object; got {type(content).__name__}. Fetch the file again."
        )
    return content


def _sampling(settings: Mapping[str, Any]) -> Sampling:
    penalty = _number(settings, "repetition_penalty") or 1.0
    if not settings.get("do_sample"):
        return Sampling(temperature=0.0, repetition_penalty=penalty)
    temperature, top_k = _number(settings, "temperature"), settings.get("top_k", TOP_K)
    return Sampling(
        temperature=1.0 if temperature is None else temperature,
        top_k=top_k or None,  # 0 keeps all
        top_p=_number(settings, "top_p"),
        min_p=_number(settings, "min_p"),
        repetition_penalty=penalty,
    )


def _number(settings: Mapping[str, Any], name: str) -> float | None:
    found = settings.get(name)
    return None if found is None else float(found)


def _ids(name: str, places: tuple[Mapping[str, Any], ...], path: Path) -> tuple[int, ...]:
    """Return the ids under this name in the first file that has any; one id or a list of them."""
    found: Any = next((each[name] for each in places if each.get(name) is not None), [])
    ids = found if isinstance(found, list) else [found]
    if not all(type(each) is int for each in ids):
        raise ValueError(
            f"{name} must be an id or a list of ids; got {found!r} in {path.parent}. "
            f"Correct {GENERATION_CONFIG}, or {CONFIG} where there is none."
        )
    return tuple(ids)


def _around(
    step: Mapping[str, Any], special: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids that a tokenizer's post-processor puts before and after a text."""
    steps = step.get("processors") or [step]
    template = next((each for each in steps if each.get("type") == "TemplateProcessing"), None)
    if template is None:
        return (), ()
    sides: tuple[list[int], list[int]] = ([], [])
    seen_text = False
    for part in template["single"]:
        if "Sequence" in part:
            seen_text = True
        else:
            name = part["SpecialToken"]["id"]
            ids = template.get("special_tokens", {}).get(name, {}).get("ids")
            sides[seen_text].extend(ids or [special[name]])
    return tuple(sides[0]), tuple(sides[1])


def _special_ids(described: Mapping[str, Any]) -> frozenset[int]:
    tokens = described.get("added_tokens") or []
    return frozenset(token["id"] for token in tokens if token.get("special"))


def _warn_of_the_rest(settings: Mapping[str, Any], path: Path) -> None:
    asked = [
        f"{name}={settings[name]!r}"
        for name, nothing in _NOT_DONE_HERE.items()
        if settings.get(name) is not None and settings[name] not in nothing
    ]
    if asked:
        warnings.warn(
            f"{path} asks for {', '.join(asked)}, which is not done here: the text can differ from "
            "that of transformers.",
            stacklevel=2,
        )
