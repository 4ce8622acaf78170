"""The course in a real browser: one JupyterLab, one Chromium, and a page for each test."""

import os
from collections.abc import Iterator

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
    """A page, of which a picture is kept if the test fails."""
    opened = context.new_page()
    yield opened
    if request.node.stash.get(FAILED, False):
        SCREENSHOTS.mkdir(exist_ok=True)
        opened.screenshot(path=SCREENSHOTS / f"failed-{request.node.name}.png")
    opened.close()


@pytest.fixture
def open_notebook(lab: Lab, page: Page) -> Iterator[Opener]:
    """Open a notebook of the learner's folder with a kernel; afterwards the kernel is ended."""
    sheet = Sheet(page)

    def open_one(file: str) -> Sheet:
        page.goto(f"{lab.address}/lab/tree/{file}?reset&token={TOKEN}")
        sheet.wait_idle()
        return sheet

    yield open_one
    sheet.ask("shutDown")


@pytest.fixture
def open_still(lab: Lab, page: Page) -> Opener:
    """Open a notebook as a file, without any kernel."""

    def open_one(file: str) -> Sheet:
        sheet = Sheet(page)
        page.goto(f"{lab.address}/lab?reset&token={TOKEN}")
        page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
        sheet.ask("openWithoutKernel", file)
        sheet.wait_for("isOpen")
        return sheet

    return open_one


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Remember a failure, for the fixtures that close what the test used."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report
