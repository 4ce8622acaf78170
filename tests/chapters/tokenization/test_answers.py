import pytest

from course_lib.chapters.tokenization import answers
from course_lib.tokenization import chat

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": " Hi\n"}
ASSISTANT = {"role": "assistant", "content": "Hello 🙂"}


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(
    "messages", [[USER], [SYSTEM, USER], [USER, ASSISTANT], [SYSTEM, USER, ASSISTANT, USER]]
)
def test_text_is_that_of_the_library(messages, opened):
    assert answers.render_chatml(messages, opened) == chat.render_chatml(messages, opened)


def test_by_hand():
    expected = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert answers.render_chatml([{"role": "user", "content": "Hi"}], True) == expected


def test_turns_keep_their_order():
    assert answers.render_chatml([USER, SYSTEM]) == (
        answers.render_chatml([USER]) + answers.render_chatml([SYSTEM])
    )
