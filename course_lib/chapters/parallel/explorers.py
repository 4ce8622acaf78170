"""The pictures of this chapter with controls.

Taught in:        parallel
Checked against:  the chapter's `figures` for the same values
Shapes:           none
"""

from functools import lru_cache

from matplotlib.figure import Figure

from course_lib.accounting.limits import DEVICES
from course_lib.accounting.models import MODELS
from course_lib.chapters.parallel import figures
from course_lib.parallel import ORDERS, Batch, Cluster, Plan, plan
from course_lib.study.display.explorer import Explorer, choice, log_slider, step_slider
from course_lib.study.display.plotting import Number

NAMES = ("Qwen3-8B", "Qwen3-30B-A3B", "Qwen3-235B-A22B", "Llama-3-70B")
DEVICE_COUNTS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
BATCH = Batch(4096, 4096)


def ring(step: int = 2, ranks: int = 4) -> Explorer:
    """Follow the chunks of an all-reduce around the ring."""

    def figure(step: int, ranks: int) -> Figure:
        return figures.ring(ranks, min(step, 2 * (ranks - 1)))

    controls = {
        "step": step_slider("step", step, 0, 14),
        "ranks": step_slider("ranks", ranks, 2, 8),
    }
    return Explorer(figure, controls, "How many ranks' numbers each chunk contains.")


def pipeline(schedule: str = "1F1B", stages: int = 4, microbatches: int = 8) -> Explorer:
    """Change stages and microbatches, and see when stages are idle."""
    controls = {
        "schedule": choice("schedule", schedule, tuple(ORDERS)),
        "stages": step_slider("stages", stages, 1, 8),
        "microbatches": step_slider("microbatches", microbatches, 1, 24),
    }
    return Explorer(figures.pipeline, controls, "What each stage of a pipeline does over time.")


def memory(parameters: Number = 8e9, ranks: int = 8, device: str = "H100 SXM") -> Explorer:
    """Change the size of the model and the number of devices."""

    def figure(parameters: Number, ranks: int, device: str) -> Figure:
        return figures.zero_stages(parameters, ranks, DEVICES[device].memory)

    controls = {
        "parameters": log_slider("parameters", parameters, 1e8, 1e12, 80),
        "ranks": choice("devices", ranks, (1, 2, 4, *DEVICE_COUNTS)),
        "device": choice("device", device, list(DEVICES)),
    }
    return Explorer(figure, controls, "Bytes of one device under ZeRO.")


def planner(model: str = "Qwen3-235B-A22B", devices: int = 512) -> Explorer:
    """Choose a model and a number of devices, and see the fastest layouts."""

    def figure(model: str, devices: int) -> Figure:
        return figures.plans(_plans(model, devices), model, devices)

    controls = {
        "model": choice("model", model, NAMES),
        "devices": choice("devices", devices, DEVICE_COUNTS),
    }
    return Explorer(figure, controls, "The fastest layouts for 16.8 million tokens in a step.")


@lru_cache(maxsize=64)
def _plans(model: str, devices: int) -> tuple[Plan, ...]:
    return tuple(plan(MODELS[model], Cluster(devices=devices), BATCH)[:6])
