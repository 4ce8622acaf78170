"""The chat template of a checkpoint: its own layout of a conversation, as a program in Jinja.

Every chat model was trained on one layout, and its tokenizer carries that layout as a template: a
small program that is given the messages and prints the text of the prompt. A template comes from
whoever published the model, so it runs in a sandbox and sees nothing but plain JSON values.

    {% for m in messages %}<|im_start|>{{ m.role }}\\n{{ m.content }}<|im_end|>\\n{% endfor %}

A message that spells `<|im_end|>` must not end its own turn. Before rendering, each special token
that occurs in a message gets a mark inside; afterwards the special tokens without a mark are those
that the template wrote, and the marks are removed.

Taught in:        tokenization
Checked against:  `transformers`' apply_chat_template
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.chat import Message
from course_lib.tokenization.huggingface import Tokenizer
from course_lib.tokenization.special import encode_with_special
from course_lib.tokenization.unigram import Unigram

TEMPLATE_FILE = "chat_template.jinja"
ROLES_OF_TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
MARK = "\ufdd0"  # Unicode promises that this is never a character
ESCAPED_MARK = "\\ufdd0"  # as JSON in ASCII writes it


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template, the special tokens it may name, and where it exists one for tools."""

    source: str
    special_tokens: Mapping[str, str] = field(default_factory=dict)  # such as bos_token
    for_tools: str | None = None

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the conversation as the text that the model was trained to read.

        `variables` are further names that the template knows, such as `enable_thinking`.
        """
        import jinja2  # only chat needs it

        if not messages:
            raise ValueError(
                "a conversation needs at least one message; got none. "
                'Begin with {"role": "user", "content": "..."}.'
            )
        source = self.for_tools if tools and self.for_tools else self.source
        given = {"messages": list(messages), "tools": None if tools is None else list(tools)}
        values = {**self.special_tokens, "documents": None, **(variables or {}), **given}
        try:
            template = _compiled(source)
            rendered = template.render(
                **_plain(values), add_generation_prompt=add_generation_prompt
            )
        except (jinja2.TemplateError, TypeError) as error:
            raise ValueError(
                f"the chat template must accept the messages; it raised {type(error).__name__}: "
                f"{error}. Change the messages so that they follow the rule it names."
            ) from error
        return str(rendered)


def encode_conversation(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Message],
    *,
    protected: Collection[str],
    tools: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the ids of the conversation up to where the answer begins.

    The `protected` special tokens come from the template alone: in a message they stay text.
    """
    marked = [_marked(message, protected) for message in messages]
    text = template.render(marked, tools=tools, variables=variables)
    later: Callable[[str], list[int]] = tokenizer.encode_ordinary
    if isinstance(tokenizer, CharacterBPE | Unigram):
        later = partial(tokenizer.encode_ordinary, at_start=False)
    return encode_with_special(
        text,
        tokenizer.special_tokens,
        "all",
        lambda part: tokenizer.encode_ordinary(_unmarked(part)),
        lambda part: later(_unmarked(part)),
        tokenizer.reaches,
    )


def _unmarked(text: str) -> str:
    return text.replace(MARK, "").replace(ESCAPED_MARK, "")


def read_chat_template(folder: Path, tokenizer_config: Mapping[str, Any]) -> ChatTemplate | None:
    """Return the template of a checkpoint, from a file of its own or from tokenizer_config.json."""
    tokens = special_token_names(tokenizer_config)
    path = folder / TEMPLATE_FILE
    if path.is_file():
        return ChatTemplate(path.read_text(encoding="utf-8"), tokens)
    found = tokenizer_config.get("chat_template")
    if isinstance(found, list):  # several, by name
        named = {each["name"]: each["template"] for each in found}
        default = named.get("default", next(iter(named.values()), None))
        return ChatTemplate(default, tokens, named.get("tool_use")) if default else None
    return ChatTemplate(found, tokens) if found else None


def special_token_names(tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """Return the special tokens by their role, such as {"eos_token": "<|im_end|>"}."""
    found = {}
    for role in (f"{each}_token" for each in ROLES_OF_TOKENS):
        token = tokenizer_config.get(role)
        if isinstance(token, dict):  # with flags
            token = token.get("content")
        if token:
            found[role] = str(token)
    return found


def _marked(value: Any, names: Iterable[str]) -> Any:
    """Return a message with a mark inside each special token that it spells."""
    if isinstance(value, str):
        for name in names:
            value = value.replace(name, name[:1] + MARK + name[1:])
        return value
    if isinstance(value, Mapping):
        return {key: _marked(each, names) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [_marked(each, names) for each in value]
    return value


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values rebuilt from JSON types, so that a template meets no other object."""
    try:
        copied: dict[str, Any] = json.loads(json.dumps(values))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"messages, tools and variables must be plain JSON values; got {error}. "
            "Convert them to strings, numbers, lists and dictionaries."
        ) from error
    return copied


@cache
def _compiled(source: str) -> Any:
    """Return the template as transformers compiles it."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        settings = {"ensure_ascii": ensure_ascii, "separators": separators}
        return json.dumps(value, indent=indent, sort_keys=sort_keys, **settings)  # type: ignore

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_blocks(), loopcontrols]
    )
    environment.filters["tojson"] = tojson  # Jinja's own would escape < and > for HTML
    environment.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": lambda *pairs, **values: dict(*pairs, **values),
        "namespace": _closed_namespace(),
    }
    return environment.from_string(source)


@cache
def _closed_namespace() -> Any:
    """Return Jinja's namespace without private names, the usual way out of a sandbox."""
    from jinja2.exceptions import SecurityError
    from jinja2.utils import Namespace

    class ClosedNamespace(Namespace):
        def __init__(*pairs: Any, **values: Any) -> None:
            self, *rest = pairs
            found = dict(*rest, **values)
            for name in found:
                _require_public(name)
            Namespace.__init__(self, found)

        def __setitem__(self, name: str, value: Any) -> None:
            _require_public(name)
            super().__setitem__(name, value)

    def _require_public(name: str) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a template may not set the private name {name!r}")

    return ClosedNamespace


@cache
def _generation_blocks() -> Any:
    """Return the extension that reads {% generation %}: it marks answers for training only."""
    from jinja2.ext import Extension

    class GenerationBlocks(Extension):
        tags = {"generation"}  # noqa: RUF012  as jinja2 declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return GenerationBlocks
