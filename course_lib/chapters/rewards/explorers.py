"""The interactive figures of this chapter.

Taught in:        rewards
Checked against:  the figures of `course_lib.chapters.rewards.figures` for the same values
Shapes:           none
"""

from matplotlib.figure import Figure

from course_lib.assistant.stages import stage_log
from course_lib.chapters.rewards import figures
from course_lib.study.display.explorer import Explorer, choice, slider, step_slider
from course_lib.study.display.plotting import Number

REWARDS = (1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)  # of eight answers to one prompt


def clip(
    ratio: Number = 1.4, advantage: Number = 1.5, low: Number = 0.2, high: Number = 0.2
) -> Explorer:
    """Move the ratio of a token, its advantage, and the limits of the clip."""
    controls = {
        "ratio": slider("ratio", ratio, 0.0, 2.0),
        "advantage": slider("advantage A", advantage, -2.0, 2.0, step=0.1),
        "low": slider("limit below 1", low, 0.0, 0.6),
        "high": slider("limit above 1", high, 0.0, 0.6),
    }
    return Explorer(figures.clip, controls, "PPO's objective over the importance ratio.")


def group(method: str = "GRPO") -> Explorer:
    """Change the rewards of eight answers, and see each answer's advantage."""
    controls = {"method": choice("method", method, figures.METHODS)}
    controls |= {
        f"answer{i}": slider(f"reward of answer {i}", reward, 0.0, 1.0, step=0.1)
        for i, reward in enumerate(REWARDS, 1)
    }

    def figure(method: str, **answers: Number) -> Figure:
        return figures.group(list(answers.values()), method)

    return Explorer(figure, controls, "A group of eight answers: rewards, and advantages.")


def training_run(look: int = 0) -> Explorer:
    """Move through the stored run of `assistant-grpo`, and read its answers at each look."""
    records = stage_log("assistant-grpo")

    def figure(look: int) -> Figure:
        return figures.training_run(records, look)

    controls = {"look": step_slider("look", look, 0, len(records) - 1)}
    return Explorer(figure, controls, "The assistant learns by GRPO: its curves and its answers.")


def compute(
    right: Number = 0.35,
    rival: Number = 0.45,
    accepts_right: Number = 0.9,
    accepts_wrong: Number = 0.2,
) -> Explorer:
    """Choose how often a model is right, how it is wrong, and how good the verifier is."""
    controls = {
        "right": slider("P(right)", right, 0.0, 1.0),
        "rival": slider("P(best wrong one)", rival, 0.0, 1.0),
        "accepts_right": slider("P(accept | right)", accepts_right, 0.0, 1.0),
        "accepts_wrong": slider("P(accept | wrong)", accepts_wrong, 0.0, 1.0),
    }
    return Explorer(figures.compute, controls, "What n samples reach: votes, best of n, pass@n.")
