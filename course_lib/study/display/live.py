"""What makes a figure live: ipywidgets and anywidget. A kernel without them shows still pictures.

Both are installed with the course. A kernel may lack them all the same, for instance one that was
set up by hand in another program; then controls keep their first values, views show nothing, and
the picture and the text that stand beside every view are what the learner sees.

Checked against:  a kernel in which both packages are missing
"""

from functools import cache
from typing import Any

from traitlets import TraitType


class Still:
    """A control or a view in a kernel without ipywidgets: it holds its values and shows nothing."""

    def __init_subclass__(cls) -> None:
        """Put the first values in place of traits, which only a live view can read."""
        for name, trait in list(vars(cls).items()):
            if isinstance(trait, TraitType):
                setattr(cls, name, trait.default())

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}


class _StillKinds:
    def __getattr__(self, name: str) -> type[Still]:
        return Still


widgets: Any
AnyWidget: Any
try:
    import anywidget
    import ipywidgets
except ModuleNotFoundError as missing:
    if missing.name not in ("ipywidgets", "anywidget"):
        raise
    LIVE, widgets, AnyWidget = False, _StillKinds(), Still
else:
    LIVE, widgets, AnyWidget = True, ipywidgets, anywidget.AnyWidget


@cache
def say_why_still() -> None:
    """Tell the learner once why nothing can be moved here."""
    print(
        "Figures and quizzes stand still, because this kernel has no ipywidgets. Run `%pip install "
        "ipywidgets anywidget`, then restart the kernel."
    )
