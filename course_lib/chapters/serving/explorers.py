"""The pictures of this chapter with controls.

Taught in:        serving
Checked against:  the chapter's `figures` for the same values
Shapes:           none
"""

from matplotlib.figure import Figure

from course_lib.accounting.limits import DEVICES
from course_lib.accounting.models import MODELS
from course_lib.chapters.serving import figures
from course_lib.serving.scheduler import Policy
from course_lib.serving.simulation import Arrival, simulate
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider, step_slider
from course_lib.study.display.plotting import Number

# Two that generate for long, a long prompt that comes in between, and short ones.
ARRIVALS = (
    Arrival(0.0, 8, 24),
    Arrival(0.0, 6, 6),
    Arrival(3.0, 70, 5),
    Arrival(4.0, 5, 10),
    Arrival(9.0, 12, 8),
    Arrival(10.0, 4, 12),
)
POLICIES = ("static", "continuous", "chunked")


def lanes(
    policy: Policy = "chunked", budget: int = 16, blocks: int = 40, time: Number = 8.0
) -> Explorer:
    """Choose how requests share the steps, and scrub through what happens."""

    def figure(policy: Policy, budget: int, blocks: int, time: Number) -> Figure:
        history = simulate(ARRIVALS, policy, num_blocks=blocks, token_budget=budget)
        return figures.lanes(history, time)

    controls = {
        "policy": choice("policy", policy, POLICIES),
        "budget": step_slider("token budget", budget, 4, 80),
        "blocks": step_slider("blocks", blocks, 20, 64),
        "time": slider("time", time, 0.0, 70.0, 0.5),
    }
    return Explorer(figure, controls, "Requests over time, and the blocks that they hold.")


def roofline(batch: Number = 16, past: int = 2048, device: str = "H100 SXM") -> Explorer:
    """Move the batch along the roofline of a device, for a model of 8 billion parameters."""

    def figure(batch: Number, past: int, device: str) -> Figure:
        return figures.roofline(MODELS["Qwen3-8B"], DEVICES[device], past, round(batch))

    controls = {
        "batch": log_slider("requests", batch, 1, 1024, 40),
        "past": step_slider("tokens of each", past, 1, 32768),
        "device": choice("device", device, list(DEVICES)),
    }
    return Explorer(figure, controls, "What a batch gives in all, and what is left for each.")
