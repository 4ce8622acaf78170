"""Every accident of an answer, in one kernel: it is named, and nothing of it stays behind."""

import time

import pytest

from course_lib.study.record.progress import FILE_NAME, Store

STABLE = "softmax.stable"
ANSWER = f"""from course_lib.study.check.decorator import exercise
@exercise("{STABLE}")
def mine(x, dim=-1):
    """
RIGHT = "return torch.softmax(x, dim)"
BEGIN = f"""import math, os, signal, sys, torch
from course_lib.study.check.decorator import exercise
given = torch.arange(3.0)
torch.manual_seed(7)
state, alarm = torch.get_rng_state(), signal.getsignal(signal.SIGALRM)

@exercise("softmax.log")
def earlier(x, dim=-1):
    {RIGHT.replace("softmax", "log_softmax")}
"""
LATER = """print(torch.softmax(given, -1), given, torch.rand(2, generator=torch.Generator()).dtype)
print(torch.equal(torch.get_rng_state(), state), torch.is_grad_enabled(), round(math.exp(1), 3))
print(signal.getsignal(signal.SIGALRM) is alarm, torch.get_num_threads())
print("to stderr", file=sys.stderr)"""

MUCH = "10_000_000"
ACCIDENTS = {
    "a loop without end": ("while True: pass", "does a loop end?"),
    "recursion without end": ("return mine_again(x)", "RecursionError"),
    "an error": ("return x[17]", "IndexError"),
    "exit": ("sys.exit(3)", "SystemExit: 3"),
    "quit by hand": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an exit of generators": ("raise GeneratorExit", "GeneratorExit"),
    "much on stdout": (f"print('y' * {MUCH})", "You printed"),
    "much on stderr": (f"print('y' * {MUCH}, file=sys.stderr)", "You printed"),
    "much around print": (f"os.write(1, b'y' * {MUCH}); os.write(2, b'y' * {MUCH})", "nothing"),
    "much on the first stdout": (f"print('y' * {MUCH}, file=sys.__stdout__)", "nothing (None)"),
    "no tensor": ("return 'text'", "got a str"),
    "no number": ("return x * torch.nan", "nan (not a number)"),
    "a huge tensor": ("return torch.zeros(50_000_000)", "got (50000000,)"),
    "an expanded tensor": ("return torch.zeros(1).expand(10**9)", "got (1000000000,)"),
    "a change of the input": ("x -= x.amax(dim, keepdim=True)", "changed its input in place"),
    "a default type": (
        f"torch.set_default_dtype(torch.float64); {RIGHT}",
        "changed torch's default dtype",
    ),
    "another number of threads": (
        f"torch.set_num_threads(torch.get_num_threads() + 1); {RIGHT}",
        "changed torch's number of threads",
    ),
}
FINE = {
    "a non-contiguous result": "p = torch.softmax(x, dim); return torch.stack([p, p], -1)[..., 0]",
    "a result that requires grad": "return torch.softmax(x, dim).requires_grad_()",
    "a seed": f"torch.manual_seed(0); {RIGHT}",
    "a layer for its own sake": f"torch.nn.Linear(2, 2); {RIGHT}",
    "deeper recursion": f"sys.setrecursionlimit(5000); {RIGHT}",
    "a right answer": RIGHT,
}


@pytest.fixture
def earlier(machine):
    """A learner's results from the day before."""
    results = Store(machine.home / FILE_NAME)
    results.record_exercise("rope.rotate", "passed")
    results.record_question("softmax.shift", True)
    results.record_hint(STABLE, 1)
    return results


def test_no_accident_of_an_answer_outlives_its_cell(machine, earlier):
    shown = machine.shown
    answers = [*(body for body, _ in ACCIDENTS.values()), *FINE.values()]
    sources = [BEGIN, LATER, "mine_again = lambda x: mine_again(x)"]
    for answer in answers:
        sources += [ANSWER + answer, LATER]
    began = time.monotonic()
    cells = machine.run_cells(*sources)
    assert time.monotonic() - began < 100
    assert "softmax.log: passed" in shown(cells[0])
    usual, answered, after = shown(cells[1]), cells[3::2], cells[4::2]
    assert "to stderr" in usual

    for (name, (_, named)), cell in zip(ACCIDENTS.items(), answered, strict=False):
        text = shown(cell)
        size = len(text)
        assert size < 4000, name
        assert text.startswith(f"{STABLE}: "), name
        assert named in text, name
        assert "passed" not in text.splitlines()[0], name
    for name, cell in zip(FINE, answered[len(ACCIDENTS) :], strict=True):
        assert shown(cell).startswith(f"{STABLE}: passed"), name
    for answer, cell in zip(answers, after, strict=True):
        assert shown(cell) == usual, f"after {answer}"
    assert not [each for cell in cells for each in cell.outputs if each.output_type == "error"]

    record = earlier.exercises()
    assert record["rope.rotate"].passed
    assert record["softmax.log"].passed
    assert (record[STABLE].attempts, record[STABLE].passed, record[STABLE].hints) == (
        len(answers),
        True,
        1,
    )
    assert earlier.questions()["softmax.shift"].correct == 1
    assert earlier.notice is None
