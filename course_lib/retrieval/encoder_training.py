"""The recipe `documentation-encoder`: a small BERT learns which text answers which.

Each row of a batch is a question, its passage, or a hard negative: a passage that BM25 finds for
the question although it belongs to another. All passages of the batch are negatives of all other
questions, except those that are the same text.

Taught in:        retrieval
Paper:            Karpukhin et al. 2020, arXiv:2004.04906
Checked against:  a run without interruption; the stored log and model card
"""

import random
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.device import seeded_draws
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.contrastive import info_nce
from course_lib.retrieval.encoder import TextEncoder
from course_lib.retrieval.encoder_data import (
    Pair,
    documented_functions,
    summary,
    train_vocabulary,
    training_pairs,
    without_name,
)
from course_lib.retrieval.metrics import reciprocal_rank
from course_lib.retrieval.pooling import mean_pool, normalize
from course_lib.tokenization.wordpiece import WordPiece
from course_lib.training.data import Batch
from course_lib.training.loop import Draw, Plan, Training
from course_lib.training.runs import LoggedRun, Record

VOCABULARY, LONGEST = 6000, 64
PLAN = Plan(steps=3000, warmup=100, peak=2e-3, final=1e-5, betas=(0.9, 0.98), weight_decay=0.01)
ROWS, HARD_RANKS, TEMPERATURE = 96, 8, 0.05


def encoder_config(vocab_size: int) -> FamilyConfig:
    """Return the shape of the encoder: most of its parameters are the vocabulary."""
    return FamilyConfig(
        vocab_size=vocab_size,
        hidden_size=160,
        intermediate_size=320,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
