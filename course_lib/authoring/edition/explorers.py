"""An explorer on a page: native controls, a picture, and the frames that the script plays.

Before anything is moved, and without a script, it is the picture of the stored notebook. A small
widget needs no frames: its own script runs on the page and draws by itself.

Taught in:        none
Checked against:  a real browser, by keyboard
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from course_lib.authoring.edition.pictures import picture_html
from course_lib.authoring.edition.quizzes import stored


def explorer_html(name: str, played: Mapping[str, Any], first: str, finding: str) -> str:
    """Return an explorer as HTML; `first` is the picture in the notebook, as PNG in base64."""
    picture = picture_html(first, finding)
    inside = _widget(played, picture) if "module" in played else _frames(name, played, picture)
    kind = "widget" if "module" in played else "explorer"
    return f'<figure class="{kind}" id="{html.escape(name)}">{inside}</figure>'


def _widget(played: Mapping[str, Any], picture: str) -> str:
    return f'<div class="view"></div>{picture}{stored(played)}'


def _frames(name: str, frames: Mapping[str, Any], picture: str) -> str:
    controls = "".join(
        _control(f"{name}-{at}", at, control) for at, control in enumerate(frames["controls"])
    )
    kept = {key: frames[key] for key in ("groups", "places", "findings")}
    summary = html.escape(frames["summary"])
    return (
        f"<figcaption>{summary}</figcaption>"
        f'<div class="controls" role="group" aria-label="{summary}">{controls}</div>{picture}'
        '<p class="finding" aria-live="polite"></p><p class="note" role="status"></p>'
        f'{stored(kept)}<script type="text/plain" class="pictures">{frames["pictures"]}</script>'
    )


def _control(key: str, at: int, control: Mapping[str, Any]) -> str:
    """Return a label and a native control: a list, a slider over places, or a text to read."""
    key, label = html.escape(key), html.escape(control["label"])
    head = f'<label for="{key}">{label}</label>'
    stops: Sequence[str] = control["stops"]
    start = control["start"]
    if control["kind"] == "text":
        said = html.escape(stops[0])
        return f'{head}<input id="{key}" type="text" value="{said}" readonly><span></span>'
    if control["kind"] == "select":
        options = "".join(
            f"<option{' selected' * (place == start)}>{html.escape(stop)}</option>"
            for place, stop in enumerate(stops)
        )
        attributes = f'id="{key}" data-control="{at}" data-start="{start}" autocomplete="off"'
        return f"{head}<select {attributes}>{options}</select><span></span>"
    return (
        f'{head}<input id="{key}" type="range" min="0" max="{len(stops) - 1}" value="{start}"'
        f' data-control="{at}" data-start="{start}" autocomplete="off"'
        f' aria-valuetext="{html.escape(stops[start])}"'
        f' data-stops="{html.escape(chr(10).join(stops))}">'
        f'<output for="{key}">{html.escape(stops[start])}</output>'
    )
