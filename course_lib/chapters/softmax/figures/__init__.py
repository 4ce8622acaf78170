"""The figures of this chapter: temperature, gradients, one pass, floating point.

Taught in:        softmax
Checked against:  torch.softmax, torch.log_softmax and autograd, compared with what is drawn
"""

from course_lib.chapters.softmax.figures.gradients import cross_entropy_gradient, jacobian
from course_lib.chapters.softmax.figures.one_pass import merge, online_steps
from course_lib.chapters.softmax.figures.precision import log_softmax_error, overflow_map
from course_lib.chapters.softmax.figures.sampling import drawn_token, entropy_curve, temperature

__all__ = [
    "cross_entropy_gradient",
    "drawn_token",
    "entropy_curve",
    "jacobian",
    "log_softmax_error",
    "merge",
    "online_steps",
    "overflow_map",
    "temperature",
]
