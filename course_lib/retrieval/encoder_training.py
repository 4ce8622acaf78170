"""The recipe `documentation-encoder`: a small encoder learns which text answers which.

The encoder has no layers: it averages embeddings, each made from a piece and its place. After two
minutes on one core, with one seed, it was ahead of one with a layer of attention (`layers=1`),
whose steps take five times as long. Against memorising, some pieces are dropped at random each
time that a text is read, and in place of some pairs stand two random cuts of one passage.

A batch is B questions, then their B passages, then B hard negatives: passages that BM25 finds for
the question, although they are about something else.

Taught in:        retrieval
Paper:            Karpukhin et al. 2020, arXiv:2004.04906 (hard negatives); Izacard et al. 2022,
                  arXiv:2112.09118 (two cuts of one text)
Checked against:  a run without interruption; the stored log and model card
Shapes:           B pairs, T tokens, C width
"""

import random
from collections.abc import Sequence
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.contrastive import info_nce
from course_lib.retrieval.encoder import pad_rows
from course_lib.retrieval.encoder_data import Pair
from course_lib.retrieval.pooling import mean_pool, normalize
from course_lib.tokenization.wordpiece import WordPiece
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training

VOCABULARY, LONGEST = 6000, 64
PLAN = Plan(steps=1200, warmup=50, peak=2e-3, final=2e-5, betas=(0.9, 0.98), weight_decay=0.01)
ROWS, HARD, TEMPERATURE = 96, 8, 0.05
DROPPED, CUT = 0.4, 0.4  # of the pieces of a text; of the pairs


def encoder_config(vocab_size: int, layers: int = 0) -> FamilyConfig:
    """Return the shape of the encoder: nearly all of its parameters are the vocabulary."""
    return FamilyConfig(
        vocab_size=vocab_size,
        hidden_size=240,
        intermediate_size=480,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=128,
    )


def hard_negatives(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return for each question the passages that BM25 finds and that are about something else."""
    index = BM25Index()
    index.add([pair.passage for pair in pairs])
    found = index.search([pair.question for pair in pairs], HARD + 1).ids.tolist()
    return [
        [j for j in row if j >= 0 and pairs[j].about != pair.about]
        for pair, row in zip(pairs, found, strict=True)
    ]


class PairBatches:
    """Draws the batches of the recipe."""

    def __init__(self, pairs: Sequence[Pair], tokenizer: WordPiece, rows: int = ROWS) -> None:
        self.special, self.rows = tokenizer.special_tokens, min(rows, len(pairs))
        self.questions = [tokenizer.encode_ordinary(pair.question) for pair in pairs]
        self.passages = [tokenizer.encode_ordinary(pair.passage) for pair in pairs]
        self.hard = hard_negatives(pairs)

    def __call__(self, step: int, generator: torch.Generator) -> Batch:
        """Return the batch of a step: questions, passages, hard negatives."""
        chosen = torch.randperm(len(self.questions), generator=generator)[: self.rows].tolist()
        source = random.Random(int(torch.randint(2**31, (1,), generator=generator)))
        questions, passages, taken = [], [], set(chosen)
        for i in chosen:
            cut = source.random() < CUT and len(self.passages[i]) > 12
            asked = _cut(self.passages[i], source) if cut else self.questions[i]
            questions.append(asked)
            passages.append(_cut(self.passages[i], source) if cut else self.passages[i])
        others = [[j for j in self.hard[i] if j not in taken] for i in chosen]
        fallback = [j for j in range(len(self.passages)) if j not in taken] or chosen
        hard = [self.passages[source.choice(each or fallback)] for each in others]
        rows = [self._row(ids, source) for ids in chain(questions, passages, hard)]
        return Batch(*pad_rows(rows, self.special["[PAD]"]))

    def _row(self, ids: Sequence[int], source: random.Random) -> list[int]:
        kept = [i for i in ids if source.random() >= DROPPED] or list(ids)
        return [self.special["[CLS]"], *kept[: LONGEST - 2], self.special["[SEP]"]]


def _cut(ids: Sequence[int], source: random.Random) -> Sequence[int]:
    """Return a third to two thirds of a text, in a row."""
    length = source.randint(len(ids) // 3, 2 * len(ids) // 3)
    start = source.randint(0, len(ids) - length)
    return ids[start : start + length]


class ContrastiveTraining(Training):
    """The training loop with InfoNCE."""

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch of questions, passages and hard negatives."""
        assert isinstance(self.model, EncoderOnly)
        device = self.model.tokens.weight.device
        ids, real = batch.ids.to(device), batch.counted.to(device)
        vectors = normalize(mean_pool(self.model.encode(ids, real), real))
        pairs = len(ids) // 3
        return info_nce(vectors[:pairs], vectors[pairs:], TEMPERATURE)
