"""A training loop with a teacher: the loss is a mixture of the text's and the teacher's.

    loss = (1 − share) · cross-entropy of the text + share · distillation loss

Taught in:        compression
Paper:            Hinton et al. 2015, arXiv:1503.02531
Checked against:  both losses computed by themselves
Shapes:           B sequences, T tokens, V vocabulary
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.compression.distillation import distillation_loss
from course_lib.model import DecoderLM
from course_lib.training.data import Batch
from course_lib.training.loop import Draw, Plan, Training


class DistillationTraining(Training):
    """`Training` of a student beside a teacher that reads the same tokens."""

    def __init__(
        self,
        student: DecoderLM,
        teacher: DecoderLM,
        draw: Draw,
        plan: Plan,
        share: float | int = 1.0,
        temperature: float | int = 1.0,
    ) -> None:
        if student.config.vocab_size != teacher.config.vocab_size:
            raise ValueError(
                "teacher and student must have the same vocabulary; got "
                f"{teacher.config.vocab_size} and {student.config.vocab_size} tokens. Use the "
                "teacher's tokenizer for both."
            )
        if not 0 <= share <= 1:
            raise ValueError(f"the teacher's share of the loss is from 0 to 1; got {share}.")
        super().__init__(student, draw, plan)
        self.teacher, self.share, self.temperature = teacher.use_kernels(), share, temperature

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the mixed loss of a batch; the teacher is not trained."""
        own = super().loss(batch) if self.share < 1 else None
        if self.share == 0 and own is not None:
            return own
        device = next(self.model.parameters()).device
        ids = batch.ids.to(device)
        with torch.no_grad():
            teacher = self.teacher(ids).logits[:, :-1].float()
        student = self.forward(ids).logits[:, :-1].float()
        taught = distillation_loss(student, teacher, self.temperature)
        return taught if own is None else (1 - self.share) * own + self.share * taught
