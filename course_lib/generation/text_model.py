"""The front door: a checkpoint as one object that takes text and returns text.

Everything else in the course works on ids and tensors. Here the parts are put together for users:
the model with its tokenizer, and the checkpoint's stop ids, sampling settings and chat template.

    model = course_lib.load("Qwen/Qwen3-0.6B")
    model.generate("The capital of France is")          the completion, without the prompt
    model.stream("The capital of France is")            the same in pieces, as they are generated
    model.chat([{"role": "user", "content": "Hello"}])  an answer in pieces

Taught in:        generation
Checked against:  transformers' generate, and its pipeline for text generation
Shapes:           B prompts, T prompt tokens
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack, overload

import torch

from course_lib.checkpoint import load_config, load_model, load_tokenizer, local_folder
from course_lib.device import default_device, seeded
from course_lib.generation.cached_reader import LanguageModel, left_pad
from course_lib.generation.checkpoint_defaults import (
    CONFIG,
    TOKENIZER_CONFIG,
    CheckpointDefaults,
    checkpoint_defaults,
    read_settings,
)
from course_lib.generation.decoding import generate, stream, text_pieces
from course_lib.generation.processors import Sampling, SamplingChanges
from course_lib.generation.stopping import Decode, Stop
from course_lib.model import DecoderLM, ModelConfig
from course_lib.model.config import FAMILIES
from course_lib.pretrained import FOLDER
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import Message
from course_lib.tokenization.chat_template import (
    ChatTemplate,
    encode_conversation,
    read_chat_template,
)
from course_lib.tokenization.huggingface import Tokenizer

NEW_TOKENS, ANSWER_TOKENS = 256, 1024  # the limits if neither caller nor checkpoint gives one


@dataclass(repr=False)
class TextModel:
    """A model with its tokenizer and its checkpoint's defaults; text in, text out."""

    model: DecoderLM
    tokenizer: Tokenizer
    defaults: CheckpointDefaults
    chat_template: ChatTemplate | None = None

    def __repr__(self) -> str:
        dtype = self.model.lm_head.weight.dtype
        return f"<TextModel: {self.config.model_type} on {self.device}, {dtype}>"

    @property
    def config(self) -> ModelConfig:
        """The shape of the model."""
        return self.model.config

    @property
    def rotation_moves(self) -> bool:
        """Whether the rotation of a key depends on how long the text is."""
        return self.config.rope_parameters.get("rope_type") in ("dynamic", "longrope")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.lm_head.weight.device

    @overload
    def generate(
        self, prompt: str, max_new_tokens: int | None = None, *, stop: str | Sequence[str] = (),
        seed: int | None = None, **sampling: Unpack[SamplingChanges],
    ) -> str: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: list[str], max_new_tokens: int | None = None, *,
        stop: str | Sequence[str] = (), seed: int | None = None,
        **sampling: Unpack[SamplingChanges],
    ) -> list[str]: ...  # fmt: skip

    def generate(
        self,
        prompt: str | list[str],
        max_new_tokens: int | None = None,
        *,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        **sampling: Unpack[SamplingChanges],
    ) -> str | list[str]:
        """Return the completion of a prompt, without the prompt; a list of prompts gives a list.

        It ends at a stop id of the checkpoint, before one of the strings `stop`, after
        `max_new_tokens` tokens, or at the context length. Sampling settings are the checkpoint's
        unless given here: temperature (0 is greedy), top_k, top_p, min_p, repetition_penalty.
        """
        if isinstance(prompt, str):
            limit = max_new_tokens
            return "".join(self.stream(prompt, limit, stop=stop, seed=seed, **sampling))
        generator = None if seed is None else seeded(seed)
        rows = [self.prompt_ids(each) for each in prompt]
        settings = self.sampling(**sampling), _strings(stop), generator
        if self.rotation_moves:  # then rows of a batch would change each other
            limits = [self.room(row, max_new_tokens) for row in rows]
            pairs = zip(rows, limits, strict=True)
            return ["".join(self.pieces(row, limit, *settings)) for row, limit in pairs]
        return self._batch(rows, max_new_tokens, *settings) if rows else []

    def _batch(
        self,
        rows: list[list[int]],
        max_new_tokens: int | None,
        sampling: Sampling,
        stop_strings: tuple[str, ...],
        generator: torch.Generator | None,
    ) -> list[str]:
        stop = Stop(self.defaults.stop_ids, stop_strings, self.decoder([]))
        ids, padding = left_pad(rows)
        tokens = generate(
            self.model,
            ids.to(self.device),
            self.room(max(rows, key=len), max_new_tokens),
            sampling,
            padding=padding.to(self.device),
            stop=stop,
            generator=generator,
        )
        written = zip(tokens.tolist(), map(self.decoder, rows), strict=True)
        return ["".join(text_pieces(row, decode, stop)) for row, decode in written]

    def stream(
        self,
        prompt: str,
        max_new_tokens: int | None = None,
        *,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        **sampling: Unpack[SamplingChanges],
    ) -> Iterator[str]:
        """Return the completion in pieces, as they are generated; otherwise like `generate`."""
        ids = self.prompt_ids(prompt)
        count = self.room(ids, max_new_tokens)
        generator = None if seed is None else seeded(seed)
        return self.pieces(ids, count, self.sampling(**sampling), _strings(stop), generator)

    def chat(
        self,
        messages: Sequence[Message],
        max_new_tokens: int | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        **sampling: Unpack[SamplingChanges],
    ) -> Iterator[str]:
        """Return the assistant's answer to a conversation in pieces, as they are generated.

        `tools` and `variables` go to the chat template. Special tokens spelled out in a message
        are treated as text.
        """
        ids = self.chat_ids(messages, tools, variables)
        count = self.room(ids, max_new_tokens, ANSWER_TOKENS)
        generator = None if seed is None else seeded(seed)
        return self.pieces(ids, count, self.sampling(**sampling), _strings(stop), generator)

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids of a prompt; special tokens in it are parsed, as in transformers."""
        defaults = self.defaults
        text = self.tokenizer.encode(prompt, allowed_special="all")
        ids = [*defaults.before, *text, *defaults.after]
        if not ids and defaults.first_id is not None:
            return [defaults.first_id]
        if not ids:
            raise ValueError(
                "a prompt must have at least one token, since this checkpoint has no first token "
                "(bos_token_id); got ''. Give a prompt that is not empty."
            )
        return ids

    def chat_ids(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Return the ids of a conversation, up to where the answer begins."""
        if self.chat_template is None:
            raise ValueError(
                "chat needs a checkpoint with a chat template, in chat_template.jinja or in "
                "tokenizer_config.json; got one without, as base models are. Use generate, load an "
                "instruction-tuned checkpoint, or set model.chat_template = ChatTemplate(...)."
            )
        special = self.tokenizer.special_tokens.items()
        return encode_conversation(
            self.tokenizer,
            self.chat_template,
            messages,
            protected=[name for name, i in special if i in self.defaults.hidden_ids],
            tools=tools,
            variables=variables,
        )

    def sampling(self, **changes: Unpack[SamplingChanges]) -> Sampling:
        """Return the checkpoint's sampling with changes; top_k, top_p or min_p alone turn it on."""
        chosen = self.defaults.sampling
        draws = {"top_k", "top_p", "min_p"} & changes.keys()
        if chosen.is_greedy and draws and "temperature" not in changes:
            chosen = replace(chosen, temperature=1.0)
        return replace(chosen, **changes)

    def pieces(
        self,
        ids: list[int],
        max_new_tokens: int,
        sampling: Sampling,
        stop_strings: tuple[str, ...] = (),
        generator: torch.Generator | None = None,
        reader: LanguageModel | None = None,
    ) -> Iterator[str]:
        """Yield what is generated after `ids`; `reader` may replace the model."""
        decode = self.decoder(ids)
        stop = Stop(self.defaults.stop_ids, stop_strings, decode)
        prompt = torch.tensor([ids], device=self.device)
        model = self.model if reader is None else reader
        tokens = stream(model, prompt, max_new_tokens, sampling, stop=stop, generator=generator)
        yield from text_pieces((int(token) for token in tokens), decode, stop)

    def room(
        self, ids: Sequence[int], asked: int | None = None, otherwise: int = NEW_TOKENS
    ) -> int:
        """Return how many tokens to generate: as requested, within the context length."""
        limit = self.config.max_position_embeddings
        if len(ids) >= limit:
            raise ValueError(
                f"a prompt must be shorter than the context length of {limit} tokens; got "
                f"{len(ids)} tokens. Shorten it."
            )
        if asked is None:
            asked = self.defaults.max_new_tokens or otherwise
        return min(asked, limit - len(ids))

    def decoder(self, prompt: list[int]) -> Decode:
        """Return the function that decodes new ids: special tokens are hidden, spaces are kept."""
        hidden, known, decode = (
            self.defaults.hidden_ids,
            self.tokenizer.tokens,
            self.tokenizer.decode,
        )

        def visible(ids: list[int]) -> list[int]:
            return [i for i in ids if i in known and i not in hidden]

        if isinstance(self.tokenizer, ByteBPE):
            return lambda ids: decode(visible(ids))
        # Other tokenizers drop a leading space, so the prompt is decoded together with the text.
        shown = visible(prompt)
        length = len(decode(shown))
        return lambda ids: decode([*shown, *visible(ids)])[length:]


def load(
    name_or_folder: str | Path | None = None,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    download: bool = True,
) -> TextModel:
    """Return a checkpoint ready to generate: a folder, a hub name, or the course's own model.

    The weights go to the best device of this machine, in the number type of the file; on a CPU,
    float16 becomes float32, which is faster there. With `download=False` a hub name is only
    looked up in the local cache.
    """
    folder = FOLDER if name_or_folder is None else local_folder(name_or_folder, download)
    _require_decoder(folder)
    tokenizer = load_tokenizer(folder)
    defaults = checkpoint_defaults(folder, tokenizer)
    template = read_chat_template(folder, read_settings(folder / TOKENIZER_CONFIG))
    device = default_device() if device is None else torch.device(device)
    model = load_model(folder, dtype, device)
    assert isinstance(model, DecoderLM), "`_require_decoder` let a model of another kind pass"
    if dtype is None and device.type == "cpu" and next(model.parameters()).dtype == torch.float16:
        model = model.float()
    return TextModel(model.prepare_to_write(), tokenizer, defaults, template)


def _require_decoder(folder: Path) -> None:
    settings = read_settings(folder / CONFIG)
    if settings and settings.get("model_type") not in FAMILIES:
        raise ValueError(
            f"only a decoder of a known family generates text, model_type one of {FAMILIES}; got "
            f"{settings.get('model_type')!r} in {folder}. Load this checkpoint with transformers."
        )
    load_config(folder)  # raises an error for everything else, before any weight is read


def _strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)
