"""Answers to a question as fields of its form to fill, each with the verdict it deserves."""

from course_lib.study.ask.grading import Verdict, grade
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
)

Fields = list[list[str]]  # a selector inside the form and what is put there, for each field


def answers_to(question: Question) -> list[tuple[Fields, Verdict]]:
    """Return a right answer and a wrong one, the second with a known slip where there is one."""
    match question:
        case OneAnswer(options=options):
            right = [each.correct for each in options].index(True)
            given = [right, (right + 1) % len(options)]
            return [(_ticked([index]), grade(question, index)) for index in given]
        case SeveralAnswers(options=options):
            every = range(len(options))
            right = {index for index in every if options[index].correct}
            return [(_ticked(each), grade(question, each)) for each in (right, right ^ {0} or {1})]
        case Numeric(slips=slips):
            drawn = question.example()
            truth = question.truth(drawn)
            numbers = [truth, slips[0].value(drawn) if slips else 2 * truth + 1]
            return [([["input", repr(each)]], grade(question, each, drawn)) for each in numbers]
        case OrderSteps(steps=steps):
            orders = [[*range(len(steps))], [1, 0, *range(2, len(steps))]]
            return [(_placed(each), grade(question, each)) for each in orders]
        case FindTheBug(line=line, lines=lines):
            other = next(at for at, text in enumerate(lines, 1) if text.strip() and at != line)
            return [(_ticked([each]), grade(question, each)) for each in (line, other)]
        case PredictOutput(output=output, mistakes=mistakes):
            texts = [f" {output} ", mistakes[0].output if mistakes else f"{output} more"]
            return [([["textarea", each]], grade(question, each)) for each in texts]
        case OpenQuestion(rubric=rubric):
            met = [set(range(len(rubric))), set[int]()]
            written = [["textarea", "words"]]
            return [([*written, *_ticked(each)], grade(question, each)) for each in met]


def _ticked(values: list[int] | set[int]) -> Fields:
    return [[f"[value='{value}']", ""] for value in sorted(values)]


def _placed(order: list[int]) -> Fields:
    return [[f"[data-step='{step}']", str(place)] for place, step in enumerate(order, 1)]
