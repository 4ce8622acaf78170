"""A small text classifier: logistic regression on hashed words and pairs of words.

    p = sigmoid(w · x + b),   x[hash(feature) mod size] = 1 for each feature of the text, over √n

No vocabulary is kept; two features may share a place, which a large enough size makes rare. It is
trained by full-batch gradient descent, so the result does not depend on an order of texts.

Taught in:        evaluation
Paper:            Weinberger et al. 2009, arXiv:0902.2206 (hashed features)
Checked against:  scikit-learn's LogisticRegression on the same features
Shapes:           N texts, F features
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

SIZE = 4096
_WORD = re.compile(r"\w+|[?!]")


def features(text: str) -> set[str]:
    """Return the words of a text, and its pairs of neighbours."""
    words = _WORD.findall(text.lower())
    return set(words) | {" ".join(pair) for pair in pairwise(words)}


def feature_rows(texts: Sequence[str], size: int = SIZE) -> Float[Tensor, "N F"]:
    """Return a row of length 1 for each text, from the hashes of its features."""
    rows = torch.zeros(len(texts), size)
    for number, text in enumerate(texts):
        for feature in features(text):
            rows[number, zlib.crc32(feature.encode()) % size] = 1
    return torch.nn.functional.normalize(rows, dim=-1)


@dataclass(frozen=True)
class TextClassifier:
    """Weights of the features and a bias."""

    weight: Float[Tensor, " F"]
    bias: float

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Return the probability of class 1 for each text."""
        rows = feature_rows(texts, len(self.weight)).to(self.weight.device)
        found: list[float] = torch.sigmoid(rows @ self.weight + self.bias).tolist()
        return found


def train_classifier(
    texts: Sequence[str],
    labels: Sequence[bool | int],
    size: int = SIZE,
    steps: int = 200,
    rate: float = 0.1,
    decay: float = 1e-3,
) -> TextClassifier:
    """Return a classifier trained on these texts; `decay` is the weight of |w|² / 2."""
    if len(texts) != len(labels) or not set(labels) == {0, 1}:
        raise ValueError(
            "each text needs a label, and both 0 and 1 must occur; got "
            f"{len(texts)} texts and labels {sorted(set(labels))}."
        )
    rows, wanted = feature_rows(texts, size), torch.tensor([float(each) for each in labels])
    weight, bias = torch.zeros(size, requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(rows @ weight + bias, wanted)
        (loss + decay * weight.square().sum() / 2).backward()
        optimizer.step()
    return TextClassifier(weight.detach(), bias.item())
