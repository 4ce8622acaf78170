"""The pictures of this chapter with controls.

Taught in:        compression
Checked against:  the chapter's `figures` for the same values
Shapes:           none
"""

from matplotlib.figure import Figure

from course_lib.chapters.compression import figures
from course_lib.chapters.compression.gptq_history import gptq_history
from course_lib.chapters.compression.measurements import stored_measurements
from course_lib.pretrained import course_model
from course_lib.study.display.explorer import Explorer, choice, slider, step_slider
from course_lib.study.display.plotting import Number

ROW = "model.layers.1.mlp.up_proj.weight"


def formats(value: Number = 0.31) -> Explorer:
    """Move a number along the line, and see where each format puts it."""
    controls = {"value": slider("number", value, -1.0, 1.0, 0.01)}
    return Explorer(figures.number_line, controls, "The numbers of short formats on a line.")


def groups(bits: int = 4, group: int = 64) -> Explorer:
    """Choose bits and group size; see weights, their error, and the whole model's bits per byte."""
    weights = course_model().get_parameter(ROW)[7].cpu()
    grid = stored_measurements()["grid"]

    def figure(bits: int, group: int) -> Figure:
        return figures.groups(weights, bits, group, grid)

    sizes = [("16", 16), ("32", 32), ("64", 64), ("128", 128), ("the whole row, 256", 256)]
    controls = {
        "bits": choice("bits", bits, grid["bits"]),
        "group": choice("group", group, sizes),
    }
    return Explorer(figure, controls, "A row of the course model's weights, in few bits.")


def gptq(done: int = 6, bits: int = 3) -> Explorer:
    """Step through the columns of a small layer."""
    histories = {each: gptq_history(each) for each in (2, 3, 4)}

    def figure(done: int, bits: int) -> Figure:
        return figures.gptq_steps(histories[bits], done)

    controls = {
        "done": step_slider("columns", done, 0, 16),
        "bits": choice("bits", bits, list(histories)),
    }
    return Explorer(figure, controls, "GPTQ, column after column: the rest makes up for the error.")
