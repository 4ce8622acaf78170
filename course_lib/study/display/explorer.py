"""Explorers: a figure with controls, and a plain picture where there is no kernel.

The figure is a pure function of the values of its controls. In a running notebook, moving a control
draws it again; in a saved file, on a code host or in an exported page, the same output shows the
picture of the first values.

    Explorer(temperature, {"heat": slider("temperature", 1.0, 0.1, 10.0)}, "Five scores, one knob.")

Taught in:        every notebook
Checked against:  the bytes of the picture after a control has moved
"""

import base64
import gc
import html
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from course_lib.study.display.keyboard import KeyboardGuard
from course_lib.study.display.live import LIVE, say_why_still, widgets
from course_lib.study.display.plotting import Number, figure_title, png_bytes

REMEMBERED = 64  # pictures of an explorer, each of some 50 kB


def _control(kind: str, description: str, value: Any, **settings: Any) -> Any:
    layout = widgets.Layout(width="420px")
    style = {"description_width": "130px"}
    make = getattr(widgets, kind)
    return make(value=value, description=description, layout=layout, style=style, **settings)


def slider(
    description: str,
    value: Number,
    low: Number,
    high: Number,
    step: Number = 0.01,
    pattern: str = ".2f",
) -> Any:
    """Return a slider over real numbers; arrow keys move it by one step."""
    bounds = {"min": low, "max": high, "step": step, "readout_format": pattern}
    return _control("FloatSlider", description, float(value), **bounds)


def log_slider(description: str, value: Number, low: Number, high: Number, steps: int = 80) -> Any:
    """Return a slider over positive numbers on a logarithmic scale."""
    from math import log10

    ends = {"min": log10(low), "max": log10(high), "step": (log10(high) - log10(low)) / steps}
    return _control(
        "FloatLogSlider", description, float(value), base=10.0, readout_format=".3g", **ends
    )


def step_slider(description: str, value: int, low: int, high: int) -> Any:
    """Return a slider over whole numbers."""
    return _control("IntSlider", description, int(value), min=low, max=high)


def choice(description: str, value: Any, options: Sequence[Any]) -> Any:
    """Return a drop-down list; an option may be a pair of a name and its value."""
    return _control("Dropdown", description, value, options=list(options))


def text_field(description: str, value: str) -> Any:
    """Return a text field; the picture is redrawn after every key."""
    return _control("Text", description, value)


class Explorer:
    """A figure that is drawn again whenever one of its controls is moved.

    `figure` takes the values of `controls` by name and depends on nothing else, since a picture is
    not drawn again when the same values come back. If it raises later, the last picture stays and
    the error stands below it; if it raises for the first values, the error goes to the caller.
    """

    def __init__(
        self, figure: Callable[..., Figure], controls: Mapping[str, Any], summary: str
    ) -> None:
        self.figure = figure
        self.controls = dict(controls)
        self.summary = summary
        self.first_values = self.values()
        self._pictures: dict[tuple[Any, ...], tuple[bytes, str]] = {}
        self.image, self.finding = self._shown()
        self.first_image, self.first_finding = self.image, self.finding
        self.error = ""
        self.widget = self._assemble()

    def values(self) -> dict[str, Any]:
        """Return the current value of each control."""
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self, _change: Any = None) -> None:
        """Draw the picture for the controls' current values, or show it again."""
        try:
            (self.image, self.finding), self.error = self._shown(), ""
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        if self.widget is not None:
            self._update()

    def _shown(self) -> tuple[bytes, str]:
        """Return the picture and its words, drawn now or among the last `REMEMBERED`."""
        values = tuple(self.values().values())
        if not all(isinstance(each, Hashable) for each in values):
            return self._drawn()
        found = self._pictures.pop(values, None) or self._drawn()
        self._pictures[values] = found  # the newest stands last
        if len(self._pictures) > REMEMBERED:
            del self._pictures[next(iter(self._pictures))]
        return found

    def _drawn(self) -> tuple[bytes, str]:
        """Return the picture and its words, without a search through all of memory.

        A figure is tens of thousands of objects in cycles. While they are made, Python would look
        for garbage again and again, among all objects of torch too, which takes longer than to
        draw. So it waits until the figure is done with, and then looks at new objects alone.
        """
        from course_lib.device import one_thread

        collecting = gc.isenabled()
        gc.disable()
        try:
            with one_thread():  # what an explorer computes is small
                return _picture(self.figure(**self.values()))
        finally:
            gc.collect(0)
            if collecting:
                gc.enable()

    def close(self) -> None:
        """Remove the controls and the picture from the notebook and from memory."""
        if self.widget is None:
            return
        for control in self.controls.values():
            control.unobserve(self.redraw, names="value")
        for part in (*self.widget.children, self.widget):
            for belonging in (part.layout, getattr(part, "style", None)):
                if belonging is not None:
                    belonging.close()  # ipywidgets would keep it for ever
            part.close()
        self.widget = None

    def _assemble(self) -> Any:
        if not LIVE:
            say_why_still()
            return None
        self._picture = widgets.Image(value=self.image, format="png")
        self._spoken = widgets.HTML(_for_screen_readers(self.finding))
        self._picture.layout.max_width = "100%"
        self._message = widgets.HTML()
        for control in self.controls.values():
            control.observe(self.redraw, names="value")
        heading = widgets.HTML(f"<p>{html.escape(self.summary)}</p>")
        moved = [KeyboardGuard(), *self.controls.values()]
        return widgets.VBox([heading, *moved, self._picture, self._spoken, self._message])

    def _update(self) -> None:
        self._picture.value = self.image
        self._spoken.value = _for_screen_readers(self.finding)
        if not self.error:
            self._message.value = ""
            return
        said = html.escape(self.error)
        self._message.value = (
            f'<p role="alert"><b>This could not be drawn.</b> {said} The picture above still shows '
            "the last values that worked.</p>"
        )

    def _describe(self) -> str:
        start = ", ".join(f"{name}={value!r}" for name, value in self.first_values.items())
        return f"explorer: {self.summary}\n  starts at {start}\n  shows: {self.first_finding}"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live view, and a picture with a text for programs that cannot show it."""
        live = self.widget._repr_mimebundle_() if self.widget is not None else {}
        picture = base64.b64encode(self.first_image).decode()
        data = {**live, "image/png": picture, "text/plain": self._describe()}
        return data, {"image/png": {"alt": self.first_finding}}


def _picture(figure: Figure) -> tuple[bytes, str]:
    return png_bytes(figure), figure_title(figure)


def _for_screen_readers(finding: str) -> str:
    """Return the finding as a status for screen readers, which takes no space."""
    hidden = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"
    return f'<span role="status" style="{hidden}">{html.escape(finding)}</span>'
