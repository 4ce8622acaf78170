"""From a conversation to ids and labels: what the model reads, and what it is trained to write.

The ids are the whole conversation in its chat template. A label is the id itself where it belongs
to an answer, the token that ends the turn included, and -100 everywhere else: the model reads the
question, but is not trained to ask it.

    ids     <|im_start|> user \\n H i <|im_end|> \\n <|im_start|> assistant \\n Y o <|im_end|> \\n
    labels    -100 ...                                                         Y o <|im_end|> -100

Labels stand at the place of their id. The shift by one happens in the loss, once.

An answer is encoded apart from what comes before it, since that is how it is generated: the model
is given the prompt as finished tokens. Encoded together, a token might span the boundary.

Taught in:        fine_tuning
Paper:            Ouyang et al. 2022, arXiv:2203.02155
Checked against:  transformers' apply_chat_template with a mask of the assistant's tokens
Shapes:           T tokens of a conversation
"""

from collections.abc import Sequence
from typing import NamedTuple

from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.chat import END, START, Message, check_messages, encode_chat
from course_lib.training.objective import IGNORED as IGNORED

AFTER = {  # which roles may follow which
    "the beginning": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}


class Example(NamedTuple):
    """The ids of one conversation, and the label of each."""

    ids: list[int]
    labels: list[int]


def answer_labels(ids: Sequence[int], header: Sequence[int], end: int) -> list[int]:
    """Return the label of each id: itself in an answer, its `end` included, and -100 elsewhere.

    An answer begins after the ids of `header` and goes on to the next `end`; there may be several.
    """
    if not header:
        raise ValueError("the header of an answer must have at least one id; got none.")
    labels, answering = [], False
    for place, token in enumerate(ids):
        labels.append(token if answering else IGNORED)
        if answering:
            answering = token != end
        else:
            first = place + 1 - len(header)
            answering = first >= 0 and list(ids[first : place + 1]) == list(header)
    return labels


def chat_example(
    tokenizer: ByteBPE, messages: Sequence[Message], context: int | None = None
) -> Example:
    """Return ids and labels of a conversation; every answer in it is trained on."""
    check_turns(messages)
    ids: list[int] = []
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            prompt = encode_chat(tokenizer, messages[:place], add_generation_prompt=True)
            ids += prompt[len(ids) :]  # what the model is given when it has to answer
            ids += [*tokenizer.encode_ordinary(message["content"]), tokenizer.special_tokens[END]]
            ids += tokenizer.encode_ordinary("\n")
    if context is not None and len(ids) > context:
        raise ValueError(
            f"a conversation must fit into the context of {context} tokens, or its last answer "
            f"would be cut off before its end; got {len(ids)} tokens. Shorten it or leave it out."
        )
    return Example(ids, answer_labels(ids, answer_header(tokenizer), tokenizer.special_tokens[END]))


def answer_header(tokenizer: ByteBPE) -> list[int]:
    """Return the ids with which the template opens an answer."""
    return [tokenizer.special_tokens[START], *tokenizer.encode_ordinary("assistant\n")]


def check_turns(messages: Sequence[Message]) -> None:
    """Raise unless questions and answers alternate, and the last message is an answer."""
    check_messages(messages)
    before = "the beginning"
    for place, message in enumerate(messages):
        role = message["role"]
        if role not in AFTER[before]:
            raise ValueError(
                f"after {before!r} the role must be {' or '.join(AFTER[before])}; got {role!r} as "
                f"message {place}. Reorder the messages, or join two of the same role."
            )
        before = role
    if before != "assistant":
        raise ValueError(
            f"an example must end with an answer to train on; got a last message of {before!r}."
        )
