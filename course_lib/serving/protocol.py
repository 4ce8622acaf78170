"""What a client may ask for: OpenAI's request bodies, checked field by field.

A server reads what strangers send. Each field has a type and a range; whatever is wrong or unknown
is answered with status 400 and a text that names the field, the value and the remedy.

Taught in:        serving
Checked against:  the official `openai` client
Shapes:           none
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from course_lib.generation import Sampling, Stop
from course_lib.generation.text_model import TextModel
from course_lib.serving.fields import BadRequestError, Fields, short
from course_lib.serving.json_mask import JsonMask, TokenTree
from course_lib.serving.json_schema import any_object, schema_grammar
from course_lib.serving.request import Request

MOST_CHOICES, MOST_STOPS, MOST_LOGPROBS = 16, 4, 20
KEPT_MASKS = 16
COMPLETION_TOKENS = 16  # OpenAI's default for completions
_BOTH = {
    "model", "max_tokens", "temperature", "top_p", "n", "stream", "stream_options", "stop", "seed",
    "logprobs", "response_format", "user", "presence_penalty", "frequency_penalty", "logit_bias",
    "top_k", "min_p", "repetition_penalty", "priority",
}  # fmt: skip
_FIELDS = {
    "completion": _BOTH | {"prompt", "echo", "best_of", "suffix"},
    "chat": _BOTH | {"messages", "max_completion_tokens", "top_logprobs", "metadata", "store"},
}


@dataclass(frozen=True)
class Asked:
    """A whole call: its requests, one for each choice, and how to answer."""

    chat: bool
    model: str
    requests: list[Request]
    stream: bool
    include_usage: bool
    choices_per_prompt: int


class Reader:
    """Turns the bodies of clients into requests for one model."""

    def __init__(self, model: TextModel, name: str) -> None:
        self.model, self.name = model, name
        self._tree: TokenTree | None = None
        self._masks: dict[str, JsonMask] = {}

    def read(self, body: Any, chat: bool) -> Asked:
        """Return what a call asks for, or raise BadRequestError."""
        fields = Fields(body, _FIELDS["chat" if chat else "completion"])
        self.check_model(fields.body.get("model"))
        prompts = [self._messages(fields)] if chat else self._prompts(fields)
        choices = fields.integer("n", 1, 1, MOST_CHOICES)
        try:
            requests = [
                request
                for place, prompt in enumerate(prompts)
                for request in self._requests(fields, prompt, choices, place, chat)
            ]
        except (ValueError, RecursionError) as error:  # the library's texts name the value
            raise BadRequestError(str(error)) from error
        usage = fields.mapping("stream_options").get("include_usage") is True
        return Asked(chat, self.name, requests, fields.flag("stream"), usage, choices)

    def check_model(self, name: Any) -> None:
        """Raise BadRequestError with status 404 unless this is the model that is served."""
        if not isinstance(name, str):
            raise BadRequestError(f"model is the name of a model; got {short(name)}.", "model")
        if name != self.name:
            raise BadRequestError(
                f"there is no model {name!r} here; this server has {self.name!r}.", "model", 404
            )

    def _requests(
        self, fields: Fields, prompt: list[int], choices: int, place: int, chat: bool
    ) -> list[Request]:
        context, stop = self.model.config.max_position_embeddings, self._stop(fields, prompt)
        if len(prompt) >= context:
            raise BadRequestError(
                f"the prompt must be shorter than the context length of {context} tokens; got "
                f"{len(prompt)} tokens. Shorten it."
            )
        limit = fields.integer("max_tokens", None, 1, 10**9)
        if chat:
            limit = fields.integer("max_completion_tokens", limit, 1, 10**9)
        elif limit is None:
            limit = COMPLETION_TOKENS
        room = context - len(prompt)
        seed = fields.integer("seed", None, -(2**63), 2**63 - 1)
        shared = {
            "max_new_tokens": min(room if limit is None else limit, room),
            "sampling": self._sampling(fields),
            "priority": fields.integer("priority", 0, -1000, 1000),
            "json": self._json(fields),
            "top_logprobs": self._logprobs(fields, chat),
        }
        seeds = [
            None if seed is None else (seed + place * choices + i) % 2**63 for i in range(choices)
        ]
        return [Request(tuple(prompt), stop=stop, seed=each, **shared) for each in seeds]

    def _prompts(self, fields: Fields) -> list[list[int]]:
        """Return the ids of one prompt or several, each given as text or as ids."""
        given = fields.body.get("prompt")
        several = isinstance(given, list) and not (given and type(given[0]) is int)
        prompts = []
        for each in given if isinstance(given, list) and several else [given]:
            if isinstance(each, str):
                prompts.append(self._ids(each))
            elif isinstance(each, list) and each and all(type(i) is int for i in each):
                prompts.append(each)
            else:
                raise BadRequestError(
                    f"prompt is a text, a list of token ids, or a list of these; got "
                    f"{short(each)}.", "prompt",
                )  # fmt: skip
        if not 1 <= len(prompts) <= MOST_CHOICES:
            raise BadRequestError(
                f"give 1 to {MOST_CHOICES} prompts; got {len(prompts)}.", "prompt"
            )
        return prompts

    def _ids(self, text: str) -> list[int]:
        try:
            return self.model.prompt_ids(text)
        except ValueError as error:
            raise BadRequestError(str(error), "prompt") from error

    def _messages(self, fields: Fields) -> list[int]:
        messages = fields.body.get("messages")
        shaped = isinstance(messages, list) and all(
            isinstance(m, Mapping) and isinstance(m.get("role"), str) for m in messages
        )
        texts = shaped and all(isinstance(m.get("content"), str) for m in messages or ())
        if not messages or not texts:
            raise BadRequestError(
                "messages is a list of objects with the texts role and content; got "
                f"{short(messages)}.", "messages",
            )  # fmt: skip
        try:
            return self.model.chat_ids(messages)
        except Exception as error:  # templates are programs, and raise what they like
            raise BadRequestError(str(error), "messages") from error

    def _sampling(self, fields: Fields) -> Sampling:
        return Sampling(
            temperature=fields.number("temperature", 1.0, 0, 2),
            top_p=fields.number("top_p", None, 0, 1),
            top_k=fields.integer("top_k", None, 1, 10**9),
            min_p=fields.number("min_p", None, 0, 1),
            repetition_penalty=fields.number("repetition_penalty", 1.0, 0.01, 100),
        )

    def _stop(self, fields: Fields, prompt: list[int]) -> Stop:
        given = fields.body.get("stop")
        strings = [] if given is None else [given] if isinstance(given, str) else given
        good = isinstance(strings, list) and all(isinstance(s, str) and s for s in strings)
        if not good or len(strings) > MOST_STOPS:
            raise BadRequestError(
                f"stop is a text or a list of up to {MOST_STOPS} texts, none of them empty; got "
                f"{short(given)}.", "stop",
            )  # fmt: skip
        return Stop(self.model.defaults.stop_ids, tuple(strings), self.model.decoder(prompt))

    def _json(self, fields: Fields) -> JsonMask | None:
        wanted = fields.mapping("response_format")
        kind = wanted.get("type", "text")
        if kind == "text":
            return None
        if kind == "json_object":
            return self._mask(None)
        if kind == "json_schema":
            described = wanted.get("json_schema")
            schema = described.get("schema") if isinstance(described, Mapping) else None
            if not isinstance(schema, Mapping):
                raise BadRequestError(
                    "response_format needs json_schema with a schema, an object; got "
                    f"{short(described)}.", "response_format",
                )  # fmt: skip
            return self._mask(schema)
        raise BadRequestError(
            "response_format has the type text, json_object or json_schema; got "
            f"{short(kind)}.", "response_format",
        )  # fmt: skip

    def _mask(self, schema: Mapping[str, Any] | None) -> JsonMask:
        """Return the mask of a schema, or of any object; those of the newest schemas are kept."""
        name = json.dumps(schema)
        mask = self._masks.get(name)
        if mask is None:
            if self._tree is None:
                self._tree = TokenTree.of(self.model.tokenizer)
            grammar = any_object() if schema is None else schema_grammar(schema)
            mask = self._masks[name] = JsonMask(grammar, self._tree)
            for oldest in list(self._masks)[:-KEPT_MASKS]:
                self._masks.pop(oldest, None)
        return mask

    def _logprobs(self, fields: Fields, chat: bool) -> int | None:
        if not chat:
            return fields.integer("logprobs", None, 0, MOST_LOGPROBS)
        count: int = fields.integer("top_logprobs", 0, 0, MOST_LOGPROBS)
        return count if fields.flag("logprobs") else None
