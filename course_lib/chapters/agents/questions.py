"""The questions that close this notebook.

Taught in:        agents
Checked against:  `course_lib.agents`, from which the numeric answers are computed
"""

from typing import Any

from course_lib.agents import tokens_read
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Slip, right, wrong

SIGNATURE = OneAnswer(
    "agents.signature",
    "Why is the schema of a tool made from the function's signature, and not written by hand?",
    (
        right(
            "Then what the model is told and what the function takes cannot disagree.",
            "There is one place where the arguments are described.",
        ),
        wrong(
            "A schema that is written by hand cannot be checked against JSON Schema by the server.",
            "It can be checked just as well; it may be valid and still describe a different tool.",
        ),
        wrong(
            "Models have been trained on Python, and so they understand Python's signatures best.",
            "What the model reads is JSON Schema in both cases.",
        ),
    ),
)

BROKEN = OneAnswer(
    "agents.broken",
    "A model writes a call whose JSON is broken. What should the program do?",
    (
        right(
            "Give the model the error as text, and let it go on.",
            "It can read what is wrong and write the call again.",
        ),
        wrong(
            "Ignore the block, since no tool can be called with it, and wait for the next turn.",
            "The model gets no result and cannot know that its call was not understood.",
        ),
        wrong(
            "Repair the JSON as well as possible, and run what was probably meant by the model.",
            "A guess at an action is worse than no action: it may delete the wrong file.",
        ),
        wrong(
            "End the run with an error.",
            "The mistake is small and common. A loop that ends here ends often.",
        ),
    ),
)

MASKED = OneAnswer(
    "agents.masked",
    "In a conversation for training, a call is followed by the tool's result and an answer. Which "
    "tokens are targets?",
    (
        right(
            "Those of the call and of the answer.",
            "That is what the model will have to write.",
        ),
        wrong(
            "Those of the call, the result and the answer: everything after the question.",
            "Trained on results, the model learns to make them up.",
        ),
        wrong(
            "Those of the answer only, since the call can be forced by a grammar.",
            "A grammar gives the form. The choice of the tool and its arguments must be learned.",
        ),
    ),
)

GRAMMAR = SeveralAnswers(
    "agents.grammar",
    "A model is held to a grammar of calls. What can still be wrong with its call?",
    (
        right("A number in it may be miscopied.", "The grammar knows digits, not the question."),
        right(
            "It may be the wrong one of two tools.",
            "Both are allowed; the grammar does not choose.",
        ),
        wrong(
            "The name of the tool may not exist.",
            "Only the names of the given tools can be written.",
        ),
        wrong("A required argument may be missing.", "The object cannot be closed without it."),
    ),
)

FENCE = SeveralAnswers(
    "agents.fence",
    "A tool runs in a separate process, with limits on time and output. What does that prevent?",
    (
        right(
            "An endless loop in the tool stops the agent.",
            "The process is stopped when its time is up.",
        ),
        right(
            "A crash of the tool takes the agent down with it.",
            "Only the tool's process dies.",
        ),
        wrong(
            "The tool deletes files of the user.",
            "The process has the user's rights. That needs a sandbox.",
        ),
        wrong("The tool returns a wrong result.", "Limits know nothing of right and wrong."),
    ),
)

BEGUN = OneAnswer(
    "agents.begun",
    "After a crash the log ends with: the call `pay` has begun. What may the agent do?",
    (
        right(
            "Tell the model that the outcome is unknown, and not run it again.",
            "The payment may have been made just before the crash.",
        ),
        wrong(
            "Run it again, because a call without a result cannot have taken effect yet.",
            "The effect comes before the result is written down.",
        ),
        wrong(
            "Treat it as done, because the log says that the call was started.",
            "It may have been killed before it did anything.",
        ),
        wrong(
            "Begin the whole run again from the task, with an empty log.",
            "Then everything before it is repeated, too.",
        ),
    ),
)

ORDER = OrderSteps(
    id="agents.order",
    prompt="Put the steps in the life of one call in order.",
    steps=(
        "The model writes a block of text.",
        "The block is parsed, and the tool is looked up.",
        "The arguments are checked against the schema.",
        "A policy, and perhaps a person, allows the call.",
        "The log says that the call begins.",
        "The tool runs in its process.",
        "The log gets the result, and the model reads it.",
    ),
    explanation="Whatever fails before the log says that the call begins has certainly had no "
    "effect. Between that line and the result nobody can know.",
)

TWICE = OneAnswer(
    "agents.twice",
    "A model sends two calls of `send_mail` with the same id. What is safest?",
    (
        right(
            "Run the first, and refuse the second with an error.",
            "A result could not be matched to its call, and the second may be a repetition.",
        ),
        wrong(
            "Run both and return both results under the id that they share.",
            "The model cannot tell which result is which, and a repeated call is sent twice.",
        ),
        wrong(
            "Run the second one only, since it is newer and corrects the first.",
            "Nothing says that it is a correction.",
        ),
    ),
)

NOTIFICATION = OneAnswer(
    "agents.notification",
    "A JSON-RPC server gets a message without id whose method it does not know. What does it "
    "answer?",
    (
        right("Nothing.", "A message without id is a notification, and is never answered."),
        wrong(
            "The error −32601, with the id null.",
            "Nobody waits for it. It would be an answer to something else.",
        ),
        wrong(
            "The error −32600, since a message must have an id.",
            "A notification has none, and is valid.",
        ),
    ),
)

IS_ERROR = OneAnswer(
    "agents.is_error",
    "In MCP, a tool divides by zero. How does its server say so?",
    (
        right(
            "With a result that has isError true and a text.",
            "The call itself worked. The model should read what went wrong.",
        ),
        wrong(
            "With a JSON-RPC error of code −32603, internal error.",
            "That is for the program on the other side, for failures of the protocol.",
        ),
        wrong(
            "With no answer, so that the client runs into its time limit.",
            "Then nobody learns what happened.",
        ),
    ),
)

FORGED = SeveralAnswers(
    "agents.forged",
    "An email has a forged sender, and the agent is asked to answer it. No text gives an order. "
    "Which defences keep the answer from going to the forger?",
    (
        right(
            "Provenance: the address is not among the user's words.",
            "A person is asked before the mail is sent.",
        ),
        right(
            "An allow-list of addresses, if the forger's is not in it.",
            "It looks at the call, wherever the address came from.",
        ),
        wrong(
            "A filter for suspicious sentences.", "There is no sentence to find, only an address."
        ),
        wrong(
            "A dual model: the planner sees only symbols.",
            "The symbol stands for the forged address, and the program puts it in.",
        ),
    ),
)

SUMMARY = OneAnswer(
    "agents.summary",
    "A long conversation with web pages in it was replaced by a summary that a model wrote. How "
    "trustworthy is the summary?",
    (
        right(
            "As little as the pages.",
            "An order in a page may have been carried over, or obeyed by the model that wrote it.",
        ),
        wrong(
            "More than the pages, since a model has read and condensed them in between.",
            "The model may have obeyed what it read.",
        ),
        wrong(
            "As much as the user's own words, since it is in a turn of the user.",
            "The role in a prompt does not change who wrote the text.",
        ),
    ),
)

READ = Numeric(
    id="agents.read",
    prompt="An agent's prompt has {base} tokens at first, and each turn adds {per_turn}. Without a "
    "prefix cache, how many tokens do {turns} turns read in all?",
    draw=lambda rng: {
        "base": 100 * rng.randint(5, 40),
        "per_turn": 50 * rng.randint(2, 12),
        "turns": rng.randint(4, 20),
    },
    answer=lambda base, per_turn, turns: tokens_read(base, per_turn, turns),
    explain=lambda base, per_turn, turns: (
        f"{turns} · {base} + {per_turn} · {turns} · {turns - 1} / 2 = "
        f"{tokens_read(base, per_turn, turns)}."
    ),
    tolerance=0.006,
    slips=(
        Slip(
            "only what is new",
            lambda base, per_turn, turns: tokens_read(base, per_turn, turns, cached=True),
            "That is what a prefix cache leaves. Without one, each turn reads everything again.",
        ),
        Slip(
            "the first turn grown",
            lambda base, per_turn, turns: turns * base + per_turn * turns * (turns + 1) // 2,
            "The first turn reads only the base; the second one reads base + 1 turn.",
        ),
    ),
)


def _has_gap(names: dict[str, Any]) -> bool:
    return bool(names["trim"](["a", "b", "c"], [1, 9, 1], 5) != ["c"])


BUG = FindTheBug(
    id="agents.bug_gap",
    prompt="The memory of an agent keeps the newest turns that fit. Sometimes the model answers a "
    "question whose middle it has never seen.",
    code="""
def trim(turns, sizes, budget):
    kept = []
    for turn, size in zip(turns[::-1], sizes[::-1]):
        if size > budget:
            continue
        budget -= size
        kept.insert(0, turn)
    return kept
""",
    line=5,
    fixed="break",
    why="A turn that does not fit must end the search. Here older, smaller turns are kept before a "
    "gap, and the conversation looks whole to the model.",
    why_not={
        1: "The turns, their sizes and the budget are all that is needed.",
        2: "Nothing is kept before the first turn has been looked at.",
        3: "The newest turns come first, so the lists are read from their ends.",
        4: "A turn that fits exactly is kept.",
        6: "What is kept takes room.",
        7: "The turns come out in their own order again.",
    },
    shows_bug=_has_gap,
)

QUESTIONS = (
    SIGNATURE,
    BROKEN,
    MASKED,
    GRAMMAR,
    FENCE,
    BEGUN,
    ORDER,
    TWICE,
    NOTIFICATION,
    IS_ERROR,
    FORGED,
    SUMMARY,
    READ,
    BUG,
)
