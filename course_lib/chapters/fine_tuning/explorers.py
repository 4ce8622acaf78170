"""The pictures of this chapter with controls.

Taught in:        fine_tuning
Checked against:  the chapter's `figures` for the same values
"""

from matplotlib.figure import Figure

from course_lib.chapters.fine_tuning import figures
from course_lib.chapters.fine_tuning.lora_runs import stored_runs
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider
from course_lib.study.display.plotting import Number


def preference_loss(beta: Number = 0.1, margin: Number = 0.0) -> Explorer:
    """Change β and the margin, and see when a pair stops pulling."""
    controls = {
        "beta": log_slider("β", beta, 0.01, 1.0),
        "margin": slider("margin (nats)", margin, -figures.WIDEST, figures.WIDEST, step=1.0),
    }
    return Explorer(figures.preference_loss, controls, "The loss of a pair against its margin.")


def ranks(rank: int = 4) -> Explorer:
    """Choose a rank, and compare quality and memory with full fine-tuning."""
    records = stored_runs()

    def figure(rank: int) -> Figure:
        return figures.ranks(records, rank)

    known = [each["rank"] for each in records if each["rank"]]
    return Explorer(
        figure, {"rank": choice("rank", rank, known)}, "LoRA's quality and memory, by rank."
    )
