"""The course in a real browser: one JupyterLab, one Chromium, one page for all notebooks.

Loading JupyterLab takes seconds, so its page stays: a test opens its notebook there, and afterwards
the notebook is closed and its kernel ended. After a failure the next test gets a new page.
"""

import os
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, sync_playwright

from course_lib.authoring.browser import REMEDY, find_browser, missing_is_failure
from tests.browser.lab import TOKEN, Lab
from tests.browser.sheet import LIMIT, SCREENSHOTS, SCRIPT, Opener, Sheet

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # No name is resolved: what asks for the outside fails, and is seen to fail.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
SIZE = {"width": 1280, "height": 900}
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="package")
def driver() -> Iterator[BrowserType]:
    """What starts browsers, for as long as there are tests in this folder."""
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="package")
def program() -> str:
    """The path of the browser."""
    path = find_browser()
    if path is None:
        end = pytest.fail if missing_is_failure(os.environ) else pytest.skip
        end(f"no browser is here. {REMEDY}")
    return path


@pytest.fixture(scope="package")
def chromium(driver: BrowserType, program: str) -> Iterator[Browser]:
    """A browser that remembers nothing, for pages that need a window of their own."""
    browser = driver.launch(executable_path=program, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab with a learner's fresh folder, in which progress is kept."""
    started = Lab(tmp_path_factory.mktemp("lab"))
    yield started
    started.stop()


@pytest.fixture(scope="package")
def context(
    driver: BrowserType, program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """What the pages share, as in a browser that stays open.

    It has a folder of its own: JupyterLab's scripts, once compiled, are kept there.
    """
    shared = driver.launch_persistent_context(
        tmp_path_factory.mktemp("browser"),
        executable_path=program,
        args=FLAGS,
        viewport=SIZE,
        color_scheme="light",
    )
    shared.set_default_timeout(LIMIT)
    shared.add_init_script(path=SCRIPT)
    yield shared
    shared.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page, of which a picture is kept if the test fails."""
    opened = context.new_page()
    yield opened
    _keep_failure(opened, request)
    opened.close()


class Desk:
    """The page of JupyterLab on which one notebook after the other is opened."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context, self.address = context, address
        self._sheet: Sheet | None = None

    def sheet(self) -> Sheet:
        """Return the page, on which no notebook is open."""
        if self._sheet is None:
            loaded = Sheet(self.context.new_page())
            loaded.load(self.address)
            self._sheet = loaded
        return self._sheet

    def clear(self, sheet: Sheet, keep: bool) -> None:
        """Close the notebook and forget what was seen: each test has the faults of its own only.

        The page is closed too if it is not to be kept.
        """
        if not keep:
            self._sheet = None
        sheet.close()
        sheet.watch.seen.clear()
        if not keep:
            sheet.page.close()


@pytest.fixture(scope="package")
def desk(context: BrowserContext, lab: Lab) -> Desk:
    """The page on which the notebooks are opened."""
    return Desk(context, f"{lab.address}/lab?reset&token={TOKEN}")


@pytest.fixture
def sheet(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Sheet]:
    """The page of JupyterLab; a picture is kept if the test fails, and then the page is not."""
    shown = desk.sheet()
    yield shown
    failed = _keep_failure(shown.page, request)
    desk.clear(shown, keep=not failed)


@pytest.fixture
def open_notebook(sheet: Sheet) -> Opener:
    """Open a notebook of the learner's folder with a kernel."""
    return partial(_opened, sheet, True)


@pytest.fixture
def open_still(sheet: Sheet) -> Opener:
    """Open a notebook as a file, without any kernel."""
    return partial(_opened, sheet, False)


def _opened(sheet: Sheet, with_kernel: bool, file: str) -> Sheet:
    sheet.open(file, with_kernel)
    return sheet


def _keep_failure(page: Page, request: pytest.FixtureRequest) -> bool:
    """Keep a picture of the page if the test failed, and say whether it did."""
    failed = request.node.stash.get(FAILED, False)
    if failed:
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"failed-{request.node.name}.png")
    return failed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Remember a failure, for the fixtures that close what the test used."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report
