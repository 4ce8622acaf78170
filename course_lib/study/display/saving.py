"""What is written when a notebook is saved: a live view's static form, and not the view itself.

A view with controls needs its kernel. Reopened later, JupyterLab would look for it, say "Error
displaying widget" and pass over the picture or text that the same output carries. So the file keeps
that; the open notebook keeps its controls. This module is an extension of Jupyter's server, which
`llm-insides.json`, installed with the course, switches on: in JupyterLab, in Jupyter Notebook and
under JupyterHub, however they were started.

Checked against:  a notebook that is run, saved and opened again in a real browser
"""

from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
STATIC_FORMS = ("image/png", "text/markdown")


def keep_static_forms(model: dict[str, Any], **_: Any) -> None:
    """Drop the live views of a notebook that JupyterLab is about to save."""
    if model.get("type") == "notebook" and model.get("content"):
        drop_views(model["content"])


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell Jupyter's server what to load."""
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Have the server ask this module whenever it saves a file."""
    server.contents_manager.register_pre_save_hook(keep_static_forms)


async def _start_jupyter_server_extension(server: Any) -> None:
    """Ask again when all extensions are loaded: Jupytext's puts another object in charge of files.

    To be asked twice by one object does no harm.
    """
    server.contents_manager.register_pre_save_hook(keep_static_forms)


def drop_views(notebook: dict[str, Any]) -> None:
    """Take out of a notebook's outputs each live view that has a static form at its side."""
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if any(kind in data for kind in STATIC_FORMS):
                data.pop(WIDGET_VIEW, None)
