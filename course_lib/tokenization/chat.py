"""Chat templates: a conversation as one sequence of tokens.

A chat model has seen its conversations in one fixed layout, and does worse in any other. ChatML,
the layout of Qwen, frames each turn with two special tokens and names the speaker:

    <|im_start|>user
    What is 2 + 2?<|im_end|>
    <|im_start|>assistant
    4<|im_end|>

Tools are described in the system turn; what they return goes to the model as a user turn. The same
layout is written twice below: as Python, and as the Jinja template that a tokenizer carries in its
`chat_template`.

Rendering to *text* and then encoding with all special tokens allowed is how injection happens: a
message that spells `<|im_end|>` would end its own turn. `encode_chat` avoids that: what comes
from a message stays text.

Taught in:        tokenization
Checked against:  `transformers`' apply_chat_template with CHATML_TEMPLATE
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from course_lib.tokenization.byte_bpe import ByteBPE

Message = Mapping[str, Any]

START, END = "<|im_start|>", "<|im_end|>"
TOOLS_INTRODUCTION = (
    "# Tools\n\nYou can call these functions, one JSON description per line:\n<tools>"
)
TOOLS_INSTRUCTION = (
    "</tools>\n\nTo call one, answer with its name and arguments as JSON between these tags:\n"
    '<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>'
)

CHATML_TEMPLATE = """\
{%- set has_system = messages and messages[0].role == 'system' %}
{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if has_system %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- INTRODUCTION }}
{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
{{- '\\n' + INSTRUCTION + '<|im_end|>\\n' }}
{%- elif has_system %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if loop.first and has_system %}
{%- elif message.role == 'tool' %}
{%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{%- set call = call.function or call %}
{%- if not loop.first or message.content %}{{- '\\n' }}{%- endif %}
{{- '<tool_call>\\n{"name": ' + (call.name | tojson) + ', "arguments": ' }}
{{- (call.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
""".replace("INTRODUCTION", json.dumps(TOOLS_INTRODUCTION)).replace(
    "INSTRUCTION", json.dumps(TOOLS_INSTRUCTION)
)


def chatml_parts(
    messages: Sequence[Message],
    add_generation_prompt: bool = False,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[tuple[str, bool]]:
    """Yield the parts of the conversation, each with whether it is a special token."""
    check_messages(messages)
    for role, content in _turns(messages, tools or ()):
        yield START, True
        yield f"{role}\n{content}", False
        yield END, True
        yield "\n", False
    if add_generation_prompt:
        yield START, True
        yield "assistant\n", False


def render_chatml(
    messages: Sequence[Message],
    add_generation_prompt: bool = False,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """Return the conversation as text, for people to read; a model gets `encode_chat`."""
    return "".join(part for part, _ in chatml_parts(messages, add_generation_prompt, tools))


def encode_chat(
    tokenizer: ByteBPE,
    messages: Sequence[Message],
    add_generation_prompt: bool = False,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> list[int]:
    """Return the ids of the conversation; no message can produce a special token."""
    if missing := [name for name in (START, END) if name not in tokenizer.special_tokens]:
        raise ValueError(
            f"ChatML needs the special tokens {START} and {END}; got a tokenizer without "
            f"{missing[0]}. Train or load one that has both."
        )
    ids: list[int] = []
    for part, is_special in chatml_parts(messages, add_generation_prompt, tools):
        ids += [tokenizer.special_tokens[part]] if is_special else tokenizer.encode_ordinary(part)
    return ids


def check_messages(messages: Sequence[Message]) -> None:
    """Raise unless every message has a known role and text, and only the first is the system's."""
    roles = ("system", "user", "assistant", "tool")
    if not messages:
        raise ValueError(
            "a conversation needs at least one message; got none. "
            'Begin with {"role": "user", "content": …}.'
        )
    for place, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in roles:
            raise ValueError(
                f"the role of a message must be one of {', '.join(roles)}; got {role!r} in message "
                f"{place}. Correct it: a role is written into the layout as it stands."
            )
        if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
            raise ValueError(
                f"the content of a message must be text; got {content!r} in message {place}. "
                "Pass a string; only an assistant that calls tools may have None."
            )
        if role == "system" and place:
            raise ValueError(
                f"a system message must come first; got one as message {place}. "
                "Move it to the front, or join it with the first."
            )


def _turns(
    messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield (role, content) of each turn; tool results in a row make one user turn."""
    rest = list(messages)
    system = rest.pop(0)["content"] if rest and rest[0]["role"] == "system" else None
    if tools:
        described = "\n".join([TOOLS_INTRODUCTION, *map(_json, tools), TOOLS_INSTRUCTION])
        yield "system", described if system is None else f"{system}\n\n{described}"
    elif system is not None:
        yield "system", system
    results: list[str] = []
    for place, message in enumerate(rest):
        if message["role"] != "tool":
            yield message["role"], _content(message)
            continue
        results.append(f"<tool_response>\n{message['content']}\n</tool_response>")
        if place + 1 == len(rest) or rest[place + 1]["role"] != "tool":
            yield "user", "\n".join(results)
            results = []


def _content(message: Message) -> str:
    """Return the text of a message with its tool calls after it."""
    parts = [message["content"]] if message["content"] else []
    for call in message.get("tool_calls") or ():
        call = call.get("function", call)
        name, arguments = _json(call["name"]), _json(call["arguments"])
        parts.append(f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>')
    return "\n".join(parts)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
