"""A notebook that is open in JupyterLab: what a learner does with it, and what can be seen on it.

Everything waits for a state, never for a time; the limits are there to end what would wait for
ever, and are long because the machine may be busy.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import nbformat
from nbformat import NotebookNode
from playwright.sync_api import ConsoleMessage, Locator, Page

from course_lib.authoring.machine_speed import patience
from course_lib.authoring.replay import untagged_errors

SCREENSHOTS = Path(__file__).parent / "screenshots"
SCRIPT = Path(__file__).with_name("page.js")
LIMIT = round(180_000 * patience())  # milliseconds, for one thing to appear
RUN_LIMIT = round(480_000 * patience())  # milliseconds, for all cells of a notebook
PAUSE = 50  # milliseconds between two looks; one in every frame would keep the page drawing
LOCAL = ("127.0.0.1", "localhost")


class PageWatch:
    """What a page does that a learner's browser should not: errors, and calls to the outside."""

    def __init__(self, page: Page) -> None:
        self.seen: list[str] = []
        page.on("console", self._on_console)
        page.on(
            "pageerror", lambda error: self.seen.append(f"page error: {error.stack or error}"[:500])
        )
        page.on("request", lambda request: self._on_address(request.url))
        page.on("websocket", lambda socket: self._on_address(socket.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.seen.append(f"console error: {message.text[:500]}")

    def _on_address(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in LOCAL:
            self.seen.append(f"request to {address[:200]}")


class Look(NamedTuple):
    """What is seen on a notebook from top to bottom."""

    broken: list[str]  # a line for each view, picture or formula that fails
    pictures: dict[str, int]  # how many there are in each cell that has any


class Sheet:
    """The notebook that is open on a page of JupyterLab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.watch = PageWatch(page)

    def load(self, address: str) -> None:
        """Load JupyterLab, in which no notebook is open."""
        self.page.goto(address)
        self.page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")

    def open(self, file: str, with_kernel: bool) -> None:
        """Open a notebook in place of any other, and wait until it can be used."""
        self.close()
        self.ask("open", file, with_kernel)
        if with_kernel:
            self.wait_idle()
        else:
            self.wait_for("isOpen")

    def close(self) -> None:
        """Close the notebook, if one is open, and end its kernel."""
        self.ask("closeAll")
        self.wait_for("isEmpty")

    def ask(self, name: str, *given: Any) -> Any:
        """Call one of the functions in `page.js`."""
        return self.page.evaluate("([name, given]) => course[name](...given)", [name, list(given)])

    def wait_for(self, name: str, limit: int = LIMIT) -> None:
        """Wait until one of the questions in `page.js` is answered with yes."""
        question = "name => window.course?.[name]()"
        self.page.wait_for_function(question, arg=name, timeout=limit, polling=PAUSE)

    def wait_idle(self) -> None:
        """Wait until the kernel is connected and has nothing to do."""
        self.wait_for("isReady", RUN_LIMIT)

    def command(self, name: str) -> None:
        """Execute one of JupyterLab's commands and wait for its end."""
        self.ask("command", name)
        ended = "() => window.courseEnded"
        self.page.wait_for_function(ended, timeout=RUN_LIMIT, polling=PAUSE)
        how = self.page.evaluate(ended)
        if how != "done":
            raise RuntimeError(how)

    def run_all(self) -> None:
        """Run all cells, as the menu does."""
        self.command("notebook:run-all-cells")
        self.wait_idle()

    def run(self, *ids: str) -> None:
        """Run cells one after the other."""
        for each in ids:
            self.ask("choose", each)
            self.command("notebook:run-cell")
        self.wait_idle()

    def run_up_to(self, cell_id: str) -> None:
        """Run all cells down to this one, which is included."""
        self.ask("choose", cell_id)
        self.command("notebook:run-all-above")
        self.run(cell_id)

    def cell(self, cell_id: str) -> Locator:
        """Return a cell on the page, scrolled into view."""
        self.ask("choose", cell_id)
        return self.page.locator(f'.jp-Notebook [data-cell="{cell_id}"]')

    def output(self, cell_id: str) -> Locator:
        """Return what a cell shows."""
        return self.cell(cell_id).locator(".jp-OutputArea")

    def write(self, cell_id: str, text: str) -> None:
        """Replace a cell's text by hand, and run it with the keyboard."""
        self.cell(cell_id).locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(text)
        before = self.ask("count", cell_id)
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function(
            "([id, before]) => ![null, before].includes(course.count(id))",
            arg=[cell_id, before],
            timeout=LIMIT,
        )
        self.wait_idle()

    def content(self) -> NotebookNode:
        """Return the notebook as it would be saved now."""
        return nbformat.from_dict(self.ask("content"))

    def faults(self) -> list[str]:
        """Return what is wrong with the notebook after a run, a line for each fault."""
        notebook = self.content()
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        unexecuted = [f"cell {cell.id} did not run" for cell in code if not cell.execution_count]
        drawn = self.look().broken
        return [*unexecuted, *untagged_errors(notebook), *drawn, *self.watch.seen]

    def look(self) -> Look:
        """Look at every cell that shows something."""
        return Look(**self.ask("look"))

    def set_theme(self, name: str) -> None:
        """Change the colours of JupyterLab, and wait until they are there."""
        self.ask("theme", name)
        self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name"
            " && !document.querySelector('#jupyterlab-splash')",
            arg=name,
            timeout=LIMIT,
        )

    def keep_picture(self, name: str, what: Locator | None = None) -> None:
        """Keep a picture of the page, or of a part of it, for whoever wants to look."""
        SCREENSHOTS.mkdir(exist_ok=True)
        (what or self.page).screenshot(path=SCREENSHOTS / f"{name}.png")


Opener = Callable[[str], Sheet]
