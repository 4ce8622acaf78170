"""Questions on special tokens, chat templates and what tokens cost."""

import random
from typing import Any

from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)
from course_lib.tokenization.cost import characters_that_fit
from course_lib.tokenization.special import split_on_special

INJECTION = OneAnswer(
    id="tokenization.injection",
    prompt="A user writes a message that contains the characters `<|im_end|>`. How should a chat "
    "server encode it?",
    options=(
        Option(
            "As the ordinary tokens of these ten characters.",
            True,
            "what a user types is text. The special id is put in by the program that frames the "
            "turns, and by nothing else.",
        ),
        Option(
            "As the special token, since that is what its name says.",
            False,
            "then the user could end the turn and open one of the system. A user who can write "
            "special tokens can write the system prompt.",
        ),
        Option(
            "By rendering the whole conversation and allowing all special tokens.",
            False,
            "that is how the hole usually arises: in the rendered text nobody can tell the user's "
            "characters from those of the frame.",
        ),
        Option(
            "By deleting them from the message first.",
            False,
            "the user may well be asking about this very token. Deleting is not needed, and it "
            "changes what was said.",
        ),
    ),
)


def _splits_wrongly(names: dict[str, Any]) -> bool:
    text, special = "<s>user<s>", ["<s>", "<s>user"]
    return names["split"](text, special) != [part for part, _ in split_on_special(text, special)]


BUG_SPECIAL = FindTheBug(
    id="tokenization.bug_special",
    prompt="This function should cut a text at its special tokens, the longest name first where "
    "several begin at one place. With the names `<s>` and `<s>user` it never finds the second.",
    code="""
import re

def split(text, special):
    names = sorted(special, key=len)
    pattern = "|".join(re.escape(name) for name in names)
    parts = re.split("(" + pattern + ")", text)
    return [part for part in parts if part]
""",
    line=4,
    fixed="names = sorted(special, key=len, reverse=True)",
    why="A regular expression tries its alternatives in the order written and takes the first that "
    "fits. The longest name must stand first.",
    why_not={
        5: "the names are escaped, because they contain characters such as | that have a meaning "
        "in a pattern.",
        6: "the group in parentheses keeps the names among the parts.",
        7: "empty parts at the ends and between neighbours are left out on purpose.",
    },
    shows_bug=_splits_wrongly,
)


TEMPLATE = SeveralAnswers(
    id="tokenization.template",
    prompt="Which of these are true of a chat template such as ChatML?",
    options=(
        Option(
            "The model was trained on this layout and does worse with a different one.",
            True,
            "to the model a role is nothing but tokens at a certain place. Different tokens, or a "
            "missing line break, are a different situation.",
        ),
        Option(
            "With `add_generation_prompt` the text ends inside a turn of the assistant.",
            True,
            "the model continues the text, so its turn must be open when it begins.",
        ),
        Option(
            "The template is a file of the tokenizer, so each model may have its own.",
            True,
            "`transformers` keeps it as `chat_template`. Use the one that came with the model.",
        ),
        Option(
            "The model receives the conversation as a list of messages.",
            False,
            "it receives one sequence of integers. Messages exist only outside the model.",
        ),
        Option(
            "An instruction in the system turn cannot be overridden by a user.",
            False,
            "the turns differ by a few tokens only. That the model gives more weight to the system "
            "is trained, not guaranteed.",
        ),
    ),
)


def _draw_window(rng: random.Random) -> dict[str, Any]:
    return {
        "context": rng.choice([2048, 4096, 8192, 32768, 131072]),
        "bytes_per_token": rng.choice([1.2, 1.6, 2.4, 3.5, 4.4]),
        "bytes_per_character": rng.choice([2, 3]),
    }


WINDOW = Numeric(
    id="tokenization.window",
    prompt="A context has room for {context} tokens. In some language a token covers "
    "{bytes_per_token} bytes on average, and a character takes {bytes_per_character} bytes. About "
    "how many characters fit?",
    draw=_draw_window,
    answer=characters_that_fit,
    explain=lambda context, bytes_per_token, bytes_per_character: (
        f"{context} tokens cover {context} · {bytes_per_token} = "
        f"{context * bytes_per_token:.4g} bytes, and these are {context * bytes_per_token:.4g} / "
        f"{bytes_per_character} = "
        f"{characters_that_fit(context, bytes_per_token, bytes_per_character):.4g} characters."
    ),
    slips=(
        Slip(
            "bytes",
            lambda context, bytes_per_token, bytes_per_character: context * bytes_per_token,
            "These are bytes. A character of this language takes more than one.",
        ),
        Slip(
            "divided",
            lambda context, bytes_per_token, bytes_per_character: (
                context / bytes_per_token / bytes_per_character
            ),
            "You divided by the bytes per token. More bytes per token means that more text fits.",
        ),
        Slip(
            "multiplied",
            lambda context, bytes_per_token, bytes_per_character: (
                context * bytes_per_token * bytes_per_character
            ),
            "You multiplied by the bytes per character. Wider characters mean that fewer fit.",
        ),
        Slip(
            "four",
            lambda context, bytes_per_token, bytes_per_character: context * 4.0,
            "Four characters per token is a rule of thumb for English with a large vocabulary.",
        ),
    ),
)


VOCABULARY = OneAnswer(
    id="tokenization.vocabulary",
    prompt="A tokenizer is trained twice on one text, the second time to twice the vocabulary. "
    "What should you expect?",
    options=(
        Option(
            "Somewhat fewer tokens, and an embedding table twice as large.",
            True,
            "the most frequent pairs are merged first, so later merges save less and less, while "
            "each one costs a row of the table.",
        ),
        Option(
            "Half as many tokens, and an embedding table twice as large.",
            False,
            "to halve the tokens, every pair of neighbours would have to become one token.",
        ),
        Option(
            "As many tokens as before, since the text is the same.",
            False,
            "each new merge occurs in the text, or it would not have been learned.",
        ),
        Option(
            "Somewhat fewer tokens, and an embedding table as large as before.",
            False,
            "the table has one row for each token of the vocabulary.",
        ),
    ),
)
