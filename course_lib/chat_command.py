"""`course chat`: a conversation with a model in the terminal, or through a pipe.

What the model writes goes to standard output, everything else to standard error, so that

    echo "def main():" | course chat > answer.txt

keeps the answer and nothing more. Ctrl-C stops an answer, not the conversation; Ctrl-D ends it.
"""

import contextlib
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

import course_lib
from course_lib.compression import use_quantised_cache
from course_lib.generation.conversation import Conversation
from course_lib.generation.processors import SamplingChanges
from course_lib.generation.text_model import ANSWER_TOKENS, TextModel

PROMPT = "> "
FOR_BASE_MODELS: SamplingChanges = {"temperature": 0.8, "top_p": 0.9}  # greedy, they go in circles
HELP = """\
  /reset   begin a new conversation
  /help    show this
  /quit    leave; so does Ctrl-D
  Ctrl-C   stop the answer
Anything else is for the model."""
# A model may write control characters, which a terminal obeys; there they are shown instead.
VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}


def chat(
    source: str | Path | None,
    seed: int | None = None,
    max_new_tokens: int | None = None,
    cache_bits: int | None = None,
    **sampling: Unpack[SamplingChanges],
) -> int:
    """Talk until the input ends; return the exit status."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if terminal:
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401  gives `input` its history and its arrow keys
    model = course_lib.load(source)
    if cache_bits is not None:
        use_quantised_cache(model.model, cache_bits)
    _tell(_greeting(model, source))
    if max_new_tokens is None:
        max_new_tokens = model.defaults.max_new_tokens or ANSWER_TOKENS
    if not sampling and model.chat_template is None and model.defaults.sampling.is_greedy:
        sampling = FOR_BASE_MODELS
    conversation = Conversation(model, model.sampling(**sampling), seed)
    session = Session(conversation, max_new_tokens, terminal)
    while session.turn():
        pass
    return int(session.failed and not terminal)


class Session:
    """One conversation at the keyboard, or from a pipe."""

    def __init__(self, conversation: Conversation, max_new_tokens: int, terminal: bool) -> None:
        self.conversation = conversation
        self.max_new_tokens = max_new_tokens
        self.terminal = terminal
        self.failed = False

    def turn(self) -> bool:
        """Take one line and do what it says; return whether there may be another."""
        try:
            line = input(PROMPT if self.terminal else "")
        except EOFError:
            if self.terminal:
                print()
            return False
        except KeyboardInterrupt:
            if not self.terminal:
                raise
            _tell("\n(/quit or Ctrl-D leaves)")
            return True
        command = line.strip()
        if command.startswith("/") and command[1:].isalpha():
            return self._command(command)
        if command:
            self._answer(line)
        return True

    def _command(self, command: str) -> bool:
        if command == "/reset":
            self.conversation.reset()
            _tell("(a new conversation)")
        elif command == "/help":
            _tell(HELP)
        elif command != "/quit":
            _tell(f"There is no command {command}; /help shows which there are.")
        return command != "/quit"

    def _answer(self, text: str) -> None:
        """Print what the model writes as it comes; Ctrl-C stops it."""
        base = self.conversation.model.chat_template is None
        respond = self.conversation.continue_text if base else self.conversation.say
        try:
            with contextlib.closing(respond(text, self.max_new_tokens)) as pieces:
                show(pieces, self.terminal)
        except KeyboardInterrupt:
            if not self.terminal:
                raise
            print(flush=True)
            _tell("(stopped)")
        except ValueError as error:
            self.failed = True
            _tell(f"{error}" if base else f"{error} /reset begins a new conversation.")


def show(pieces: Iterable[str], terminal: bool) -> None:
    """Print pieces as they come, and a line's end after the last."""
    for piece in pieces:
        print(piece.translate(VISIBLE) if terminal else piece, end="", flush=True)
    print(flush=True)


def _greeting(model: TextModel, source: str | Path | None) -> str:
    name = "the course's own model" if source is None else str(source)
    keys = "/help shows the commands."
    if model.chat_template is None:
        return (
            f"This is {name}, a base model without a chat template: it does not answer, it "
            f"continues each line that you type. {keys}"
        )
    return f"This is {name}. {keys}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
