"""A cross-encoder: a BERT that reads question and passage together, and says how well they fit.

    [CLS] question [SEP] passage [SEP]      score = w · tanh(W h_[CLS] + b) + c
      0      0       0      1      1        segments: which of the two texts a token is in

An encoder makes a vector of a passage without knowing what will be asked. Here every token of the
question can attend to every token of the passage, in every layer. Nothing can be computed before
the question is known, so only the best few passages of a faster search are read: it reranks them.

Taught in:        retrieval
Paper:            Nogueira and Cho 2019, arXiv:1901.04085
Checked against:  transformers' BertForSequenceClassification, in both directions
Shapes:           N pairs of texts, T tokens of a pair, C width
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.checkpoint import load_model, load_tokenizer
from course_lib.checkpoint.tensor_files import read_tensors
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.retrieval.encoder import Tokens, pad_rows
from course_lib.tokenization.wordpiece import WordPiece

OWN_FOLDER = Path(__file__).parent / "reranker"
LONGEST_QUESTION = 32  # tokens, or half of the room; the passage gets the rest
SHORTEST = 5  # tokens of a row: [CLS] question [SEP] passage [SEP]
PARTS = {"pooler": "bert.pooler.dense", "classifier": "classifier"}  # their names in the file


class CrossEncoder(nn.Module):
    """An encoder, and a score that is read from the vector of its first token."""

    def __init__(self, config: FamilyConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EncoderOnly(config, head=False)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(
        self, ids: Int[Tensor, "N T"], mask: Bool[Tensor, "N T"], segments: Int[Tensor, "N T"]
    ) -> Float[Tensor, " N"]:
        """Return a score for each pair; `mask` is True at real tokens."""
        first = self.encoder.encode(ids, mask, segments)[:, 0]  # (N, C)
        scores: Tensor = self.classifier(torch.tanh(self.pooler(first)))
        return scores[:, 0]


class Reranker:
    """A tokenizer and a cross-encoder, which put passages into the order of their scores."""

    def __init__(
        self, model: CrossEncoder, tokenizer: WordPiece, longest: int = 256, batch: int = 32
    ) -> None:
        self.model, self.tokenizer, self.batch = model, tokenizer, batch
        self.longest = min(longest, model.config.max_position_embeddings)
        if self.longest < SHORTEST:
            raise ValueError(
                f"a pair needs room for {SHORTEST} tokens, one of each text and three around them; "
                f"got {self.longest}. Pass a larger `longest`, or a model with more positions."
            )

    @property
    def separator(self) -> int:
        """The token that ends each of the two texts."""
        return self.tokenizer.special_tokens["[SEP]"]

    def tokens(self, pairs: Sequence[tuple[str, str]]) -> Tokens:
        """Return pairs of a question and a passage as rows of ids, padded to the longest."""
        encode = self.tokenizer.encode_ordinary
        rows = [
            pair_row(encode(question), encode(passage), self.tokenizer, self.longest)
            for question, passage in pairs
        ]
        return pad_rows(rows, self.tokenizer.special_tokens["[PAD]"])

    @torch.no_grad()
    def scores(self, question: str, passages: Sequence[str]) -> Float[Tensor, " N"]:
        """Return how well each passage fits the question; higher is better."""
        device = self.model.pooler.weight.device
        scores = self.model.pooler.weight.new_zeros(len(passages))
        order = sorted(range(len(passages)), key=lambda i: len(passages[i]))  # little padding
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            ids, mask = self.tokens([(question, passages[i]) for i in chosen])
            segments = segments_of(ids, self.separator)
            scores[chosen] = self.model(ids.to(device), mask.to(device), segments.to(device))
        return scores

    def rerank(self, question: str, passages: Sequence[str]) -> list[int]:
        """Return the places of the passages in a new order, the best first."""
        scores = self.scores(question, passages)
        order: list[int] = scores.argsort(descending=True, stable=True).tolist()
        return order


def pair_row(
    question: Sequence[int], passage: Sequence[int], tokenizer: WordPiece, longest: int
) -> list[int]:
    """Return one row of at most `longest` ids: [CLS] question [SEP] passage [SEP]."""
    special = tokenizer.special_tokens
    kept = question[: min(LONGEST_QUESTION, (longest - 3) // 2)]
    begin = [special["[CLS]"], *kept, special["[SEP]"]]
    return [*begin, *passage[: longest - len(begin) - 1], special["[SEP]"]]


def segments_of(ids: Int[Tensor, "N T"], separator: int) -> Int[Tensor, "N T"]:
    """Return 0 up to the first separator of each row, 1 after it."""
    ends = (ids == separator).long()
    return (ends.cumsum(dim=1) - ends).clamp(max=1)


def load_reranker(folder: str | Path, device: torch.device | str = "cpu") -> Reranker:
    """Return the cross-encoder of a folder that BertForSequenceClassification could load too."""
    encoder, tokenizer = load_model(folder, torch.float32), load_tokenizer(folder)
    found = read_tensors(Path(folder)).tensors
    parts = {f"{ours}.{kind}": found.get(f"{theirs}.{kind}") for ours, theirs in PARTS.items()
             for kind in ("weight", "bias")}  # fmt: skip
    sizes = {name: None if part is None else tuple(part.shape) for name, part in parts.items()}
    fits = isinstance(encoder, EncoderOnly) and isinstance(tokenizer, WordPiece)
    if not fits or sizes["classifier.bias"] != (1,) or None in sizes.values():
        raise ValueError(
            "a cross-encoder is a BERT with a WordPiece vocabulary, a pooler, and a classifier of "
            f"one label; got {str(folder)!r} with {type(encoder).__name__} and {sizes}. Pass the "
            "folder of one."
        )
    assert isinstance(encoder, EncoderOnly)
    assert isinstance(tokenizer, WordPiece)
    with torch.device("meta"):
        model = CrossEncoder(encoder.config)
    weights = {f"encoder.{name}": part for name, part in encoder.state_dict().items()}
    weights |= {name: part.float() for name, part in parts.items() if part is not None}
    model.load_state_dict(weights, strict=True, assign=True)
    return Reranker(model.requires_grad_(False).to(device).eval(), tokenizer)


@functools.cache
def course_reranker() -> Reranker:
    """Return the course's own cross-encoder; all share this one."""
    return load_reranker(OWN_FOLDER)


@functools.cache
def reranker_log() -> tuple[dict[str, Any], ...]:
    """Return what was measured while the course's cross-encoder was trained."""
    lines = (OWN_FOLDER / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)
