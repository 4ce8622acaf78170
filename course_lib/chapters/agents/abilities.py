"""What this chapter leaves you able to do."""

from course_lib.study.record.ability import ability

ABILITIES = (
    ability(
        "agents",
        "describe a function to a model, and find, check and run the calls in what it writes",
        exercises="schema calls arguments",
        questions="signature broken grammar fence masked",
    ),
    ability(
        "agents",
        "build the loop of an agent with budgets, errors and a memory, and resume a run without "
        "repeating its side effects",
        exercises="loop resume memory",
        questions="order begun twice summary read bug_gap",
    ),
    ability(
        "agents",
        "speak JSON-RPC and MCP by hand, and say which defence stops which planted text, and at "
        "what cost",
        exercises="rpc policy",
        questions="notification is_error forged",
    ),
)
