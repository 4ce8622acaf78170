"""Answers that only the exercises of this chapter need: a conversation as text, and no more.

The library's `render_chatml` also describes tools, writes calls of them, and accepts a system
message in first place only. Here is the frame alone, for any turns in any order.

Taught in:        tokenization
Checked against:  `course_lib.tokenization.chat.render_chatml`, where that accepts the messages
Shapes:           none; strings
"""

from collections.abc import Mapping, Sequence


def render_chatml(
    messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = False
) -> str:
    """Return the conversation as text: each turn in its frame, and an open one if it is asked for.

    The open turn has a role and a line break, no content and no end: the model goes on from there.
    """
    turns = [f"<|im_start|>{each['role']}\n{each['content']}<|im_end|>\n" for each in messages]
    if add_generation_prompt:
        turns.append("<|im_start|>assistant\n")
    return "".join(turns)
