"""The tasks with which the small assistant learns to use two tools, and is measured.

    sum, difference, product    of numbers with up to four digits: the calculator
    place                       "Where is dedent?": the search
    thanks                      nothing to look up: no tool

A conversation that it learns from has a call, a result and an answer. The result is written by the
tool, so its tokens are read and not learned: `chat_example` labels what the assistant says.

    user       What is 38 times 5127?
    assistant  <tool_call>{"name": "calculator", "arguments": {"expression": "38*5127"}}</tool_call>
    tool       194826
    assistant  194826.

Some results are errors. Then the right answer says so; a model that has never seen a failure makes
a number up.

Taught in:        agents
Checked against:  Python's arithmetic; the held-out split of `assistant.arithmetic`
Shapes:           none
"""

import json
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.assistant.arithmetic import final_number, is_held_out
from course_lib.tokenization.chat import Message

KINDS = ("sum", "difference", "product", "place", "thanks")
SHARES = (0.25, 0.15, 0.35, 0.2, 0.05)
SIGNS = {"sum": "+", "difference": "-", "product": "*"}
PHRASINGS = {
    "sum": ("What is {a} plus {b}?", "{a} + {b} = ?", "Add {a} and {b}."),
    "difference": ("What is {a} minus {b}?", "{a} - {b} = ?"),
    "product": ("What is {a} times {b}?", "{a} * {b} = ?", "Multiply {a} by {b}."),
    "place": ("Where is {name}?", "Which module has {name}?"),
    "thanks": ("Thanks!", "Thank you.", "Hello!"),
}
WELCOME, FAILED = "You are welcome.", "Sorry, that did not work."
SEEN = 40  # characters of a result; a small model has a small context
FAILURES = 0.1
PLACES = (  # public names of the standard library, none of them seen in training
    ("textwrap", "dedent"), ("shutil", "copyfile"), ("bisect", "insort"), ("heapq", "heappush"),
    ("json", "dumps"), ("random", "shuffle"), ("math", "lcm"), ("string", "capwords"),
    ("itertools", "pairwise"), ("functools", "reduce"), ("operator", "itemgetter"),
    ("statistics", "median"), ("os", "listdir"), ("os.path", "basename"), ("glob", "glob"),
    ("time", "sleep"), ("struct", "unpack"), ("zlib", "crc32"), ("base64", "b64encode"),
    ("hashlib", "sha256"),
)  # fmt: skip


@dataclass(frozen=True)
class ToolTask:
    """A question, the call that answers it (None without one), its result, and the answer."""

    kind: str
    question: str
    call: tuple[str, dict[str, str]] | None
    result: str | None
    answer: str

    @property
    def call_text(self) -> str:
        """The call as the assistant writes it."""
        assert self.call is not None, "this task needs no tool"
        name, arguments = self.call
        return written_call(name, arguments)

    def messages(self) -> list[Message]:
        """Return the whole conversation, with its call and its result."""
        asked: list[Message] = [{"role": "user", "content": self.question}]
        if self.call is not None:
            asked.append({"role": "assistant", "content": self.call_text})
            asked.append({"role": "tool", "content": self.result})
        return [*asked, {"role": "assistant", "content": self.answer}]


def written_call(name: str, arguments: dict[str, str]) -> str:
    """Return a call in the layout of the chat template."""
    body = f'{{"name": {json.dumps(name)}, "arguments": {json.dumps(arguments)}}}'
    return f"<tool_call>\n{body}\n</tool_call>"


def arithmetic_task(kind: str, a: int, b: int, phrasing: int = 0) -> ToolTask:
    """Return the task to work out a sum, a difference or a product."""
    expression = f"{a}{SIGNS[kind]}{b}"
    value = {"sum": a + b, "difference": a - b, "product": a * b}[kind]
    question = PHRASINGS[kind][phrasing].format(a=a, b=b)
    call = "calculator", {"expression": expression}
    return ToolTask(kind, question, call, str(value), f"{value}.")


def place_task(module: str, name: str, about: str, phrasing: int = 0) -> ToolTask:
    """Return the task to find the module of a name; a search result begins with both."""
    question = PHRASINGS["place"][phrasing].format(name=name)
    result = f"{module}.{name}: {about}"[:SEEN]
    return ToolTask("place", question, ("search", {"query": name}), result, f"In {module}.")


def failed(task: ToolTask, message: str) -> ToolTask:
    """Return the task with a tool that fails, so that there is nothing to answer."""
    return ToolTask(task.kind, task.question, task.call, f"error: {message}"[:SEEN], FAILED)


def draw_task(source: random.Random, kind: str | None = None, fails: bool = True) -> ToolTask:
    """Return a random task of the training split."""
    chosen = kind or source.choices(KINDS, SHARES)[0]
    if chosen == "thanks":
        return ToolTask(chosen, source.choice(PHRASINGS[chosen]), None, None, WELCOME)
    if chosen == "place":
        task = _made_up_place(source)
    else:
        task = arithmetic_task(
            chosen, *_operands(source, held_out=False), source.randrange(len(PHRASINGS[chosen]))
        )
    if fails and source.random() < FAILURES:
        return failed(task, _word(source, " ", 4, 30))
    return task


def held_out_tasks(kind: str, digits: int, count: int, seed: int = 0) -> list[ToolTask]:
    """Return arithmetic with numbers of this many digits that no training text contains."""
    source = random.Random(f"tools {kind} {digits} {seed}")
    found: dict[tuple[int, int], ToolTask] = {}
    low, high = 10 ** (digits - 1), 10**digits - 1
    while len(found) < count:
        a, b = source.randint(low, high), source.randint(low, high)
        if digits > 4 or is_held_out(a, b):
            found.setdefault((a, b), arithmetic_task(kind, a, b, 0))
    return list(found.values())


def place_tasks() -> list[ToolTask]:
    """Return a task for each of `PLACES`."""
    return [place_task(module, name, "what it does", 0) for module, name in PLACES]


def _operands(source: random.Random, held_out: bool) -> tuple[int, int]:
    while True:
        a, b = (source.randrange(1, 10 ** source.randint(1, 4)) for _ in range(2))
        if is_held_out(a, b) == held_out:
            return a, b


def _made_up_place(source: random.Random) -> ToolTask:
    """Return a place with made-up names: letters, sometimes digits and underscores."""
    module = ".".join(_word(source, "", 2, 10) for _ in range(source.choice((1, 1, 1, 2))))
    name = _word(source, string.digits[:4] + "_", 2, 12)
    about = _word(source, " ", 0, 30)
    return place_task(module, name, about, source.randrange(len(PHRASINGS["place"])))


def _word(source: random.Random, more: str, least: int, most: int) -> str:
    letters = string.ascii_lowercase * 2 + more * 3
    length = source.randint(least, most)
    return "".join(source.choice(letters) for _ in range(length)).strip() or "x" * least


def is_right(task: ToolTask, answer: str) -> bool:
    """Return whether the answer ends with the right number, or is the right place."""
    if task.kind in SIGNS and task.answer != FAILED:
        return final_number(answer) == final_number(task.answer)
    return answer.strip() == task.answer


def share_right(tasks: Sequence[ToolTask], answers: Sequence[str]) -> float:
    """Return the share of answers that are right."""
    if not tasks or len(tasks) != len(answers):
        raise ValueError(
            "there must be one answer to each task, and at least one; got "
            f"{len(tasks)} tasks and {len(answers)} answers."
        )
    return sum(map(is_right, tasks, answers)) / len(tasks)
