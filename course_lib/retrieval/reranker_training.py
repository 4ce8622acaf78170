"""The recipe `documentation-reranker`: a small cross-encoder learns which passage fits a question.

Each question comes with its own passage and with passages that BM25 finds for it although they are
about something else. The right one must get the highest score of its group:

    loss = mean over the questions of  -log softmax(scores of its group)[the right passage]

Scores of different questions are never compared, and need not be.

Two things are not left to chance, or minutes on one core would teach little. The embeddings begin
as the principal components of those of the course's encoder, so related words are alike from the
start. And in every layer queries begin equal to keys, so a token attends to tokens like itself:
the network begins by matching words, and learns what a match is worth.

Taught in:        retrieval
Paper:            Gao et al. 2021, arXiv:2101.08751 (groups with hard negatives)
Checked against:  a run without interruption; torch.nn.functional.cross_entropy
Shapes:           B questions, G passages of each, T tokens of a pair, C width
"""

import random
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.attention import MultiHeadAttention
from course_lib.device import seeded_draws
from course_lib.families import FamilyConfig
from course_lib.retrieval.cross_encoder import CrossEncoder, pair_row, segments_of
from course_lib.retrieval.encoder import TextEncoder, pad_rows
from course_lib.retrieval.encoder_data import Pair
from course_lib.retrieval.encoder_training import hard_negatives
from course_lib.tokenization.wordpiece import WordPiece
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training

WIDTH, LAYERS, LONGEST = 96, 2, 96
PLAN = Plan(steps=300, warmup=20, peak=1e-3, final=1e-5, betas=(0.9, 0.98), weight_decay=0.01)
QUESTIONS, GROUP = 12, 4
MATCHING = 1.2  # what queries and keys begin as: this multiple of their input


def reranker_config(vocab_size: int) -> FamilyConfig:
    """Return the shape of the cross-encoder: three quarters of it are the vocabulary."""
    return FamilyConfig(
        vocab_size=vocab_size,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
    )


def principal_components(vectors: Float[Tensor, "N C"], count: int) -> Float[Tensor, "N count"]:
    """Return the coordinates of vectors along the directions in which they differ most."""
    centred = vectors - vectors.mean(dim=0)
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors  # (C, C), the largest last
    return centred @ directions[:, -count:]


@torch.no_grad()
def fresh_model(encoder: TextEncoder, seed: int) -> CrossEncoder:
    """Return a cross-encoder that knows the encoder's words and begins by matching them."""
    with seeded_draws(seed):
        model = CrossEncoder(reranker_config(encoder.model.config.vocab_size))
        mixed = torch.nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))
    words = principal_components(encoder.model.tokens.weight.float(), WIDTH) @ mixed
    model.encoder.tokens.weight.copy_(words / words.std())
    for attention in model.encoder.modules():
        if isinstance(attention, MultiHeadAttention):
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight.copy_(MATCHING * torch.eye(WIDTH))
            attention.fused = True
    return model


class GroupBatches:
    """Draws questions, each with its passage and with passages that only look right."""

    def __init__(
        self, pairs: Sequence[Pair], tokenizer: WordPiece, questions: int = QUESTIONS
    ) -> None:
        if len(pairs) < GROUP:
            raise ValueError(
                f"a group needs {GROUP} different passages; got {len(pairs)} pairs. Pass more."
            )
        self.tokenizer, self.count = tokenizer, min(questions, len(pairs))
        self.questions = [tokenizer.encode_ordinary(pair.question) for pair in pairs]
        self.passages = [tokenizer.encode_ordinary(pair.passage) for pair in pairs]
        self.hard = hard_negatives(pairs)

    def __call__(self, step: int, generator: torch.Generator) -> Batch:
        """Return the pairs of a step, group after group, each with the right passage first."""
        chosen = torch.randperm(len(self.questions), generator=generator)[: self.count].tolist()
        source = random.Random(int(torch.randint(2**31, (1,), generator=generator)))
        rows = [
            pair_row(self.questions[i], self.passages[j], self.tokenizer, LONGEST)
            for i in chosen
            for j in (i, *self._wrong(i, source))
        ]
        return Batch(*pad_rows(rows, self.tokenizer.special_tokens["[PAD]"]))

    def _wrong(self, i: int, source: random.Random) -> list[int]:
        """Return different passages that are wrong: hard ones first, random ones where they end."""
        hard = self.hard[i][:]
        source.shuffle(hard)
        wrong = dict.fromkeys(hard)
        while len(wrong) < GROUP - 1:
            j = source.randrange(len(self.passages))
            if j != i:
                wrong[j] = None
        return list(wrong)[: GROUP - 1]


class GroupTraining(Training):
    """The training loop with cross-entropy over the passages of each question."""

    def __init__(self, model: CrossEncoder, draw: GroupBatches, plan: Plan) -> None:
        super().__init__(model, draw, plan)
        self.separator = draw.tokenizer.special_tokens["[SEP]"]

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch of groups."""
        device = next(self.model.parameters()).device
        ids, real = batch.ids.to(device), batch.counted.to(device)
        scores = self.model(ids, real, segments_of(ids, self.separator)).view(-1, GROUP)
        return (scores.logsumexp(dim=1) - scores[:, 0]).mean()
