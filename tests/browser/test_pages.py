"""The web edition in a browser whose network is cut: every page, on a phone's width too.

The tests draw the frames of a few explorers, since all of them take long. `course build --html
pages` draws them all, and with the environment variable COURSE_PAGES=pages the tests look at those.
"""

import base64
import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import nbformat
import pytest
import torch
from filelock import FileLock
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from course_lib import SYLLABUS, find_notebook
from course_lib.authoring import edition
from course_lib.authoring.edition import html_page, stored_notebook, write_edition
from course_lib.authoring.edition.explorers import explorer_html
from course_lib.authoring.edition.frames import rendered
from course_lib.authoring.edition.moving import widget_state
from course_lib.study import explorers
from course_lib.study.ask.grading import Verdict
from course_lib.study.chapter_parts import questions_of
from course_lib.study.display.markup import rich
from tests.browser.answers import answers_to
from tests.browser.sheet import LIMIT, SCREENSHOTS, PageWatch
from tests.browser.test_saved import pictures_in

pytestmark = pytest.mark.timeout(900)

STEMS = [notebook.stem for notebook in SYLLABUS]
MOVING = {  # a typed text, whole numbers, lists, and controls that are not combined
    "tokenization": {"explorers-tokenization-viterbi-lattice": "viterbi_lattice"},
    "softmax": {"explorers-softmax-merge": "merge"},
    "attention": {"explorers-attention-five-steps": "five_steps"},
    "rope": {"explorers-rope-alibi": "alibi"},
}
DRAWING = Lock()  # the build asks from two threads, and matplotlib's settings are for one
SCRIPT = Path(__file__).with_name("edition.js")
PHONE = {"width": 380, "height": 800}
DESK = {"width": 1280, "height": 900}
PAPER = {"width": 643, "height": 900}  # A4 between margins of 2 cm
LARGEST = 6_000_000  # bytes of a page
SOON = 1.0  # seconds of the page's thread until an explorer has answered the first key
LEGIBLE = 4.5  # contrast of text, as in WCAG


def drawn_here(path: Path) -> dict[str, dict[str, Any]]:
    """Return the frames of a few explorers of a notebook, without the cells before them."""
    slug = path.stem.partition("_")[2]
    made = getattr(explorers, slug) if slug in MOVING else None
    with DRAWING:
        return {
            cell: rendered(getattr(made, name)()) for cell, name in MOVING.get(slug, {}).items()
        }


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, as `course build --html` writes them; one process writes them for all."""
    if chosen := os.environ.get("COURSE_PAGES"):
        return Path(chosen)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "pages"
    with FileLock(shared / "pages.lock"), pytest.MonkeyPatch.context() as patch:
        if not folder.exists():
            patch.setattr(edition, "moving_pictures", drawn_here)
            written = tmp_path_factory.mktemp("pages")
            write_edition(written)
            written.rename(folder)
    return folder


@pytest.fixture(scope="module")
def unplugged(chromium: Browser) -> Iterator[BrowserContext]:
    """A phone's browser whose network is cut."""
    context = chromium.new_context(viewport=PHONE, offline=True, color_scheme="light")
    context.set_default_timeout(LIMIT)
    context.add_init_script(path=SCRIPT)
    yield context
    context.close()


class Opened(NamedTuple):
    """A page that is open on a phone, and what it took until its first explorer had moved."""

    stem: str
    page: Page
    watch: PageWatch
    seconds: float

    def ask(self, name: str, *given: Any) -> Any:
        """Call one of the functions in `edition.js`."""
        return self.page.evaluate("([name, given]) => edition[name](...given)", [name, list(given)])

    def resize(self, size: ViewportSize) -> bool:
        """Make the window as large as this; return whether the page fits its width."""
        self.page.set_viewport_size(size)
        return bool(self.ask("width") <= size["width"])


@pytest.fixture(scope="module", params=STEMS)
def opened(
    pages: Path, unplugged: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Opened]:
    """Each page of a notebook, opened once for all the tests that look at all of them."""
    page = unplugged.new_page()
    watch = PageWatch(page)
    clock = unplugged.new_cdp_session(page)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto((pages / f"{request.param}.html").as_uri(), wait_until="load")
    move_by_keyboard(page)
    spent = {
        each["name"]: each["value"] for each in clock.send("Performance.getMetrics")["metrics"]
    }
    page.wait_for_function("() => edition.isDrawn()")
    yield Opened(request.param, page, watch, spent["TaskDuration"])
    page.close()


def move_by_keyboard(page: Page) -> None:
    """Move the first control of the first explorer, if there is one, and wait for its picture."""
    control = page.locator(".explorer [data-control]").first
    if control.count():
        control.focus()
        page.keyboard.press("End")
        page.keyboard.press("Home")  # one of them moves it, wherever it starts
        page.wait_for_function("() => document.querySelector('.explorer[data-frame]')")


@pytest.fixture
def page(unplugged: BrowserContext) -> Iterator[Page]:
    """An empty page."""
    opened = unplugged.new_page()
    yield opened
    opened.close()


def text_of(verdict: Verdict) -> str:
    """Return a verdict as text without line breaks."""
    head = "✓ Right." if verdict.correct else "✗ Not yet."
    return head + html.unescape(re.sub(r"<[^>]+>", "", rich(verdict.explanation)))


def test_a_page_shows_everything_and_fits_a_phone(pages: Path, opened: Opened) -> None:
    assert (pages / f"{opened.stem}.html").stat().st_size <= LARGEST
    assert opened.seconds <= SOON
    images = opened.ask("images")
    stored = nbformat.read(stored_notebook(find_notebook(opened.stem)), as_version=4)
    assert len(images) == sum(pictures_in(stored).values())
    assert [alt for visible, alt in images if not visible or not alt] == []
    for size in (DESK, PHONE):
        assert opened.resize(size), "nothing is wider than the window"
    assert opened.ask("touching") == []
    assert opened.watch.seen == []
    SCREENSHOTS.mkdir(exist_ok=True)
    opened.page.screenshot(path=SCREENSHOTS / f"page-{opened.stem}.png")


def test_what_can_move_does_and_what_is_folded_unfolds(opened: Opened) -> None:
    assert opened.ask("move") == []
    assert opened.ask("unfold") == []
    assert opened.watch.seen == []


def test_a_quiz_answers_as_the_notebook_does(opened: Opened) -> None:
    questions = questions_of(opened.stem.partition("_")[2])
    for place, question in enumerate(questions):
        empty = opened.ask("answer", place, [])
        assert "first" in empty or "Read the model answer" in empty, question.id
        given = answers_to(question)
        assert [verdict.correct for _, verdict in given] == [True, False], question.id
        for fields, verdict in reversed(given):
            assert opened.ask("answer", place, fields) == text_of(verdict), question.id
    scores = opened.page.locator(".quiz > [role=status]").all_text_contents()
    counts = [[int(number) for number in re.findall(r"\d+", score)] for score in scores]
    assert sum(done for done, _, _ in counts) == len(questions)
    assert sum(right for _, _, right in counts) == len(questions)
    assert opened.watch.seen == []


def test_a_page_can_be_read_in_the_dark_and_on_paper(opened: Opened) -> None:
    opened.page.emulate_media(color_scheme="dark")
    assert opened.ask("faint", LEGIBLE) == []
    opened.page.evaluate("() => document.documentElement.dataset.theme = 'dark'")
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.resize(PAPER)
    assert opened.ask("ground") == "rgb(255, 255, 255)"
    assert opened.ask("faint", LEGIBLE) == []
    assert opened.ask("hidden") == []
    assert opened.ask("controls") == []


def test_an_explorer_is_moved_by_keyboard_and_says_what_it_shows(pages: Path, page: Page) -> None:
    page.goto((pages / "06_rope.html").as_uri())
    figure = page.locator("#explorer-explorers-rope-alibi")
    first, second = figure.get_by_role("slider").all()
    picture = figure.locator("img")
    before = picture.get_attribute("alt")
    assert picture.get_attribute("src").startswith("data:image/png")
    for slider in (first, second):
        spoken, shown = slider.get_attribute("aria-valuetext"), picture.get_attribute("src")
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(picture).not_to_have_attribute("src", shown)
        assert slider.get_attribute("aria-valuetext") != spoken
        said = picture.get_attribute("alt")
        assert said != before
        assert figure.locator("[aria-live=polite]").text_content() == said
        assert picture.get_attribute("src").startswith("data:image/svg+xml")
        assert page.get_by_role("slider", name=slider.evaluate("s => s.labels[0].textContent"))
    assert first.evaluate("slider => slider.value === slider.dataset.start")
    assert "at their start" in figure.locator(".note").text_content(), "they are not combined"


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
    page.wait_for_function("() => edition.isDrawn()")
    assert page.locator(".view").evaluate("view => view.offsetHeight > 100")
    assert not page.locator("figure img").is_visible()
    assert page.evaluate("() => edition.width()") <= PHONE["width"]
    assert watch.seen == []
    page.screenshot(path=SCREENSHOTS / f"widget-{shown}.png")


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
    assert page.locator(".picture img").evaluate("map => map.naturalWidth > 300")
    assert page.evaluate("() => edition.width()") <= PHONE["width"]
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
