"""The exercise on the learning-rate schedule."""

import math

import torch

from course_lib.chapters.training.exercises.generators import schedule_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.training import schedule


def _by_corners(step, *, warmup, steps, peak=1.0, final=0.0):
    """Return the rate from cos² of half the angle, which is the same curve."""
    if warmup > step:
        return step * (peak / warmup)
    angle = math.pi / 2 * min(step - warmup, steps - warmup) / (steps - warmup)
    return peak * math.cos(angle) ** 2 + final * math.sin(angle) ** 2


def _cosine(
    progress=lambda step, warmup, steps: (step - warmup) / (steps - warmup),
    shape=lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    blend=lambda peak, final, share: final + (peak - final) * share,
    rise=lambda step, warmup, peak, final: peak * step / warmup,
    rising=lambda step, warmup: step < warmup,
    end=lambda progress: min(1.0, progress),
):
    """Return a schedule in which one part is replaced."""

    def rate(step, *, warmup, steps, peak=1.0, final=0.0):
        if rising(step, warmup):
            return rise(step, warmup, peak, final)
        return blend(peak, final, shape(end(progress(step, warmup, steps))))

    return rate


def _one_step_ahead(step, *, warmup, steps, peak=1.0, final=0.0):
    return _cosine()(step + 1, warmup=warmup, steps=steps, peak=peak, final=final)


def _nothing_after_the_end(step, *, warmup, steps, peak=1.0, final=0.0):
    rate = _cosine()(step, warmup=warmup, steps=steps, peak=peak, final=final)
    return rate if step < steps else 0.0


def _peak_of_one(step, *, warmup, steps, peak=1.0, final=0.0):
    return _cosine()(step, warmup=warmup, steps=steps, final=final)


def _in_float32(step, *, warmup, steps, peak=1.0, final=0.0):
    if step < warmup:
        return torch.tensor(peak) * step / warmup
    progress = (torch.tensor(float(step)) - warmup) / (steps - warmup)
    return final + (peak - final) * (1 + torch.cos(torch.pi * progress.clamp(max=1))) / 2


def _as_a_mean(step, *, warmup, steps, peak=1.0, final=0.0):
    if step >= steps:
        return final
    wave = math.cos((step - warmup) * math.pi / (steps - warmup))
    return step / warmup * peak if step < warmup else (peak + final + wave * (peak - final)) / 2


def _at(step, **settings):
    return call(step, **{"warmup": 10, "steps": 110, "peak": 2.0, "final": 0.2, **settings})


SCHEDULE = Exercise(
    id="training.schedule",
    title="Warm-up and cosine",
    minutes=7,
    difficulty=2,
    statement=(
        "Return the learning rate of a step, counted from 0. It rises linearly from 0 to `peak` "
        "over `warmup` steps (which may be 0), falls to `final` along half a cosine until `steps`, "
        "and stays at `final` after that."
    ),
    solution=schedule.cosine_rate,
    reference=_by_corners,
    generator=schedule_inputs,
    probes=(
        Probe("step 0", lambda: _at(0), "The warm-up starts at 0, not at peak / warmup."),
        Probe("within the warm-up", lambda: _at(3), "Step 3 of 10: three tenths of the peak."),
        Probe("the warm-up is over", lambda: _at(10), "At step `warmup` the rate is the peak."),
        Probe(
            "a quarter of the way down",
            lambda: _at(35),
            "A cosine starts slowly: after a quarter of the steps, 85 % of the span is left, not "
            "75 %.",
        ),
        Probe("halfway down", lambda: _at(60), "Halfway between the peak and the final rate."),
        Probe("the last step", lambda: _at(109), "One step before the end, not quite at it."),
        Probe("after the end", lambda: _at(140), "The rate stays at `final`."),
        Probe(
            "down to nothing",
            lambda: _at(85, final=0.0),
            "With a final rate of 0 the cosine alone is left.",
        ),
        Probe(
            "no warm-up",
            lambda: _at(0, warmup=0),
            "Without a warm-up the first step already has the peak.",
        ),
    ),
    misconceptions=(
        Misconception(
            "one step ahead",
            _one_step_ahead,
            "You return the rate of the next step. Steps count from 0, and step 0 has a rate of 0.",
        ),
        Misconception(
            "warm-up with step + 1",
            _cosine(rise=lambda s, w, peak, final: peak * (s + 1) / w),
            "With (step + 1) / warmup the first rate is above 0, and the peak comes one step "
            "early. Some training code does this; here the rate of step 0 is 0: step / warmup.",
        ),
        Misconception(
            "warm-up divided by warmup + 1",
            _cosine(rise=lambda s, w, peak, final: peak * (s + 1) / (w + 1)),
            "With (step + 1) / (warmup + 1) the first rate is above 0. Some training code does "
            "this; here the rate of step 0 is 0: step / warmup.",
        ),
        Misconception(
            "the cosine from step 0",
            _cosine(progress=lambda step, warmup, steps: step / steps),
            "The cosine starts where the warm-up ends; with step / steps the rate jumps there. "
            "Count from the warm-up: (step − warmup) / (steps − warmup).",
        ),
        Misconception(
            "the end one step early",
            _cosine(progress=lambda step, warmup, steps: (step - warmup) / (steps - 1 - warmup)),
            "You reach the final rate at the last step. It belongs to step `steps`, which is never "
            "taken, so that the last step still has an effect if `final` is 0.",
        ),
        Misconception(
            "a whole wave",
            _cosine(shape=lambda progress: (1 + math.cos(2 * math.pi * progress)) / 2),
            "Your rate falls and rises again. Half a cosine runs from 0 to π.",
        ),
        Misconception(
            "a quarter of a wave",
            _cosine(shape=lambda progress: math.cos(math.pi / 2 * progress)),
            "cos from 0 to π/2 is steepest at the end. The schedule is flat there: (1 + cos) / 2, "
            "from 0 to π.",
        ),
        Misconception(
            "divided by all steps",
            _cosine(progress=lambda step, warmup, steps: (step - warmup) / steps),
            "At step `steps` your progress is less than 1, since you divide by all steps, the "
            "warm-up included. The fall takes steps − warmup steps.",
        ),
        Misconception(
            "degrees",
            _cosine(shape=lambda progress: (1 + math.cos(180 * progress)) / 2),
            "math.cos takes radians: half a circle is math.pi, not 180.",
        ),
        Misconception(
            "a straight line down",
            _cosine(shape=lambda progress: 1 - progress),
            "That is a linear decay, which is used too. Here the remaining share is "
            "(1 + cos(π · progress)) / 2.",
        ),
        Misconception(
            "the final rate forgotten",
            _cosine(blend=lambda peak, final, share: peak * share),
            "Your rate falls to 0. The cosine spans peak − final and is added to final.",
        ),
        Misconception(
            "the final rate added to the peak",
            _cosine(blend=lambda peak, final, share: final + peak * share),
            "You add `final` to a cosine of height peak, so the rate starts above the peak. The "
            "cosine spans peak − final.",
        ),
        Misconception(
            "cut off at the final rate",
            _cosine(blend=lambda peak, final, share: max(final, peak * share)),
            "You follow the cosine to 0 and cut it off at `final`, so the last part is flat. Scale "
            "the whole cosine to fit between peak and final instead.",
        ),
        Misconception(
            "rises again after the end",
            _cosine(end=lambda progress: progress),
            "After the end the cosine rises again. Limit the progress to 1.",
        ),
        Misconception(
            "warm-up from the final rate",
            _cosine(rise=lambda s, w, peak, final: final + (peak - final) * s / w),
            "You warm up from `final`. The warm-up starts at 0; `final` is only the end of the "
            "cosine.",
        ),
        Misconception(
            "warm-up one step too long",
            _cosine(rising=lambda step, warmup: step <= warmup),
            "With `step <= warmup` the warm-up has one step too many, and without a warm-up you "
            "divide by zero. Use `step < warmup`.",
        ),
        Misconception(
            "0 after the end",
            _nothing_after_the_end,
            "After the last step the rate stays at `final`, which may be above 0.",
        ),
        Misconception(
            "the peak ignored",
            _peak_of_one,
            "Your rates reach 1 whatever `peak` is. The warm-up ends at `peak`, and the cosine "
            "starts there.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _cosine()),
        Alternative("in float32", _in_float32),
        Alternative("as a mean of the two rates", _as_a_mean),
    ),
    hints=(
        "Two cases: while step < warmup, peak * step / warmup.",
        "Then progress = (step - warmup) / (steps - warmup), at most 1.",
        "(1 + math.cos(math.pi * progress)) / 2 falls from 1 to 0. Multiply it by peak - final and "
        "add final.",
    ),
)
