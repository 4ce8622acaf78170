"""The web edition in a browser whose network is cut: every page, on a phone's width too.

The tests draw the frames of one notebook, since all of them take long. `course build --html pages`
draws them all, and with the environment variable COURSE_PAGES=pages the tests look at those.
"""

import base64
import html
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import torch
from filelock import FileLock
from playwright.sync_api import Browser, BrowserContext, Page

from course_lib import SYLLABUS, find_notebook
from course_lib.authoring.edition import html_page, stored_notebook, write_edition
from course_lib.authoring.edition.explorers import explorer_html
from course_lib.authoring.edition.moving import widget_state
from course_lib.study import explorers
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
from course_lib.study.chapter_parts import questions_of
from course_lib.study.display.markup import rich
from tests.browser.sheet import LIMIT, SCREENSHOTS, PageWatch
from tests.browser.test_saved import pictures_in

pytestmark = pytest.mark.timeout(900)

STEMS = [notebook.stem for notebook in SYLLABUS]
MOVING = find_notebook("self_check")
LESSONS = ("start_here", "softmax", "self_check", "attention")  # they ask every kind of question
PHONE = {"width": 380, "height": 800}
LARGEST = 6_000_000  # bytes of a page

LOOK = """() => ({
  images: [...document.images].map(each => [
    each.complete && each.naturalWidth > 0
      && (each.offsetHeight > 20 || each.parentElement.querySelector(".view").offsetHeight > 100),
    each.alt]),
  width: document.documentElement.scrollWidth,
})"""
DRAWN = "() => !document.querySelector('.widget:not([data-live])')"
# Moves each control to its other end or its next option, and back; tells which did nothing.
MOVE = """async () => {
  const still = [];
  const moved = async (figure, control, to) => {
    if (control.matches("select")) control.selectedIndex = to; else control.value = to;
    delete figure.dataset.frame;
    control.dispatchEvent(new Event("input"));
    while (!figure.dataset.frame) await new Promise(done => setTimeout(done, 5));
    const picture = figure.querySelector("img");
    await picture.decode();
    return picture.src;
  };
  for (const figure of document.querySelectorAll(".explorer")) {
    for (const control of figure.querySelectorAll("[data-control]")) {
      const last = control.matches("select") ? control.length - 1 : Number(control.max);
      const seen = new Set();
      for (let to = 0; to <= last; to += Math.max(1, Math.floor(last / 4)))
        seen.add(await moved(figure, control, to));
      if (seen.size < 2) still.push(figure.id + " " + control.id);
    }
  }
  return still;
}"""
ANSWER = """([place, given]) => {
  const form = document.querySelectorAll("form.question")[place];
  for (const [selector, value] of given) {
    const field = form.querySelector(selector);
    if (field.type === "radio" || field.type === "checkbox") field.checked = true;
    else field.value = value;
  }
  form.requestSubmit();
  if (form.dataset.kind === "OpenQuestion") form.requestSubmit();
  return form.querySelector(".verdict").textContent;
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, as `course build --html` writes them; one process writes them for all."""
    if chosen := os.environ.get("COURSE_PAGES"):
        return Path(chosen)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "pages"
    with FileLock(shared / "pages.lock"):
        if not folder.exists():
            written = tmp_path_factory.mktemp("pages")
            write_edition(written, moving=[MOVING])
            written.rename(folder)
    return folder


@pytest.fixture(scope="module")
def unplugged(chromium: Browser) -> Iterator[BrowserContext]:
    """A phone's browser whose network is cut."""
    context = chromium.new_context(viewport=PHONE, offline=True)
    context.set_default_timeout(LIMIT)
    yield context
    context.close()


@pytest.fixture
def page(unplugged: BrowserContext) -> Iterator[Page]:
    """An empty page."""
    opened = unplugged.new_page()
    yield opened
    opened.close()


@pytest.mark.parametrize("stem", STEMS)
def test_a_page_shows_everything_and_what_can_move_does(pages: Path, page: Page, stem: str) -> None:
    path = pages / f"{stem}.html"
    assert path.stat().st_size <= LARGEST
    watch = PageWatch(page)
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_function(DRAWN)
    seen = page.evaluate(LOOK)
    stored = nbformat.read(stored_notebook(find_notebook(stem)), as_version=4)
    assert len(seen["images"]) == sum(pictures_in(stored).values())
    assert [alt for visible, alt in seen["images"] if not visible or not alt] == []
    assert seen["width"] <= PHONE["width"], "a page is never wider than a phone"
    assert page.evaluate(MOVE) == []
    assert watch.seen == []
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"page-{stem}.png")


def test_an_explorer_is_moved_by_keyboard_and_says_what_it_shows(pages: Path, page: Page) -> None:
    page.goto((pages / f"{MOVING.stem}.html").as_uri())
    figure = page.locator(".explorer").first
    slider = figure.locator("input[type=range]").first
    before = figure.locator("img").get_attribute("alt")
    assert figure.locator("img").get_attribute("src").startswith("data:image/png")
    slider.focus()
    spoken = slider.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.explorer').dataset.frame")
    assert slider.get_attribute("aria-valuetext") != spoken
    said = figure.locator("img").get_attribute("alt")
    assert said != before
    assert figure.locator("[aria-live=polite]").text_content() == said
    assert figure.locator("img").get_attribute("src").startswith("data:image/svg+xml")
    name = page.get_by_role("slider", name=figure.locator("label").first.text_content())
    assert name.count() == 1


@pytest.mark.parametrize("shown", ["lines", "icicle"])
def test_a_small_widget_draws_itself(page: Page, tmp_path: Path, shown: str) -> None:
    if shown == "lines":
        made = explorers.attention.lines(torch.rand(1, 2, 3, 3), ["a", "b", "c"], 0, 1)
    else:
        made = explorers.parameter_counting.icicle("Qwen3-8B")
    first = base64.b64encode(made.image).decode()
    body = explorer_html("one", widget_state(made.widget), first, made.finding)
    (tmp_path / "one.html").write_text(html_page("One", body, None), encoding="utf-8")
    watch = PageWatch(page)
    page.goto((tmp_path / "one.html").as_uri())
    page.wait_for_function(DRAWN)
    assert page.locator(".view").evaluate("view => view.offsetHeight > 100")
    assert not page.locator("figure > img").is_visible()
    assert page.evaluate(LOOK)["width"] <= PHONE["width"]
    assert watch.seen == []
    page.screenshot(path=SCREENSHOTS / f"widget-{shown}.png")


def given_to(question: Question) -> tuple[list[list[str]], Verdict]:
    """Return an answer as the fields to fill, and the verdict on it."""
    match question:
        case OneAnswer():
            return [["[value='0']", ""]], grade(question, 0)
        case SeveralAnswers():
            return [["[value='0']", ""], ["[value='1']", ""]], grade(question, {0, 1})
        case Numeric():
            drawn = question.example()
            number = question.slips[0].value(drawn) if question.slips else question.truth(drawn)
            return [["input", repr(number)]], grade(question, number, drawn)
        case OrderSteps(steps=steps):
            order = [1, 0, *range(2, len(steps))]
            filled = [[f"[data-step='{step}']", str(at)] for at, step in enumerate(order, 1)]
            return filled, grade(question, order)
        case FindTheBug(line=line):
            return [[f"[value='{line}']", ""]], grade(question, line)
        case PredictOutput():
            return [["textarea", f" {question.output} "]], grade(question, question.output)
        case OpenQuestion():
            filled = [["textarea", "words"], ["[value='0']", ""]]
            return filled, grade(question, {0})


def text_of(verdict: Verdict) -> str:
    """Return a verdict as text without line breaks."""
    head = "✓ Right." if verdict.correct else "✗ Not yet."
    return head + html.unescape(re.sub(r"<[^>]+>", "", rich(verdict.explanation)))


@pytest.mark.parametrize("slug", LESSONS)
def test_a_quiz_answers_as_the_notebook_does(pages: Path, page: Page, slug: str) -> None:
    watch = PageWatch(page)
    page.goto((pages / f"{find_notebook(slug).stem}.html").as_uri())
    questions = questions_of(slug)
    right = 0
    for place, question in enumerate(questions):
        empty = page.evaluate(ANSWER, [place, []])
        assert "first" in empty or "Read the model answer" in empty, question.id
        given, verdict = given_to(question)
        assert page.evaluate(ANSWER, [place, given]) == text_of(verdict), question.id
        right += verdict.correct
    scores = page.locator(".quiz > [role=status]").all_text_contents()
    counts = [re.findall(r"\d+", score) for score in scores]
    assert sum(int(done) for done, _, _ in counts) == len(questions)
    assert sum(int(correct) for _, _, correct in counts) == right
    assert watch.seen == []


def test_new_numbers_ask_again(pages: Path, page: Page) -> None:
    page.goto((pages / "04_softmax.html").as_uri())
    form = page.locator("form.question:has(.again)").first
    prompts = set()
    for _ in range(3):
        prompts.add(form.locator("legend").text_content())
        form.locator(".again").click()
    assert len(prompts) == 3
    form.locator("input").fill("one")
    form.locator("button[type=submit]").click()
    assert "Write one number" in str(form.locator(".verdict").text_content())


def test_the_start_page_finds_words_and_keeps_the_theme(pages: Path, page: Page) -> None:
    watch = PageWatch(page)
    page.goto((pages / "04_softmax.html").as_uri())
    page.locator("nav input").fill("temperature entropy")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.search li').length > 0")
    links = page.locator(".search a")
    assert links.first.get_attribute("href").partition("#")[0] in {f"{stem}.html" for stem in STEMS}
    page.locator("nav input").fill("no such word anywhere")
    assert page.locator(".search [role=status]").text_content() == "0 places"
    assert page.locator("img.map").evaluate("map => map.naturalWidth > 300")
    assert page.evaluate(LOOK)["width"] <= PHONE["width"]
    ground = "() => getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.locator("button.theme").click()
    dark = page.evaluate(ground)
    assert dark != before
    page.goto((pages / "00_start_here.html").as_uri())
    assert page.evaluate(ground) == dark
    page.locator("button.theme").click()
    assert page.evaluate(ground) == before
    assert watch.seen == []


def test_the_limits_of_a_sum_do_not_touch_it(pages: Path, page: Page) -> None:
    page.goto((pages / "05_attention.html").as_uri())
    gaps = page.evaluate(
        """() => [...document.querySelectorAll("munder, munderover")].map((all) => {
          const box = (part) => {
            const style = getComputedStyle(part);
            const found = part.getBoundingClientRect();
            return [found.top + parseFloat(style.paddingTop),
                    found.bottom - parseFloat(style.paddingBottom)];
          };
          const [sign, under, over] = [...all.children].map(box);
          return [under[0] - sign[1], over ? sign[0] - over[1] : 1];
        })"""
    )
    assert gaps
    assert all(gap >= 1 for pair in gaps for gap in pair), gaps


def test_on_paper_nothing_is_left_to_press(pages: Path, page: Page) -> None:
    page.goto((pages / f"{MOVING.stem}.html").as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    for gone in ("nav", ".controls", ".buttons"):
        assert not page.locator(gone).first.is_visible()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
