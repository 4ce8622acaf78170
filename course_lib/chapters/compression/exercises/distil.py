"""The exercise on the loss of distillation."""

import torch
import torch.nn.functional as F

from course_lib import compression
from course_lib.chapters.compression.exercises import generators
from course_lib.chapters.compression.exercises.with_gradient import with_gradient
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_kl_div(student, teacher, temperature):
    width = student.shape[-1]
    log_q = F.log_softmax(student.reshape(-1, width) / temperature, dim=-1)
    p = F.softmax(teacher.detach().reshape(-1, width) / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_q, p, reduction="batchmean")


def _logs(student, teacher, temperature):
    return (each.div(temperature).log_softmax(-1) for each in (student, teacher.detach()))


def _kl(log_p, log_q):
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _as_hinted(student, teacher, temperature):
    log_q = torch.log_softmax(student / temperature, dim=-1)
    log_p = torch.log_softmax(teacher.detach() / temperature, dim=-1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def _by_entropies(student, teacher, temperature):
    log_q, log_p = _logs(student, teacher, temperature)
    p = log_p.exp()
    cross, own = -(p * log_q).sum(-1), -(p * log_p).sum(-1)
    return (cross - own).mean() * temperature**2


def _by_cross_entropy(student, teacher, temperature):
    width = student.shape[-1]
    p = (teacher.detach() / temperature).softmax(-1).reshape(-1, width)
    cross = F.cross_entropy(student.reshape(-1, width) / temperature, p)
    own = torch.special.entr(p).sum(-1).mean()
    return temperature**2 * (cross - own)


def _other(of):
    """Return a mistake as a formula in the logs of both, and the temperature."""

    def function(student, teacher, temperature):
        log_q, log_p = _logs(student, teacher, temperature)
        return of(log_p, log_q, temperature)

    return function


def _hot_teacher_only(student, teacher, temperature):
    log_p = (teacher.detach() / temperature).log_softmax(-1)
    return temperature**2 * _kl(log_p, student.log_softmax(-1)).mean()


def _learning_teacher(student, teacher, temperature):
    log_q, log_p = (each.div(temperature).log_softmax(-1) for each in (student, teacher))
    return temperature**2 * _kl(log_p, log_q).mean()


def _multiplied(student, teacher, temperature):
    log_q, log_p = (each.mul(temperature).log_softmax(-1) for each in (student, teacher.detach()))
    return temperature**2 * _kl(log_p, log_q).mean()


def _best_token(student, teacher, temperature):
    width = student.shape[-1]
    best = teacher.reshape(-1, width).argmax(-1)
    return temperature**2 * F.cross_entropy(student.reshape(-1, width) / temperature, best)


STUDENT, TEACHER = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 1.0, -3.0]])

DISTIL = Exercise(
    id="compression.distil",
    title="The loss of distillation",
    minutes=9,
    difficulty=2,
    statement=(
        "`student` and `teacher` are logits (..., V) of the same shape. Divide both by "
        "`temperature`, a positive number. Return temperature² times the mean over all positions "
        "of KL(p ‖ q) = Σ p (log p − log q), where p are the teacher's probabilities and q the "
        "student's: a tensor of one number, in nats. No gradient flows into the teacher; the "
        "student's gradient is checked."
    ),
    solution=with_gradient(compression.distillation_loss),
    adapter=with_gradient,
    reference=with_gradient(_by_kl_div),
    generator=generators.distil,
    probes=(
        Probe(
            "a temperature of 1",
            lambda: call(STUDENT, TEACHER, 1.0),
            "The plain divergence, from the teacher to the student.",
        ),
        Probe("warmer", lambda: call(STUDENT, TEACHER, 4.0), "Both are divided, times 16."),
        Probe("colder", lambda: call(STUDENT, TEACHER, 0.5), "A temperature may be below 1."),
        Probe("equal", lambda: call(TEACHER, TEACHER + 5, 2.0), "The same distribution: 0."),
        Probe(
            "several positions",
            lambda: call(uneven(2, 3, 5), uneven(3, 2, 5).transpose(0, 1).contiguous(), 2.0),
            "The mean over six positions, not over the five tokens of each.",
        ),
        Probe(
            "a teacher that is certain",
            lambda: call(STUDENT, torch.tensor([[0.0, 200.0, 0.0]]), 1.0),
            "Probabilities of 0 must not give NaN: compute with logarithms.",
        ),
        Probe(
            "the gradient",
            lambda: call(uneven(4, 3), uneven(4, 3).flip(0), 3.0),
            "Of the student alone.",
        ),
    ),
    misconceptions=(
        Misconception(
            "without T²",
            with_gradient(_other(lambda log_p, log_q, t: _kl(log_p, log_q).mean())),
            "Gradients shrink as 1 / T². Multiply by temperature squared.",
        ),
        Misconception(
            "times T",
            with_gradient(_other(lambda log_p, log_q, t: t * _kl(log_p, log_q).mean())),
            "The gradient shrinks as 1 / T twice: the logits are divided, and softened "
            "distributions are closer to each other. The factor is T².",
        ),
        Misconception(
            "the reverse divergence",
            with_gradient(_other(lambda log_p, log_q, t: t**2 * _kl(log_q, log_p).mean())),
            "You weight by the student's probabilities. Forward KL weights by the teacher's.",
        ),
        Misconception(
            "cross-entropy",
            with_gradient(
                _other(lambda log_p, log_q, t: -(t**2) * (log_p.exp() * log_q).sum(-1).mean())
            ),
            "You left out the teacher's own entropy. The gradient is the same, the value is not: "
            "a perfect student must have the loss 0.",
        ),
        Misconception(
            "summed over positions",
            with_gradient(_other(lambda log_p, log_q, t: t**2 * _kl(log_p, log_q).sum())),
            "Take the mean over positions, or the step grows with the batch.",
        ),
        Misconception(
            "the mean over tokens too",
            with_gradient(
                _other(lambda log_p, log_q, t: t**2 * (log_p.exp() * (log_p - log_q)).mean())
            ),
            "You divide by the size of the vocabulary too (kl_div with reduction='mean' does).",
        ),
        Misconception(
            "only the teacher is softened",
            with_gradient(_hot_teacher_only),
            "Divide the student's logits by the temperature too, or it can never match.",
        ),
        Misconception(
            "the teacher learns",
            with_gradient(_learning_teacher),
            "A gradient flows into the teacher. Use teacher.detach().",
        ),
        Misconception(
            "multiplied by the temperature",
            with_gradient(_multiplied),
            "A high temperature softens: divide the logits by it.",
        ),
        Misconception(
            "the best token only",
            with_gradient(_best_token),
            "You use the teacher's most likely token. All its probabilities are the lesson.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", with_gradient(_as_hinted)),
        Alternative("by two entropies", with_gradient(_by_entropies)),
        Alternative("by cross_entropy with probabilities", with_gradient(_by_cross_entropy)),
    ),
    hints=(
        "log_q = torch.log_softmax(student / temperature, dim=-1); the same for the teacher, "
        "detached.",
        "KL is (log_p.exp() * (log_p - log_q)).sum(-1), a number for each position.",
        "temperature ** 2 times its mean.",
    ),
)
