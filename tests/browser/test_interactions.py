"""What answers to the hand: sliders, lines under the pointer, exercises, questions, progress."""

import random

import pytest
from playwright.sync_api import Locator, expect

from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
    shown_order,
)
from course_lib.study.chapter_parts import all_questions
from tests.browser.lab import Lab, wait_until
from tests.browser.sheet import LIMIT, Opener, Sheet

pytestmark = pytest.mark.timeout(900)
expect.set_options(timeout=LIMIT)

OVERFLOWS = """@exercise("softmax.stable")
def stable_softmax(x, dim=-1):
    return torch.exp(x) / torch.exp(x).sum(dim, keepdim=True)
"""
MISTAKE = "nothing subtracted before exp"
RIGHT = """@exercise("softmax.stable")
def stable_softmax(x, dim=-1):
    shares = torch.exp(x - x.amax(dim, keepdim=True))
    return shares / shares.sum(dim, keepdim=True)
"""
HEADS = """import torch
from course_lib.study import explorers
previous = torch.diag_embed(torch.ones(4), offset=-1)
previous[0, 0] = 1.0
evenly = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
explorers.attention.lines(torch.stack([previous, evenly])[None], ["<s>", "a", "cat", "sat", "."])
"""
PAD = """from course_lib.study import explorers
explorers.multimodal.patches()
"""
ASK = """import random
from course_lib.study.chapter_parts import all_questions
from course_lib.study.record.progress import store
from course_lib.study.ask.quiz import Quiz
questions = {{question.id: question for question in all_questions()}}
Quiz("Asked here", [questions[name] for name in {names}], store(), random.Random(1))
"""


def picture_of(image: Locator) -> bytes:
    fetched = "async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
    return bytes(image.evaluate(fetched))


def other_picture(image: Locator, old: bytes) -> bytes:
    """Return what comes in place of a picture: the kernel answers later than the page."""
    wait_until(lambda: picture_of(image) != old, LIMIT / 1000, "another picture")
    return picture_of(image)


def test_a_slider_moved_by_keyboard_changes_the_picture(lab: Lab, open_notebook: Opener) -> None:
    sheet = open_notebook(lab.fresh("04_softmax"))
    sheet.run("imports", "explorers-softmax-temperature")
    shown = sheet.output("explorers-softmax-temperature")
    image, finding = shown.locator("img"), shown.get_by_role("status").first
    expect(image).to_be_visible()
    before, said = picture_of(image), finding.text_content()
    shown.get_by_role("slider").first.focus()
    for _ in range(8):
        sheet.page.keyboard.press("ArrowRight")
    expect(finding).not_to_have_text(said or "")
    other_picture(image, before)
    for _ in range(8):
        sheet.page.keyboard.press("ArrowLeft")
    expect(finding).to_have_text(said or "")
    wait_until(lambda: picture_of(image) == before, LIMIT / 1000, "the first picture")
    assert sheet.watch.seen == []


def test_pointing_at_a_token_shows_what_it_reads(lab: Lab, open_notebook: Opener) -> None:
    sheet = open_notebook(lab.write("heads", lines=HEADS, below="print()"))
    sheet.run("lines")
    shown = sheet.output("lines")
    lines, said = shown.locator("svg line"), shown.get_by_role("status")
    expect(shown.get_by_text("<s>", exact=True)).to_have_count(2)  # no token is taken for HTML
    shown.locator("svg rect").nth(2).hover()
    expect(said).to_have_text(
        "Layer 0, head 0: “cat” (position 2) reads mostly “a” (position 1), 1.00."
    )
    expect(lines).to_have_count(1)
    shown.locator("canvas").focus()
    sheet.page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("Layer 0, head 1: “cat”")
    expect(lines).to_have_count(3)
    shown.get_by_role("button").nth(2).focus()
    sheet.page.keyboard.press("ArrowDown")
    expect(said).to_contain_text("“sat” (position 3)")
    expect(lines).to_have_count(4)
    sheet.keep_picture("attention-lines", shown)
    assert sheet.watch.seen == []


def test_a_picture_is_painted_with_the_keyboard_and_the_pointer(
    lab: Lab, open_notebook: Opener
) -> None:
    sheet = open_notebook(lab.write("pad", pad=PAD, below="print()"))
    sheet.run("pad")
    shown = sheet.output("pad")
    image, canvas = shown.locator("img"), shown.locator("canvas")
    expect(image).to_be_visible()
    before = picture_of(image)
    canvas.focus()
    sheet.page.keyboard.press("ArrowRight")
    sheet.page.keyboard.press(" ")
    expect(shown.get_by_text("Row 1, column 2. Painted squares: 1.")).to_be_visible()
    painted = other_picture(image, before)
    canvas.click(position={"x": 100, "y": 150})
    expect(shown.get_by_text("Row 13, column 9. Painted squares: 2.")).to_be_visible()
    assert other_picture(image, painted) != before
    shown.get_by_role("button", name="erase all").click()
    expect(shown.get_by_text("Painted squares: 0.")).to_be_visible()
    wait_until(lambda: picture_of(image) == before, LIMIT / 1000, "the first picture")
    assert sheet.watch.seen == []


def test_an_exercise_names_the_mistake_and_marks_what_is_right(
    lab: Lab, open_notebook: Opener
) -> None:
    lab.results().reset("softmax")
    sheet = open_notebook(lab.fresh("04_softmax"))
    sheet.run("imports", "softmax-stable")
    shown = sheet.output("softmax-stable")
    expect(shown).to_contain_text("softmax.stable: not attempted")
    sheet.write("softmax-stable", OVERFLOWS)
    expect(shown).to_contain_text("✗ softmax.stable: not yet")
    expect(shown).to_contain_text(f"This behaves like: {MISTAKE}.")
    assert lab.results().exercises()["softmax.stable"].last_diagnosis == MISTAKE
    for theme in ("Dark", "Light"):
        sheet.set_theme(f"JupyterLab {theme}")
        sheet.keep_picture(f"exercise-not-yet-{theme}", sheet.cell("softmax-stable"))
    sheet.write("softmax-stable", RIGHT)
    expect(shown).to_contain_text("✓ softmax.stable: passed")
    sheet.keep_picture("exercise-passed", sheet.cell("softmax-stable"))
    assert lab.results().passed("softmax.stable")
    assert exercises_solved(lab, "04_softmax") == "1 of"
    assert sheet.watch.seen == []


def exercises_solved(lab: Lab, stem: str) -> str:
    """Return how many exercises of a notebook `course progress` counts, as its table says it."""
    row = next(line for line in lab.course("progress").splitlines() if line.startswith(stem))
    return " ".join(row.split()[1:3])


def test_progress_outlives_the_kernel_and_is_shown(lab: Lab, open_notebook: Opener) -> None:
    lab.results().reset("softmax")
    sheet = open_notebook(lab.fresh("04_softmax"))
    sheet.run("imports", "reveal-softmax-stable")
    source = sheet.output("reveal-softmax-stable")
    folded = source.locator("details")
    expect(folded).not_to_have_attribute("open", "")
    sheet.write("softmax-stable", RIGHT)
    sheet.ask("restart")
    sheet.wait_idle()
    sheet.run("imports", "reveal-softmax-stable")
    expect(folded).to_have_attribute("open", "")
    sheet = open_notebook(lab.fresh("13_self_check"))
    sheet.run("imports", "checklist")
    row = sheet.output("checklist").locator("tr", has_text="write softmax, its logarithm")
    expect(row).to_contain_text("1 of 3")
    assert sheet.watch.seen == []


def ask(lab: Lab, open_notebook: Opener, name: str, *questions: Question) -> Sheet:
    """Open a notebook that asks these questions."""
    names = [question.id for question in questions]
    for each in names:
        lab.results().reset(each)
    sheet = open_notebook(lab.write(name, quiz=ASK.format(names=names)))
    sheet.run("quiz")
    return sheet


def card(sheet: Sheet, number: int) -> Locator:
    check = sheet.page.get_by_title(f"Check question {number}", exact=True)
    return sheet.output("quiz").locator(".widget-vbox", has=check).last


def first(kind: type) -> Question:
    return next(each for each in all_questions() if type(each) is kind)


def press_until(sheet: Sheet, key: str, target: Locator) -> None:
    """Press a key until the focus is where it should go."""
    for _ in range(12):
        if target.evaluate("node => node === document.activeElement"):
            return
        sheet.page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to {target}")


def test_a_question_is_answered_by_keyboard_alone(lab: Lab, open_notebook: Opener) -> None:
    question = first(OneAnswer)
    assert isinstance(question, OneAnswer)
    sheet = ask(lab, open_notebook, "keyboard", question)
    shown, press = card(sheet, 1), sheet.page.keyboard.press
    verdict = shown.get_by_role("status")
    right = [question.options[index].correct for index in shown_order(question)].index(True)
    wrong = 0 if right else 1
    radios, check = shown.get_by_role("radio"), shown.get_by_title("Check question 1")
    radios.first.focus()
    press("1")  # where JupyterLab took it, the cell would become a heading
    for target, words in ((wrong, "✗ Not yet."), (right, "✓ Right.")):
        press_until(sheet, "ArrowDown", radios.nth(target))
        press("Space")
        expect(radios.nth(target)).to_be_checked()
        press_until(sheet, "Tab", check)
        press("Enter")
        expect(verdict).to_contain_text(words)
        press("Shift+Tab")
    assert lab.results().questions()[question.id].last_correct
    assert sheet.watch.seen == []


def test_steps_are_ordered_by_keyboard_alone(lab: Lab, open_notebook: Opener) -> None:
    question = first(OrderSteps)
    sheet = ask(lab, open_notebook, "keys", question)
    shown, press = card(sheet, 1), sheet.page.keyboard.press
    shown.get_by_role("combobox").first.focus()
    for index in shown_order(question):
        press(str(index + 1))
        press("Tab")
    expect(shown.get_by_title("Check question 1")).to_be_focused()
    press("Enter")
    expect(shown.get_by_role("status")).to_contain_text("✓ Right.")
    assert sheet.watch.seen == []


def choose_one(question: OneAnswer, shown: Locator) -> None:
    order = shown_order(question)
    right = next(place for place, index in enumerate(order) if question.options[index].correct)
    shown.get_by_role("radio").nth(right).check()


def tick_several(question: SeveralAnswers, shown: Locator) -> None:
    for place, index in enumerate(shown_order(question)):
        if question.options[index].correct:
            shown.get_by_role("checkbox").nth(place).check()


def type_number(question: Numeric, shown: Locator) -> None:
    shown.get_by_placeholder("a number").fill(str(question.truth(question.fresh(random.Random(1)))))


def order_steps(question: OrderSteps, shown: Locator) -> None:
    for place, index in enumerate(shown_order(question)):
        shown.get_by_role("combobox").nth(place).select_option(str(index + 1))


def click_line(question: FindTheBug, shown: Locator) -> None:
    line = shown.get_by_title(f"Line {question.line}", exact=True)
    line.focus()
    line.press("Enter")
    expect(line).to_contain_text("▶")


def predict(question: PredictOutput, shown: Locator) -> None:
    shown.get_by_placeholder("what is printed").fill(question.output)


def write_and_tick(question: OpenQuestion, shown: Locator) -> None:
    shown.get_by_role("textbox").fill("An answer in a few sentences.")
    shown.get_by_role("button", name="Compare").click()
    expect(shown.get_by_role("checkbox")).to_have_count(len(question.rubric))
    expect(shown).to_contain_text("A model answer.")
    for each in shown.get_by_role("checkbox").all():
        each.check()


ANSWERS = {
    OneAnswer: choose_one,
    SeveralAnswers: tick_several,
    Numeric: type_number,
    OrderSteps: order_steps,
    FindTheBug: click_line,
    PredictOutput: predict,
    OpenQuestion: write_and_tick,
}


def test_a_card_of_each_kind_can_be_answered(lab: Lab, open_notebook: Opener) -> None:
    questions = [first(kind) for kind in ANSWERS]
    assert {type(each) for each in all_questions()} == set(ANSWERS)
    sheet = ask(lab, open_notebook, "kinds", *questions)
    for number, question in enumerate(questions, 1):
        shown = card(sheet, number)
        ANSWERS[type(question)](question, shown)
        shown.get_by_title(f"Check question {number}", exact=True).click()
        verdict = shown.get_by_role("status")
        expect(verdict).to_contain_text("✓ Right.")
        assert lab.results().questions()[question.id].last_correct
    count = len(questions)
    expect(sheet.output("quiz")).to_contain_text(f"Answered {count} of {count}, right {count}")
    for theme in ("Dark", "Light"):
        sheet.set_theme(f"JupyterLab {theme}")
        for number, question in enumerate(questions, 1):
            sheet.keep_picture(f"{type(question).__name__}-{theme}", card(sheet, number))
    assert sheet.watch.seen == []
