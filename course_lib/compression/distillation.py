"""Distillation: a small model learns all of a large one's probabilities, not only its best token.

A token of text says which word came next. A teacher's distribution also says which others could
have, and how likely they were. A temperature above 1 makes the unlikely ones count more. Gradients
of the softened loss shrink as 1 / T², so the loss is multiplied by T².

    loss = T² · mean over tokens of KL(softmax(teacher / T) ‖ softmax(student / T))
    gradient with respect to a student's logits = T · (q − p) / tokens

Taught in:        compression
Paper:            Hinton et al. 2015, arXiv:1503.02531; Gu et al. 2023, arXiv:2306.08543
Checked against:  torch.nn.functional.kl_div, the gradient by hand
Shapes:           N tokens, V vocabulary
"""

from jaxtyping import Float
from torch import Tensor

from course_lib.softmax import log_softmax


def distillation_loss(
    student: Float[Tensor, "*lead V"],
    teacher: Float[Tensor, "*lead V"],
    temperature: float | int = 1.0,
    reverse: bool = False,
) -> Float[Tensor, ""]:
    """Return T² times the mean KL divergence of softened distributions, in nats.

    Forward is KL(teacher ‖ student), which punishes a student that rules out what the teacher finds
    possible; reverse is KL(student ‖ teacher). The teacher gets no gradient.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive; got {temperature}.")
    log_q = log_softmax(student / temperature)
    log_p = log_softmax(teacher.detach() / temperature)
    first, second = (log_q, log_p) if reverse else (log_p, log_q)
    divergence = (first.exp() * (first - second)).sum(-1)
    return temperature**2 * divergence.mean()


def distillation_gradient(
    student: Float[Tensor, "N V"], teacher: Float[Tensor, "N V"], temperature: float | int = 1.0
) -> Float[Tensor, "N V"]:
    """Return the gradient of the forward loss with respect to the student's logits."""
    q, p = (log_softmax(each / temperature).exp() for each in (student, teacher))
    return temperature * (q - p) / len(student)
