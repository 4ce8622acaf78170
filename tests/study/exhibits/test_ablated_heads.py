"""Ablated heads of the course model: zeros as the probes have them, means as a hook by hand."""

import pytest
import torch

from course_lib.model.inspection import mean_loss, part_of
from course_lib.study.exhibits import course_model_probes
from course_lib.study.exhibits.ablated_heads import head_means, loss, rises
from course_lib.study.exhibits.course_model_probes import course_model, sample_texts


def test_zero_ablation_is_that_of_the_probes():
    torch.testing.assert_close(rises("repeats"), course_model_probes.rises("repeats"))
    silent = [(0, 1), (1, 0)]
    assert loss("text", silent) == pytest.approx(course_model_probes.loss("text", silent))


def test_mean_ablation_keeps_what_a_head_always_writes():
    texts = sample_texts("repeats")
    output = part_of(course_model(), 0, "attention").o_proj
    width = course_model().config.head_dim
    own = slice(width, 2 * width)
    seen = []
    hook = output.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    mean_loss(course_model(), *texts)
    hook.remove()
    mean = seen[0][..., own].mean((0, 1))
    torch.testing.assert_close(head_means("repeats")[0, 1], mean)

    def replace(_, given):
        changed = given[0].clone()
        changed[..., own] = mean
        return (changed,)

    hook = output.register_forward_pre_hook(replace)
    expected = mean_loss(course_model(), *texts).item()
    hook.remove()
    assert loss("repeats", [(0, 1)], "mean") == pytest.approx(expected, abs=1e-4)
    assert loss("repeats", [(0, 1)]) > expected + 1, "with zeros the same head seems vital"
    with pytest.raises(ValueError, match=r"zero, mean.*'median'"):
        loss("repeats", [(0, 1)], "median")
