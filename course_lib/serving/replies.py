"""What a client hears: OpenAI's answers, whole or as a stream of events.

A stream is plain HTTP that stays open. Each event is a line `data: {...}` and an empty line, the
last one `data: [DONE]` (server-sent events). A piece of text that was sent cannot be taken back, so
an incomplete character, or what may become a stop string, is held until it is clear what it is.

Taught in:        serving
Checked against:  the official `openai` client
Shapes:           none
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from course_lib.serving.engine import Event
from course_lib.serving.protocol import Asked
from course_lib.serving.request import Job, TokenLogprobs

DONE = "data: [DONE]\n\n"


class Choice:
    """One text that is being generated: what of it has been sent, and what is left."""

    def __init__(self, job: Job, index: int) -> None:
        self.job, self.index = job, index
        self.ids: list[int] = []
        self.sent = ""
        self.reported = 0  # tokens whose log-probabilities have been sent
        self.finish: str | None = None

    def take(self, event: Event) -> str:
        """Add what a step gave; return the text that can be shown now."""
        stop, decode = self.job.request.stop, self.job.request.stop.decode
        assert decode is not None, "the protocol gives every request a decoder"
        self.ids += [token for token in event.tokens if token not in stop.ids]
        self.finish = event.finish or self.finish
        text = decode(self.ids)
        text = stop.shown(text) if event.finish is None else text[: stop.place_in(text)]
        piece, self.sent = text[len(self.sent) :], max(text, self.sent, key=len)
        return piece

    def new_logprobs(self) -> list[tuple[int, TokenLogprobs]]:
        """Return the tokens, with their log-probabilities, that have not been reported yet."""
        pairs = list(zip(self.job.new, self.job.logprobs, strict=False))[self.reported :]
        self.reported += len(pairs)
        return [(token, each) for token, each in pairs if token not in self.job.request.stop.ids]


class Reply:
    """The answer to one call, in the form that its client expects."""

    def __init__(self, asked: Asked, jobs: list[Job]) -> None:
        self.asked = asked
        self.choices = [Choice(job, index) for index, job in enumerate(jobs)]
        self._of = {choice.job: choice for choice in self.choices}
        kind = "chatcmpl" if asked.chat else "cmpl"
        self.id, self.created = f"{kind}-{uuid.uuid4().hex}", int(time.time())

    @property
    def error(self) -> str | None:
        """Why the answer failed, if it did."""
        return next((c.job.error or "failed" for c in self.choices if c.finish == "error"), None)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return all(choice.finish is not None for choice in self.choices)

    def first_events(self) -> Iterator[str]:
        """Yield what a chat's stream begins with: the role of who speaks."""
        if self.asked.chat:
            for choice in self.choices:
                delta = {"role": "assistant", "content": ""}
                yield self._event([{**self._part(choice), "delta": delta}])

    def event(self, event: Event) -> str | None:
        """Return what to send for a step of the engine; None if nothing can be shown yet."""
        choice = self._of[event.job]
        piece = choice.take(event)
        if event.finish == "error":
            return _data(error_body(self.error or "failed", "server_error"))
        if not piece and event.finish is None:
            return None
        part = self._part(choice)
        if self.asked.chat:
            part["delta"] = {"content": piece} if piece else {}
        else:
            part["text"] = piece
        return self._event([part])

    def last_events(self) -> Iterator[str]:
        """Yield what a stream ends with."""
        if self.asked.include_usage:
            yield self._event([], usage=self.usage())
        yield DONE

    def whole(self, texts: list[str]) -> dict[str, Any]:
        """Return the answer as one object; `texts` belong to the choices."""
        parts = []
        for choice, text in zip(self.choices, texts, strict=True):
            part = self._part(choice)
            if self.asked.chat:
                part["message"] = {"role": "assistant", "content": text}
            else:
                part["text"] = text
            parts.append(part)
        return {**self._frame(stream=False), "choices": parts, "usage": self.usage()}

    def usage(self) -> dict[str, Any]:
        """Return how many tokens were read, generated, and found in the cache."""
        prompts = self.choices[:: self.asked.choices_per_prompt]  # each prompt counts once
        read = sum(len(choice.job.request.prompt) for choice in prompts)
        new = sum(len(choice.job.new) for choice in self.choices)
        cached = sum(choice.job.cached for choice in prompts)
        return {
            "prompt_tokens": read,
            "completion_tokens": new,
            "total_tokens": read + new,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def _frame(self, stream: bool) -> dict[str, Any]:
        kind = "text_completion"
        if self.asked.chat:
            kind = "chat.completion.chunk" if stream else "chat.completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.asked.model}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return _data({**self._frame(stream=True), "choices": choices, **more})

    def _part(self, choice: Choice) -> dict[str, Any]:
        return {
            "index": choice.index,
            "finish_reason": choice.finish,
            "logprobs": self._logprobs(choice),
        }

    def _logprobs(self, choice: Choice) -> dict[str, Any] | None:
        pairs = choice.new_logprobs()
        decode = choice.job.request.stop.decode
        if choice.job.request.top_logprobs is None or not pairs or decode is None:
            return None
        tokens = [(decode([token]), each) for token, each in pairs]
        tops = [[(decode([t]), p) for t, p in each.top] for _, each in tokens]
        if not self.asked.chat:
            return {
                "tokens": [text for text, _ in tokens],
                "token_logprobs": [each.logprob for _, each in tokens],
                "top_logprobs": [dict(top) for top in tops],
            }
        return {
            "content": [
                {**_token(text, each.logprob), "top_logprobs": [_token(*pair) for pair in top]}
                for (text, each), top in zip(tokens, tops, strict=True)
            ]
        }


def error_body(message: str, kind: str, field: str | None = None) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": field, "code": None}}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
